"""Logins as they appear in HTTP bodies (camelCase)."""

from typing import Any

from marshmallow import Schema, ValidationError, fields
from marshmallow.validate import OneOf

from schemas.fields import Email, Identifier, Instant

PATIENT, DOCTOR, STAFF, ADMIN = "patient", "doctor", "staff", "admin"
ROLES = (PATIENT, DOCTOR, STAFF, ADMIN)
# These sign in as the person of a record; the others work for the clinic as a whole.
ROLES_WITH_SUBJECT = (PATIENT, DOCTOR)
LONGEST_PASSWORD = 1024
LONGEST_TOKEN = 1024


class Secret(fields.String):
    """A password or token: taken as it is, blanks included."""

    def __init__(self, *, longest: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.longest = longest

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        text: str = super()._deserialize(value, attr, data, **kwargs)
        if not 1 <= len(text) <= self.longest:
            raise ValidationError(f"Must have 1 to {self.longest} characters.")
        try:
            text.encode()
        except UnicodeEncodeError as surrogate:
            raise ValidationError("Must be text.") from surrogate
        return text


class YesOrNo(fields.Field[bool]):
    """A JSON truth value, and nothing that only looks like one."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("Must be true or false.")
        return value


class LoginSchema(Schema):
    email = Email(required=True)
    password = Secret(longest=LONGEST_PASSWORD, required=True)


class RefreshSchema(Schema):
    refresh_token = Secret(longest=LONGEST_TOKEN, required=True, data_key="refreshToken")


class PasswordChangeSchema(Schema):
    current = Secret(longest=LONGEST_PASSWORD, required=True, data_key="currentPassword")
    new = Secret(longest=LONGEST_PASSWORD, required=True, data_key="newPassword")


class AccountSchema(Schema):
    """``subjectId`` is the id of the patient or doctor who signs in with it."""

    id = Identifier(dump_only=True)
    email = Email(required=True)
    password = Secret(longest=LONGEST_PASSWORD, required=True, load_only=True)
    role = fields.String(required=True, validate=OneOf(ROLES))
    subject_id = Identifier(load_default=None, allow_none=True, data_key="subjectId")
    disabled = fields.Boolean(dump_only=True)
    created_at = Instant(dump_only=True, data_key="createdAt")
    updated_at = Instant(dump_only=True, data_key="updatedAt")


class AccountChangeSchema(Schema):
    """What an administrator may change; what is left out stays."""

    password = Secret(longest=LONGEST_PASSWORD)
    role = fields.String(validate=OneOf(ROLES))
    subject_id = Identifier(allow_none=True, data_key="subjectId")
    disabled = YesOrNo()


class SessionSchema(Schema):
    """A sign-in, as its owner may see it: its id would be of use to others."""

    created_at = Instant(data_key="createdAt")
    expires_at = Instant(data_key="expiresAt")
    ended_at = Instant(data_key="endedAt")


class MeSchema(Schema):
    account_id = Identifier(data_key="accountId")
    role = fields.String()
    subject_id = Identifier(allow_none=True, data_key="subjectId")
    email = fields.String()
