"""What patients may ask for about their own data (GDPR articles 15, 17 and 20), and legal holds."""

from http import HTTPStatus

from sqlalchemy.orm import Session as Transaction
from werkzeug import Response

from config.clock import utc_now
from gateway.accounts import Accounts
from gateway.export import everything_about
from gateway.responses import as_json, nothing
from gateway.visit import Visit
from schemas.accounts import PATIENT
from schemas.errors import InvalidInput


def export(visit: Visit, patient_id: int) -> Response:
    response = as_json(everything_about(visit, patient_id, now=utc_now()), status=HTTPStatus.OK)
    name = f"patient-{patient_id}.json"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def erase(visit: Visit, patient_id: int) -> Response:
    """Taken on: the record and the logins are gone at once, the rest follows by an event."""
    def theirs(transaction: Transaction) -> list[int]:
        return Accounts(transaction).ids_of(PATIENT, patient_id)

    def close(transaction: Transaction) -> list[int]:
        return Accounts(transaction).close_for(PATIENT, patient_id)

    # By the event they may be removed before this is; no session of theirs outlives this either.
    before = visit.run(theirs)
    visit.ask("patient", "erase", patient_id).result()
    visit.sessions_changed(*{*before, *visit.run(close)})
    return as_json({"status": "erasing"}, status=HTTPStatus.ACCEPTED)


def hold(visit: Visit, patient_id: int) -> Response:
    body = visit.request.json_object()
    if body.keys() - {"reason"}:
        raise InvalidInput({name: "Unknown field." for name in body.keys() - {"reason"}})
    return nothing(visit.ask("patient", "hold", patient_id, body.get("reason")))


def release(visit: Visit, patient_id: int) -> Response:
    return nothing(visit.ask("patient", "release", patient_id))
