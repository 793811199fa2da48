"""What If-Match is about."""

import pytest

from schemas.errors import InvalidInput, Stale
from schemas.versions import check_version, load_versions


def test_whoever_names_no_version_means_whichever_there_is():
    check_version(3, allowed=load_versions(None))


def test_one_of_the_versions_that_are_named_must_be_there():
    check_version(3, allowed=load_versions([1, 3]))
    for stale in ([], [1, 2], [4]):
        with pytest.raises(Stale):
            check_version(3, allowed=load_versions(stale))


@pytest.mark.parametrize("value", [3, "3", [None], [True], ["3"], [3.0], {"3": 3}, [[3]]])
def test_versions_are_whole_numbers(value):
    with pytest.raises(InvalidInput) as refused:
        load_versions(value)
    assert refused.value.errors == {"versions": "Must be a list of whole numbers."}
