"""The audit trail as administrators ask for it and read it."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from schemas.audit import AuditFilterSchema, AuditSchema
from schemas.errors import InvalidInput
from schemas.fields import MAX_ID
from schemas.loading import load


def complaints(payload):
    with pytest.raises(InvalidInput) as refused:
        load(AuditFilterSchema(), payload)
    return list(refused.value.errors)


def test_without_a_word_everything_is_wanted():
    assert load(AuditFilterSchema(), {}) == {}


def test_a_filter_loads_by_attribute_names():
    sent = {
        "subject": "patient/7", "actor": "12", "from": "2027-03-01T10:00:00+01:00",
        "to": "2027-03-02T00:00:00Z",
    }
    assert load(AuditFilterSchema(), sent) == {
        "subject": "patient/7",
        "account": 12,
        "since": datetime(2027, 3, 1, 9, tzinfo=UTC),
        "until": datetime(2027, 3, 2, tzinfo=UTC),
    }


def test_an_instant_without_an_offset_is_in_utc():
    wanted = load(AuditFilterSchema(), {"from": "2027-03-01T09:00:00"})
    assert wanted == {"since": datetime(2027, 3, 1, 9, tzinfo=UTC)}


@pytest.mark.parametrize(
    "subject",
    ["", "patient", "patient/", "/7", "patient/x", "Patient/7", "patient/7 ", " patient/7",
     "patient/7\n", "patient/" + "9" * 20, "p" * 33 + "/7", "patient/٣", "patient/7/8", "%"],
)
def test_what_names_nobody_is_refused(subject):
    assert complaints({"subject": subject}) == ["subject"]


@pytest.mark.parametrize("actor", ["1", str(MAX_ID)])
def test_an_actor_is_an_accounts_id(actor):
    assert load(AuditFilterSchema(), {"actor": actor}) == {"account": int(actor)}


@pytest.mark.parametrize(
    "actor", ["", "0", "-1", "x", "1.5", "1e3", str(MAX_ID + 1), "9" * 40, "9" * 5000, "admin"]
)
def test_what_is_no_id_is_no_actor(actor):
    assert complaints({"actor": actor}) == ["actor"]


@pytest.mark.parametrize("name", ["from", "to"])
@pytest.mark.parametrize("moment", ["", "today", "2027-02-30T00:00:00Z", "2027-03-01"])
def test_what_is_no_instant_is_refused(name, moment):
    assert complaints({name: moment}) == [name]


def test_a_line_is_told_without_its_seal():
    row = SimpleNamespace(
        position=9, at=datetime(2027, 3, 1, 9, tzinfo=UTC), actor_role="staff", actor_account=12,
        action="GET /patients/<patient_id>", resource="patient/7", subject="patient/7",
        outcome="200", correlation_id="abc", chain="c", number=1, mac="m", key_id="1", witness=None,
    )
    assert AuditSchema().dump(row) == {
        "id": 9, "at": "2027-03-01T09:00:00Z", "role": "staff", "accountId": 12,
        "action": "GET /patients/<patient_id>", "resource": "patient/7", "subject": "patient/7",
        "outcome": "200", "correlationId": "abc",
    }


def test_a_line_about_nobody_says_so():
    row = SimpleNamespace(
        position=9, at=datetime(2027, 3, 1, 9, tzinfo=UTC), actor_role="nobody",
        actor_account=None, action="GET /me", resource=None, subject=None, outcome="401",
        correlation_id="abc",
    )
    told = AuditSchema().dump(row)
    assert (told["accountId"], told["resource"], told["subject"]) == (None, None, None)
