"""/auth and /me"""

from werkzeug import Response

from gateway import sign_in
from gateway.accounts import Accounts
from gateway.responses import as_json
from gateway.visit import Visit
from schemas.accounts import LoginSchema, MeSchema, PasswordChangeSchema, RefreshSchema
from schemas.loading import load


def login(visit: Visit) -> Response:
    sent = load(LoginSchema(), visit.request.json_object())
    return as_json(sign_in.sign_in(visit, **sent), status=200)


def refresh(visit: Visit) -> Response:
    sent = load(RefreshSchema(), visit.request.json_object())
    return as_json(sign_in.refresh(visit, token=sent["refresh_token"]), status=200)


def logout(visit: Visit) -> Response:
    sign_in.sign_out(visit)
    return Response(status=204)


def password(visit: Visit) -> Response:
    sent = load(PasswordChangeSchema(), visit.request.json_object())
    sign_in.change_password(visit, **sent)
    return Response(status=204)


def me(visit: Visit) -> Response:
    caller = visit.caller
    visit.concern_login(caller.account or 0, caller.role, caller.subject)
    email = visit.run(lambda transaction: Accounts(transaction).get(caller.account or 0).email)
    known = {
        "account_id": caller.account,
        "role": caller.role,
        "subject_id": caller.subject,
        "email": email,
    }
    return as_json(MeSchema().dump(known), status=200)
