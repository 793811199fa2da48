"""Patients and doctors as they appear in HTTP bodies and RPC values (camelCase)."""

from marshmallow import Schema

from schemas.fields import Day, Email, Identifier, Instant, Phone, Text, Timezone


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

    def __init__(self, *, phone_region: str | None = None) -> None:
        super().__init__()
        self.phone_region = phone_region


class PatientSchema(PersonSchema):
    dob = Day(required=True)
    address = Text(longest=500, lines=True, required=True)


class DoctorSchema(PersonSchema):
    """``timezone`` is optional on the way in; the doctor service fills in the clinic's."""

    speciality = Text(longest=100, required=True)
    timezone = Timezone(load_default=None, allow_none=True)


def email_key(email: str | None) -> str | None:
    """The form in which addresses are compared: without regard to case."""
    return None if email is None else email.lower()
