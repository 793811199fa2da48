"""Field types shared by the records: what counts as a text, an id, an instant, a phone number.

Syntax only. Whether a date of birth is plausible or a slot is free is for the domains to say.
"""

import re
import unicodedata
from datetime import UTC, date, datetime
from functools import cache
from typing import Any
from zoneinfo import available_timezones

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from marshmallow import ValidationError, fields

MAX_ID = 2**63 - 1

# RFC 3339, section 5.6; offset and seconds may be left out (local time in the doctor's zone).
_INSTANT = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:[0-5]\d)?", re.ASCII
)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_LINE_BREAKS = frozenset("\n\r\t")
# Control characters, lone surrogates and Unicode's own line ends: nothing that is shown to people
# takes them well.
_UNPRINTABLE = frozenset(("Cc", "Cs", "Zl", "Zp"))


class Text(fields.String):
    """Unicode text, trimmed and in NFC; 1 to ``longest`` characters, no control characters."""

    def __init__(self, *, longest: int, lines: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.longest = longest
        self.allowed = _LINE_BREAKS if lines else frozenset[str]()

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        sent = super()._deserialize(value, attr, data, **kwargs)
        text = unicodedata.normalize("NFC", sent).strip()
        if not text:
            raise ValidationError("Must not be empty.")
        if len(text) > self.longest:
            raise ValidationError(f"Must have at most {self.longest} characters.")
        if any(unicodedata.category(c) in _UNPRINTABLE and c not in self.allowed for c in text):
            raise ValidationError("Must not contain control characters.")
        if all(unicodedata.category(c)[0] in "CZ" for c in text):
            raise ValidationError("Must not be empty.")
        return text


class Email(Text):
    """An address as RFC 5321 allows it; deliverability is not checked."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(longest=254, **kwargs)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        try:
            return validate_email(text, check_deliverability=False, strict=True).normalized
        except EmailNotValidError as refused:
            raise ValidationError("Not a valid e-mail address.") from refused


class Phone(Text):
    """A telephone number, as E.164; national ones are read in the schema's ``phone_region``."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(longest=40, **kwargs)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        try:
            number = phonenumbers.parse(text, getattr(self.root, "phone_region", None))
        except phonenumbers.NumberParseException as refused:
            raise ValidationError("Not a valid international phone number.") from refused
        if not phonenumbers.is_valid_number(number) or number.extension:
            raise ValidationError("Not a valid international phone number.")
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


class Timezone(Text):
    """A name of the IANA time zone database, such as ``Europe/Berlin``."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(longest=64, **kwargs)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if text not in _timezones():
            raise ValidationError("Not the name of an IANA time zone.")
        return text


class Day(fields.Field[date]):
    """A calendar date, ``YYYY-MM-DD``."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> date:
        try:
            if isinstance(value, str) and _DAY.fullmatch(value.strip()):
                return date.fromisoformat(value.strip())
        except ValueError:
            pass
        raise ValidationError("Not a valid date (YYYY-MM-DD).")

    def _serialize(self, value: date | None, attr: Any, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else value.isoformat()


class Instant(fields.Field[datetime]):
    """RFC 3339. Loads as aware UTC, or naive when no offset was sent; dumps as UTC with ``Z``."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> datetime:
        try:
            if isinstance(value, str) and _INSTANT.fullmatch(value.strip()):
                instant = datetime.fromisoformat(value.strip().upper())
                return instant.astimezone(UTC) if instant.tzinfo else instant
        except (ValueError, OverflowError):
            pass
        raise ValidationError("Not a valid date and time, such as 2031-06-17T09:00:00Z (RFC 3339).")

    def _serialize(self, value: datetime | None, attr: Any, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else as_instant(value)


class Moment(fields.Field[date | datetime]):
    """A date, or an instant as ``Instant`` loads it: one end of a period that is asked for."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> date | datetime:
        for kind in (Day(), Instant()):
            try:
                moment: date | datetime = kind.deserialize(value)
            except ValidationError:
                continue
            return moment
        raise ValidationError("Not a valid date (YYYY-MM-DD), or date and time (RFC 3339).")


class WholeNumber(fields.Field[int]):
    """A JSON integer between two bounds; neither text, fraction nor truth value."""

    def __init__(self, *, least: int, most: int, step: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.least, self.most, self.step = least, most, step

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValidationError("Must be a whole number.")
        if not self.least <= value <= self.most:
            raise ValidationError(f"Must be between {self.least} and {self.most}.")
        if value % self.step:
            raise ValidationError(f"Must be a multiple of {self.step}.")
        return value


class Identifier(WholeNumber):
    """A record's id: a positive 64-bit integer."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(least=1, most=MAX_ID, **kwargs)


@cache
def _timezones() -> frozenset[str]:
    # These two mean whatever the machine takes them for.
    return frozenset(available_timezones() - {"localtime", "Factory"})


def is_id(value: object) -> bool:
    """Whether it could be a record's id."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_ID


def as_instant(moment: datetime) -> str:
    """An aware ``moment`` in UTC as RFC 3339 text that ends in ``Z``."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
