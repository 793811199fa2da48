"""What counts as a text, a number, a day, an instant, a phone number."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import Schema, ValidationError

from schemas.fields import (
    MAX_ID,
    Day,
    Email,
    Identifier,
    Instant,
    Moment,
    Phone,
    Text,
    Timezone,
    WholeNumber,
    as_instant,
)

NOT_TEXT = [1, 1.5, True, ["a"], {"a": "b"}]


def refusal(field, value):
    with pytest.raises(ValidationError) as refused:
        field.deserialize(value)
    return refused.value.messages


# Text


@pytest.mark.parametrize("length", [1, 4, 5])
def test_a_text_may_be_as_long_as_the_limit(length):
    assert Text(longest=5).deserialize("x" * length) == "x" * length


def test_a_text_of_one_character_more_than_the_limit_is_refused():
    assert refusal(Text(longest=5), "x" * 6) == ["Must have at most 5 characters."]


def test_length_is_counted_in_characters_not_bytes():
    assert Text(longest=5).deserialize("😀" * 5) == "😀" * 5


def test_length_is_counted_after_trimming():
    assert Text(longest=5).deserialize("  12345\n ") == "12345"


def test_length_is_counted_after_composing():
    assert Text(longest=5).deserialize("e\u0301" * 5) == "\u00e9" * 5


@pytest.mark.parametrize("blank", ["", " ", "\t\r\n", "\u00a0", "\u2003\u3000"])
def test_a_text_of_nothing_but_white_space_is_empty(blank):
    assert refusal(Text(longest=5), blank) == ["Must not be empty."]


def test_a_text_is_stored_in_composed_form():
    assert Text(longest=5).deserialize("Zoe\u0308") == "Zo\u00eb"


@pytest.mark.parametrize("surrogate", ["\ud800", "a\udfffb"])
def test_half_a_surrogate_pair_is_refused(surrogate):
    assert refusal(Text(longest=5), surrogate) == ["Must not contain control characters."]


@pytest.mark.parametrize("control", ["\x00", "\x07", "\x1b", "\x7f", "\x85", "\x9f"])
@pytest.mark.parametrize("lines", [False, True])
def test_control_characters_are_refused(control, lines):
    text = f"a{control}b"
    assert refusal(Text(longest=5, lines=lines), text) == ["Must not contain control characters."]


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\t"])
def test_line_breaks_are_for_texts_of_several_lines_only(line_break):
    text = f"a{line_break}b"
    assert Text(longest=5, lines=True).deserialize(text) == text
    assert refusal(Text(longest=5), text) == ["Must not contain control characters."]


@pytest.mark.parametrize("value", NOT_TEXT)
def test_what_is_not_text_is_refused(value):
    assert refusal(Text(longest=5), value)


# E-mail


@pytest.mark.parametrize("address", ["ada@example.com", "ada.byron+clinic@mail.example.org"])
def test_an_address_is_taken_as_it_is(address):
    assert Email().deserialize(f" {address} ") == address


def test_the_domain_is_stored_in_lower_case_and_the_mailbox_as_written():
    assert Email().deserialize("Ada@EXAMPLE.Com") == "Ada@example.com"


@pytest.mark.parametrize(
    "address",
    [
        "ada",
        "ada@",
        "@example.com",
        "ada@example",
        "ada@@example.com",
        "ada byron@example.com",
        "ada@exa mple.com",
        "Ada <ada@example.com>",
        "ada@example.com, bob@example.com",
        "ada..byron@example.com",
        "ada@[127.0.0.1]",
    ],
)
def test_what_is_no_address_is_refused(address):
    assert refusal(Email(), address) == ["Not a valid e-mail address."]


def test_an_address_of_255_characters_is_refused():
    assert refusal(Email(), "a@" + "b" * 249 + ".com") == ["Must have at most 254 characters."]


# Phone


class Britain(Schema):
    phone_region = "GB"
    phone = Phone()


class Anywhere(Schema):
    phone = Phone()


@pytest.mark.parametrize("schema", [Britain(), Anywhere()])
@pytest.mark.parametrize(
    "number", ["+442079460958", "+44 20 7946 0958", "+44 (0)20 7946-0958", " +44.20.7946.0958 "]
)
def test_an_international_number_is_stored_as_e164_wherever_it_was_typed(schema, number):
    assert schema.load({"phone": number}) == {"phone": "+442079460958"}


def test_a_national_number_is_read_in_the_region_of_the_schema():
    assert Britain().load({"phone": "020 7946 0958"}) == {"phone": "+442079460958"}


def test_a_national_number_without_a_region_is_refused():
    with pytest.raises(ValidationError) as refused:
        Anywhere().load({"phone": "020 7946 0958"})
    assert refused.value.messages == {"phone": ["Not a valid international phone number."]}


@pytest.mark.parametrize(
    "number",
    ["+4420", "+999123456789", "hello", "+44 20 7946 0958 ext. 12", "0", "+" + "1" * 30],
)
def test_what_nobody_can_call_is_refused(number):
    with pytest.raises(ValidationError):
        Britain().load({"phone": number})


@pytest.mark.parametrize("number", [442079460958, 4.4, True])
def test_a_phone_number_is_text(number):
    with pytest.raises(ValidationError):
        Britain().load({"phone": number})


# Time zone


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/New_York"])
def test_a_time_zone_goes_by_its_iana_name(name):
    assert Timezone().deserialize(name) == name


@pytest.mark.parametrize(
    "name", ["Europe/Atlantis", "+01:00", "../etc/passwd", "/usr/share/zoneinfo/UTC", "CEST"]
)
def test_other_names_of_time_zones_are_refused(name):
    assert refusal(Timezone(), name) == ["Not the name of an IANA time zone."]


# Day


def test_a_day_loads_and_dumps_as_the_same_date():
    assert Day().deserialize("1985-12-10") == date(1985, 12, 10)
    assert Day().serialize("dob", {"dob": date(985, 1, 2)}) == "0985-01-02"


def test_the_29th_of_february_is_there_in_leap_years_only():
    assert Day().deserialize("2024-02-29") == date(2024, 2, 29)
    assert refusal(Day(), "2023-02-29") == ["Not a valid date (YYYY-MM-DD)."]
    assert refusal(Day(), "1900-02-29")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "1985-12-1",
        "1985-13-01",
        "1985-12-00",
        "0000-01-01",
        "85-12-10",
        "10.12.1985",
        "19851210",
        "1985-W50-2",
        "1985-344",
        "1985-12-10T00:00:00Z",
        "１９８５-12-10",
        19851210,
        True,
        ["1985-12-10"],
    ],
)
def test_a_date_in_another_form_is_refused(value):
    assert refusal(Day(), value) == ["Not a valid date (YYYY-MM-DD)."]


def test_a_missing_day_dumps_as_null():
    assert Day().serialize("dob", {"dob": None}) is None


# Instant

NINE = datetime(2027, 3, 1, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2027-03-01T09:00:00Z", NINE),
        ("2027-03-01T09:00Z", NINE),
        ("2027-03-01t09:00:00z", NINE),
        ("2027-03-01 09:00:00Z", NINE),
        (" 2027-03-01T09:00:00Z ", NINE),
        ("2027-03-01T10:00:00+01:00", NINE),
        ("2027-02-28T19:30:00-13:30", NINE),
        ("2027-03-01T09:00:00-00:00", NINE),
        ("2027-03-01T09:00:00.5Z", NINE.replace(microsecond=500_000)),
        ("2027-03-01T09:00:00.123456789Z", NINE.replace(microsecond=123_456)),
        ("2028-02-29T00:00:00Z", datetime(2028, 2, 29, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime.min.replace(tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_an_instant_with_an_offset_loads_as_utc(text, instant):
    loaded = Instant().deserialize(text)
    assert (loaded, loaded.tzinfo) == (instant, UTC)


@pytest.mark.parametrize("text", ["2027-03-01T09:00:00", "2027-03-01T09:00", "2027-03-01 09:00"])
def test_an_instant_without_an_offset_stays_local_time(text):
    assert Instant().deserialize(text) == datetime(2027, 3, 1, 9)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="nothing"),
        pytest.param("2027-03-01", id="a day only"),
        pytest.param("2027-03-01T09Z", id="no minutes"),
        pytest.param("2027-03-01T24:00:00Z", id="hour 24"),
        pytest.param("2027-03-01T09:60:00Z", id="minute 60"),
        pytest.param("2016-12-31T23:59:60Z", id="leap second"),
        pytest.param("2027-02-29T09:00:00Z", id="no leap year"),
        pytest.param("2027-13-01T09:00:00Z", id="month 13"),
        pytest.param("0000-01-01T00:00:00Z", id="year 0"),
        pytest.param("0001-01-01T00:00:00+00:01", id="before the first year"),
        pytest.param("9999-12-31T23:59:59-00:01", id="after the last year"),
        pytest.param("2027-03-01T09:00:00+24:00", id="offset of a day"),
        pytest.param("2027-03-01T09:00:00+0100", id="offset without a colon"),
        pytest.param("2027-03-01T09:00:00+01", id="offset without minutes"),
        pytest.param("2027-03-01T09:00:00+01:00:30", id="offset with seconds"),
        pytest.param("2027-03-01T09:00:00 Z", id="space before the offset"),
        pytest.param("2027-03-01T09:00:00.Z", id="dot without a fraction"),
        pytest.param("2027-03-01T09:00:00,5Z", id="comma"),
        pytest.param("2027-03-01T09:00:00.1234567890Z", id="ten digits of fraction"),
        pytest.param("20270301T090000Z", id="basic format"),
        pytest.param("2027-W09-1T09:00:00Z", id="week date"),
        pytest.param("２０２７-03-01T09:00:00Z", id="other digits"),
        pytest.param("tomorrow", id="a word"),
        pytest.param(1803978000, id="seconds since the epoch"),
        pytest.param(True, id="a truth value"),
        pytest.param(["2027-03-01T09:00:00Z"], id="a list"),
    ],
)
def test_what_rfc_3339_does_not_know_is_refused(value):
    (message,) = refusal(Instant(), value)
    assert message == "Not a valid date and time, such as 2031-06-17T09:00:00Z (RFC 3339)."


def test_an_instant_dumps_in_utc_whatever_its_zone():
    afternoon = datetime(2027, 3, 1, 14, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert as_instant(afternoon) == "2027-03-01T09:00:00Z"
    assert Instant().serialize("at", {"at": afternoon}) == "2027-03-01T09:00:00Z"


def test_a_missing_instant_dumps_as_null():
    assert Instant().serialize("at", {"at": None}) is None


@given(
    st.datetimes(
        min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29), timezones=st.timezones()
    )
)
def test_an_instant_dumps_and_loads_to_the_same_instant(moment):
    text = Instant().serialize("at", {"at": moment})
    assert text.endswith("Z")
    # In UTC on both sides: Python calls times in a repeated hour of two zones never equal.
    assert Instant().deserialize(text) == moment.astimezone(UTC)


def test_one_end_of_a_period_is_a_date_or_an_instant():
    assert Moment().deserialize("2031-06-17") == date(2031, 6, 17)
    assert Moment().deserialize("2031-06-17T09:00") == datetime(2031, 6, 17, 9)
    assert Moment().deserialize("2031-06-17T09:00Z") == datetime(2031, 6, 17, 9, tzinfo=UTC)


@pytest.mark.parametrize("value", ["", "tomorrow", "2031-06", "2031-02-30", "09:00", 20310617, []])
def test_what_is_neither_a_date_nor_an_instant_is_refused(value):
    assert refusal(Moment(), value)


# Whole numbers and ids


@pytest.mark.parametrize("value", [5, 10, 480])
def test_a_whole_number_within_its_bounds_is_taken(value):
    assert WholeNumber(least=5, most=480, step=5).deserialize(value) == value


@pytest.mark.parametrize("value", [4, 0, -5, 481, 485, 10**400])
def test_a_whole_number_out_of_its_bounds_is_refused(value):
    assert refusal(WholeNumber(least=5, most=480), value) == ["Must be between 5 and 480."]


@pytest.mark.parametrize("value", [6, 9, 479])
def test_a_whole_number_off_its_step_is_refused(value):
    assert refusal(WholeNumber(least=5, most=480, step=5), value) == ["Must be a multiple of 5."]


@pytest.mark.parametrize("value", ["30", "", 30.0, 30.5, float("nan"), True, False, [30], {}])
def test_text_fractions_and_truth_values_are_not_whole_numbers(value):
    assert refusal(WholeNumber(least=0, most=480), value) == ["Must be a whole number."]


@pytest.mark.parametrize("value", [1, 2**31, 2**53 + 1, 2**63 - 1])
def test_an_id_is_a_positive_64_bit_integer(value):
    assert Identifier().deserialize(value) == value


@pytest.mark.parametrize("value", [0, -1, 2**63, True, "1", 1.0])
def test_anything_else_is_not_an_id(value):
    assert refusal(Identifier(), value)


def test_the_largest_id_is_the_largest_of_the_databases():
    assert MAX_ID == 9223372036854775807


@pytest.mark.parametrize("field", [Text(longest=5), Day(), Instant(), Identifier(), Email()])
def test_null_is_refused_where_nothing_says_that_it_may_be_there(field):
    assert refusal(field, None) == ["Field may not be null."]


# What clients sent that was taken once and should not have been


@pytest.mark.parametrize("offset", ["+12:60", "-01:99"])
def test_an_offset_has_at_most_59_minutes(offset):
    assert refusal(Instant(), f"2027-03-01T09:00:00{offset}")


def test_the_part_before_the_at_sign_has_at_most_64_characters():
    assert Email().deserialize("a" * 64 + "@example.com")
    assert refusal(Email(), "a" * 65 + "@example.com")


@pytest.mark.parametrize("invisible", ["\u200b", "\ufeff\u2060", "\u00a0\u200d"])
def test_a_text_that_shows_nothing_is_empty(invisible):
    assert refusal(Text(longest=5), invisible) == ["Must not be empty."]


@pytest.mark.parametrize("line_end", ["a\u2028b", "a\u2029b"])
def test_line_ends_of_unicode_are_refused(line_end):
    assert refusal(Text(longest=5, lines=True), line_end)
