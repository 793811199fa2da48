"""Every query about accounts and sessions, inside one transaction."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session as Transaction

from config.answers import forget_answers_about
from config.encryption import vault_of
from gateway.models import Account, Answer, FamiliarAddress, Session
from schemas.accounts import ADMIN, PATIENT
from schemas.errors import AccountNotFound, EmailTaken, Unauthenticated
from schemas.people import email_key

# An address that was not used for so long is a stranger's again.
FAMILIAR_FOR = timedelta(days=90)


@dataclass(frozen=True)
class SignedIn:
    """Who a session belongs to, as it is now."""

    session_id: str
    account_id: int
    role: str
    subject_id: int | None
    until: datetime


class Accounts:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def by_email(self, email: str) -> Account | None:
        wanted = select(Account).where(Account.email_key == self._key(email))
        return self._transaction.scalar(wanted)

    def get(self, account_id: int) -> Account:
        """:raises AccountNotFound:"""
        return _found(self._transaction.get(Account, account_id), account_id)

    def get_locked(self, account_id: int) -> Account:
        """As ``get``, and nobody else changes it until this transaction ends."""
        return _found(self._locked(account_id), account_id)

    def after(self, account_id: int, *, limit: int) -> list[Account]:
        """The next accounts by id."""
        wanted = select(Account).where(Account.id > account_id).order_by(Account.id).limit(limit)
        return list(self._transaction.scalars(wanted))

    def open(self, fields: Mapping[str, Any], *, email: str, now: datetime) -> Account:
        """A new account.

        :raises EmailTaken: when there is one with this address.
        """
        key = self._key(email)
        account = Account(**fields, email_key=key, created_at=now, updated_at=now)
        self._transaction.add(account)
        try:
            self._transaction.flush()
        except IntegrityError as taken:
            # The address is the table's only unique column.
            raise EmailTaken() from taken
        account.email = email
        return account

    def any_administrator(self) -> bool:
        found = select(Account.id).where(Account.role == ADMIN).limit(1)
        return self._transaction.scalar(found) is not None

    def administrators(self) -> int:
        """How many can sign in."""
        # Locked: of two that are disabled at once, one would otherwise not see the other.
        able = select(Account.id).where(Account.role == ADMIN, Account.disabled.is_(False))
        return len(self._transaction.scalars(able.with_for_update()).all())

    def of(self, role: str, subject_id: int) -> list[Account]:
        """The logins of one person."""
        theirs = select(Account).where(Account.role == role, Account.subject_id == subject_id)
        return list(self._transaction.scalars(theirs))

    def ids_of(self, role: str, subject_id: int) -> list[int]:
        """Of the logins of one person."""
        theirs = select(Account.id).where(Account.role == role, Account.subject_id == subject_id)
        return list(self._transaction.scalars(theirs))

    def close_for(self, role: str, subject_id: int) -> list[int]:
        """Remove every login of one person, and what is known of their sign-ins; their ids."""
        ids = self.ids_of(role, subject_id)
        for account_id in ids:
            # Locked: a session that begins meanwhile would keep its account from being removed.
            account = self._locked(account_id)
            # Of the request and the event that end it, the other one may have been quicker.
            if account:
                self.remove(account)
                gone = AccountNotFound(account_id)
                forget_answers_about(self._transaction, Answer, account_id, instead=gone)
        return ids

    def forget_unfinished(self, *, before: datetime) -> None:
        """Remove logins that have waited for their record since ``before`` then: nobody can finish
        them any more, and their addresses are free again."""
        waiting = select(Account).where(
            Account.role == PATIENT, Account.subject_id.is_(None), Account.created_at < before
        )
        for account in self._transaction.scalars(waiting.with_for_update()).all():
            self.remove(account)

    def remove(self, account: Account) -> None:
        """With what is known of its sign-ins."""
        for table in (Session, FamiliarAddress):
            self._transaction.execute(delete(table).where(table.account_id == account.id))
        self._transaction.delete(account)

    def _locked(self, account_id: int) -> Account | None:
        wanted = select(Account).where(Account.id == account_id).with_for_update()
        return self._transaction.scalar(wanted)

    def _key(self, email: str) -> str:
        return vault_of(self._transaction).index("email", str(email_key(email)))


class Sessions:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def begin(self, account: Account, *, now: datetime, lasting: timedelta) -> Session:
        session = Session(
            id=secrets.token_hex(16),
            account_id=account.id,
            refreshes=0,
            created_at=now,
            expires_at=now + lasting,
        )
        self._transaction.add(session)
        return session

    def signed_in(self, session_id: str, *, now: datetime) -> SignedIn:
        """:raises Unauthenticated: when the session is over, or its account disabled."""
        wanted = (
            select(Session.account_id, Account.role, Account.subject_id, Session.expires_at)
            .join(Session.account)
            .where(
                Session.id == session_id,
                Session.ended_at.is_(None),
                Session.expires_at > now,
                Account.disabled.is_(False),
            )
        )
        row = self._transaction.execute(wanted).one_or_none()
        if row is None:
            raise Unauthenticated()
        return SignedIn(session_id, *row)

    def refresh(
        self, session_id: str, *, number: int, key: str, now: datetime
    ) -> Session | None:
        """The session with one more refresh; or nothing, when ``number`` was used before.

        Then somebody has a copy of the token. Nobody can tell which of the two is the owner, so
        the session ends for both (RFC 9700, section 4.14.2). A request that comes again because
        its answer was lost has the same ``key``, and gets that answer.

        :raises Unauthenticated: when the session is over, or its account disabled.
        """
        wanted = select(Session).where(Session.id == session_id).with_for_update()
        session = self._transaction.scalar(wanted)
        self.signed_in(session_id, now=now)
        if session and (session.refreshes, session.refreshed_by) == (number + 1, key):
            return session
        if session is None or session.refreshes != number:
            self.end(session_id, now=now)
            return None
        session.refreshes, session.refreshed_by = number + 1, key
        return session

    def of(self, account_id: int) -> list[Session]:
        theirs = select(Session).where(Session.account_id == account_id)
        return list(self._transaction.scalars(theirs.order_by(Session.created_at)))

    def end(self, session_id: str, *, now: datetime) -> None:
        self._end(Session.id == session_id, now=now)

    def end_all(self, account_id: int, *, now: datetime, but: str | None = None) -> None:
        """End the sessions of an account, except ``but``."""
        self._end(Session.account_id == account_id, Session.id != (but or ""), now=now)

    def forget_some(self, *, before: datetime, limit: int) -> int:
        """Delete up to ``limit`` sessions that were over ``before`` then; how many they were."""
        over = or_(Session.expires_at < before, Session.ended_at < before)
        ids = self._transaction.scalars(select(Session.id).where(over).limit(limit)).all()
        self._transaction.execute(delete(Session).where(Session.id.in_(ids)))
        return len(ids)

    def _end(self, *which: Any, now: datetime) -> None:
        ending = update(Session).where(*which, Session.ended_at.is_(None)).values(ended_at=now)
        self._transaction.execute(ending)


class FamiliarAddresses:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def knows(self, account_id: int, address_key: str, *, now: datetime) -> bool:
        found = select(func.count()).where(
            FamiliarAddress.account_id == account_id,
            FamiliarAddress.address_key == address_key,
            FamiliarAddress.seen_at > now - FAMILIAR_FOR,
        )
        return bool(self._transaction.scalar(found))

    def seen(self, account_id: int) -> list[datetime]:
        """When each address was last signed in from."""
        theirs = select(FamiliarAddress.seen_at).where(FamiliarAddress.account_id == account_id)
        return list(self._transaction.scalars(theirs.order_by(FamiliarAddress.seen_at)))

    def saw(self, account_id: int, address_key: str, *, now: datetime) -> None:
        """Call with the account locked: of two first times at once, one would fail."""
        row = FamiliarAddress(account_id=account_id, address_key=address_key, seen_at=now)
        self._transaction.merge(row)

    def forget_some(self, *, before: datetime, limit: int) -> int:
        """Delete up to ``limit`` that nobody came from since ``before``; how many they were."""
        old = select(FamiliarAddress).where(FamiliarAddress.seen_at < before).limit(limit)
        # Whoever is just coming from one of them keeps it.
        rows = self._transaction.scalars(old.with_for_update(skip_locked=True)).all()
        for row in rows:
            self._transaction.delete(row)
        return len(rows)


def _found(account: Account | None, account_id: int) -> Account:
    if account is None:
        raise AccountNotFound(account_id)
    return account
