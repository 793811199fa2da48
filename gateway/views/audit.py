"""/audit, and what patients see of it"""

from typing import Any

from sqlalchemy.orm import Session as Transaction
from werkzeug import Response

from config.audit import reader
from gateway.paging import as_page, page_of
from gateway.query import moment, read
from gateway.visit import Visit
from schemas.audit import AuditFilterSchema, AuditSchema
from schemas.loading import load


def listed(visit: Visit) -> Response:
    sent = read(visit.request, {"subject": str, "actor": str, "from": moment, "to": moment})
    return _page(visit, load(AuditFilterSchema(), sent))


def access_log(visit: Visit, patient_id: int) -> Response:
    return _page(visit, {"subject": f"patient/{patient_id}"})


def _page(visit: Visit, wanted: dict[str, Any]) -> Response:
    page = page_of(visit.request)

    def look(transaction: Transaction) -> list[Any]:
        return reader.find(transaction, **wanted, before=page.after, limit=page.limit + 1)

    rows = visit.read_trail(look)
    return as_page(
        visit.request, rows, page=page, dump=AuditSchema().dump, place=lambda row: row.position
    )
