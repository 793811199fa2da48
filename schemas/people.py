"""Patients and doctors as they appear in HTTP bodies and RPC values (camelCase)."""

import re
import unicodedata

from marshmallow import Schema, ValidationError, validates

from schemas.accounts import LONGEST_PASSWORD, Secret
from schemas.fields import (
    Day,
    Email,
    Identifier,
    Instant,
    Phone,
    Text,
    Timezone,
    WholeNumber,
)
from schemas.paging import PageSchema

LONGEST_SPECIALITY = 100
_WORD = re.compile(r"[^\W_]+")


class PersonSchema(Schema):
    """What patients and doctors share.

    ``phone_region`` is the region (ISO 3166-1 alpha-2) in which national numbers are read;
    without one only international numbers are taken.
    """

    id = Identifier(dump_only=True)
    name = Text(longest=200, required=True)
    email = Email(load_default=None, allow_none=True)
    phone = Phone(required=True)
    created_at = Instant(dump_only=True, data_key="createdAt")
    updated_at = Instant(dump_only=True, data_key="updatedAt")
    # Counts the changes of the record; in HTTP it is the ETag.
    version = WholeNumber(dump_only=True, least=1, most=2**31 - 1)

    def __init__(self, *, phone_region: str | None = None) -> None:
        super().__init__()
        self.phone_region = phone_region


class PatientSchema(PersonSchema):
    dob = Day(required=True)
    address = Text(longest=500, lines=True, required=True)


class RegistrationSchema(PatientSchema):
    """A patient who registers themselves: with what they will sign in with."""

    email = Email(required=True)
    password = Secret(longest=LONGEST_PASSWORD, required=True)


class DoctorSchema(PersonSchema):
    """``timezone`` is optional on the way in; the doctor service fills in the clinic's."""

    speciality = Text(longest=LONGEST_SPECIALITY, required=True)
    timezone = Timezone(load_default=None, allow_none=True)


class NamesQuerySchema(PageSchema):
    """Who is looked for: people with every word of ``q`` in their names."""

    q = Text(longest=200, load_default=None, allow_none=True)

    @validates("q")
    def has_a_word(self, q: str | None, data_key: str) -> None:
        if q is not None and not name_words(q):
            raise ValidationError("Must contain a letter or a digit.")


class PatientsQuerySchema(NamesQuerySchema):
    email = Email(load_default=None, allow_none=True)


class DoctorsQuerySchema(NamesQuerySchema):
    """``speciality`` is compared without case."""

    speciality = Text(longest=LONGEST_SPECIALITY, load_default=None, allow_none=True)


def email_key(email: str | None) -> str | None:
    """The form in which addresses are compared: without regard to case."""
    return None if email is None else email.lower()


def speciality_key(speciality: str) -> str:
    """The form in which fields of medicine are compared: without regard to case."""
    return unicodedata.normalize("NFC", speciality.casefold())


def name_words(text: str) -> frozenset[str]:
    """The words of a name in the form in which they are compared: without case and accents."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    bare = "".join(each for each in plain if not unicodedata.category(each).startswith("M"))
    return frozenset(_WORD.findall(bare))
