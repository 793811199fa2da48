"""Signing in and out. Whether an e-mail address has an account shows in no status, body or time."""

import logging
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session as Transaction

from config.clock import utc_now
from gateway.accounts import Accounts, FamiliarAddresses, Sessions
from gateway.models import Account
from gateway.passwords import check_password
from gateway.tokens import Pair
from gateway.visit import ACCOUNT, Visit
from schemas.errors import AccountNotFound, BadCredentials, InvalidInput, Unauthenticated
from schemas.people import email_key

_log = logging.getLogger("gateway")

# No account has it: what is asked about an account is asked about this one when there is none.
NO_ACCOUNT = 0


def sign_in(visit: Visit, *, email: str, password: str) -> dict[str, Any]:
    """A new session.

    :raises BadCredentials, TooManyAttempts:
    """
    now = utc_now()

    def look(transaction: Transaction) -> tuple[Account | None, bool]:
        account = Accounts(transaction).by_email(email)
        number = account.id if account else NO_ACCOUNT
        familiar = FamiliarAddresses(transaction).knows(number, visit.address, now=now)
        return account, familiar

    account, familiar = visit.run(look)
    visit.office.limits.sign_in(
        account=visit.office.vault.index("sign-in", str(email_key(email))),
        familiar=familiar,
    )
    kept = account.password_hash if account and not account.disabled else None
    if account is not None:
        # For the trail: whose login was tried, whatever comes of it.
        visit.concern(ACCOUNT, account.id)
    matches = visit.office.passwords.matches(kept, password, seconds=visit.seconds_left)
    if account is None or not matches:
        raise BadCredentials()
    return _begin_session(visit, account)


def refresh(visit: Visit, *, token: str) -> dict[str, Any]:
    """The next pair of tokens of the same session.

    :raises Unauthenticated: when the token is not good; used a second time, it ends its session.
    """
    session_id, number = visit.office.tokens.session_of_refresh(token)
    key = visit.office.vault.index("refresh", visit.request.idempotency_key())
    now = utc_now()

    def renew(transaction: Transaction) -> tuple[int, dict[str, Any] | None]:
        sessions = Sessions(transaction)
        account_id = sessions.signed_in(session_id, now=now).account_id
        visit.concern(ACCOUNT, account_id)
        session = sessions.refresh(session_id, number=number, key=key, now=now)
        if session is None:
            return account_id, None
        pair = visit.office.tokens.issue(
            session_id, account_id=session.account_id, refreshes=session.refreshes
        )
        return account_id, _signed_in(pair, session.account)

    account_id, renewed = visit.run(renew)
    if renewed is None:
        _log.warning("refresh token used twice", extra={"subject": f"{ACCOUNT}/{account_id}"})
        visit.sessions_changed(account_id)
        # Only now, so that the end of the session is committed.
        raise Unauthenticated()
    return renewed


def sign_out(visit: Visit) -> None:
    session_id, now = _own_session(visit), utc_now()
    visit.run(lambda transaction: Sessions(transaction).end(session_id, now=now))
    visit.sessions_changed(visit.caller.account or NO_ACCOUNT)


def change_password(visit: Visit, *, current: str, new: str) -> None:
    """Change one's own, and end every other session of the account.

    :raises InvalidInput, Unauthenticated:
    """
    session_id, now = _own_session(visit), utc_now()
    number = visit.caller.account or NO_ACCOUNT

    def look(transaction: Transaction) -> tuple[str, str]:
        account = Accounts(transaction).get(number)
        return account.password_hash, account.email

    kept, email = visit.run(look)
    if not visit.office.passwords.matches(kept, current, seconds=visit.seconds_left):
        raise InvalidInput({"currentPassword": "Is not your password."})
    check_password(new, email=email, field="newPassword")
    hashed = visit.office.passwords.hash(new, seconds=visit.seconds_left)

    def change(transaction: Transaction) -> None:
        account = Accounts(transaction).get_locked(number)
        # Still: an administrator may have ended the session while this was being hashed.
        Sessions(transaction).signed_in(session_id, now=now)
        account.password_hash, account.updated_at = hashed, now
        Sessions(transaction).end_all(number, now=now, but=session_id)

    visit.run(change)
    visit.sessions_changed(number)


def _begin_session(visit: Visit, verified: Account) -> dict[str, Any]:
    now, lasting = utc_now(), timedelta(days=visit.office.settings.session_days)

    def begin(transaction: Transaction) -> dict[str, Any]:
        # Locked: a session may not begin beside a change that ends them all.
        try:
            account = Accounts(transaction).get_locked(verified.id)
        except AccountNotFound as removed:
            raise BadCredentials() from removed
        if account.disabled or account.password_hash != verified.password_hash:
            raise BadCredentials()
        session = Sessions(transaction).begin(account, now=now, lasting=lasting)
        FamiliarAddresses(transaction).saw(account.id, visit.address, now=now)
        pair = visit.office.tokens.issue(session.id, account_id=account.id, refreshes=0)
        return _signed_in(pair, account)

    return visit.run(begin)


def _own_session(visit: Visit) -> str:
    if visit.signed_in is None:
        raise Unauthenticated()
    return visit.signed_in.session_id


def _signed_in(pair: Pair, account: Account) -> dict[str, Any]:
    return {
        "accessToken": pair.access,
        "tokenType": "Bearer",
        "expiresIn": pair.expires_in,
        "refreshToken": pair.refresh,
        "role": account.role,
        "subjectId": account.subject_id,
    }
