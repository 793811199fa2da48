"""Lines of the audit trail as they appear in HTTP bodies (camelCase)."""

from datetime import UTC, datetime
from typing import Any

from marshmallow import Schema, fields
from marshmallow.validate import Range, Regexp

from schemas.fields import MAX_ID, Instant


class AuditSchema(Schema):
    """``subject`` says whose data it was, ``actor`` who did it: role and account."""

    id = fields.Integer(attribute="position")
    at = Instant()
    role = fields.String(attribute="actor_role")
    account_id = fields.Integer(attribute="actor_account", data_key="accountId")
    action = fields.String()
    resource = fields.String()
    subject = fields.String()
    outcome = fields.String()
    correlation_id = fields.String(data_key="correlationId")


class Moment(Instant):
    """An instant that is in UTC when it comes without an offset: no doctor's zone is meant here."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> datetime:
        sent = super()._deserialize(value, attr, data, **kwargs)
        return sent if sent.tzinfo else sent.replace(tzinfo=UTC)


class AuditFilterSchema(Schema):
    """The query of GET /audit: ``actor`` is an account's id, ``to`` is exclusive."""

    subject = fields.String(validate=Regexp(r"[a-z]{1,32}/[0-9]{1,19}\Z"))
    account = fields.Integer(data_key="actor", validate=Range(1, MAX_ID))
    since = Moment(data_key="from")
    until = Moment(data_key="to")
