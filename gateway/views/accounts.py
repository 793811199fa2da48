"""/accounts"""

from typing import Any

from sqlalchemy.orm import Session as Transaction
from werkzeug import Response

from config.clock import utc_now
from gateway.accounts import Accounts
from gateway.administration import change, open_account
from gateway.paging import as_page, page_of
from gateway.responses import as_json
from gateway.visit import Visit
from schemas.accounts import AccountChangeSchema, AccountSchema
from schemas.loading import load


def create(visit: Visit) -> Response:
    fields = load(AccountSchema(), visit.request.json_object())
    account = open_account(visit, fields, now=utc_now())
    _concern(visit, account)
    response = as_json(account, status=201)
    response.headers["Location"] = f"/accounts/{account['id']}"
    return response


def listed(visit: Visit) -> Response:
    page = page_of(visit.request)

    def look(transaction: Transaction) -> list[dict[str, Any]]:
        found = Accounts(transaction).after(page.after or 0, limit=page.limit + 1)
        return [AccountSchema().dump(account) for account in found]

    found = visit.run(look)
    for account in found[: page.limit]:
        _concern(visit, account)
    return as_page(
        visit.request, found, page=page, dump=lambda account: account,
        place=lambda account: int(account["id"]),
    )


def patch(visit: Visit, account_id: int) -> Response:
    changes = load(AccountChangeSchema(), visit.request.json_object())
    account = change(visit, account_id, changes, now=utc_now())
    _concern(visit, account)
    return as_json(account, status=200)


def _concern(visit: Visit, account: dict[str, Any]) -> None:
    visit.concern_login(account["id"], account["role"], account["subjectId"])
