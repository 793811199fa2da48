"""Names are found by whole words, however they are written."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InvalidInput
from schemas.loading import load
from schemas.people import PatientsQuerySchema, name_words


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Ada Byron", {"ada", "byron"}),
        ("ADA  ada", {"ada"}),
        ("José Müller-Lüdenscheidt", {"jose", "muller", "ludenscheidt"}),
        ("Jose\u0301", {"jose"}),
        ("Siobhán O'Brien", {"siobhan", "o", "brien"}),
        ("Straße STRASSE", {"strasse"}),
        ("İpek ΟΔΥΣΣΕΥΣ", {"ipek", "οδυσσευσ"}),
        ("Henry Ⅷ, 3rd_floor", {"henry", "viii", "3rd", "floor"}),
        ("山田 太郎", {"山田", "太郎"}),
        ("Анна Ёлкина", {"анна", "елкина"}),
        ("-- '", set()),
    ],
)
def test_the_words_of_a_name(name: str, words: set[str]) -> None:
    assert name_words(name) == words


@given(st.text())
def test_words_are_their_own_words(text: str) -> None:
    words = name_words(text)
    assert name_words(" ".join(words)) == words


@given(st.text(alphabet=st.characters(codec="utf-8", categories=["L", "N", "M", "P", "Zs"])))
def test_a_name_is_found_whatever_its_case_and_normal_form(text: str) -> None:
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert name_words(unicodedata.normalize(form, text)) == name_words(text)
    assert name_words(text.casefold()) == name_words(text)


def test_a_query_is_for_everybody_unless_it_says_whom() -> None:
    assert load(PatientsQuerySchema(), {}) == {"q": None, "email": None, "limit": 20, "after": 0}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("q", " - ", "Must contain a letter or a digit."),
        ("q", "", "Must not be empty."),
        ("email", "ada", "Not a valid e-mail address."),
        ("limit", 0, "Must be between 1 and 100."),
        ("limit", 101, "Must be between 1 and 100."),
        ("after", -1, "Must be between 0 and 9223372036854775807."),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        load(PatientsQuerySchema(), {field: value})
    assert refused.value.errors == {field: message}
