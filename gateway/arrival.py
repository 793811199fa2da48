"""What is found out about a request before anything is done for it: who sends it, how many they
have sent, and what is known already of what it asks for. All that Redis knows of it takes one trip.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from config.cache import Look, Place
from config.clock import utc_now
from config.encryption import Unreadable
from config.redis_trip import Question
from gateway.accounts import Sessions, SignedIn
from gateway.cache import record_place, session_place
from gateway.rates import UNLIMITED
from gateway.routes import Matched
from gateway.tokens import Claims
from gateway.visit import Visit
from schemas.errors import Unauthenticated

# Sessions end without an event: should Redis not be told, so long is one believed to last.
SESSION_SECONDS = 10


def arrive(visit: Visit, matched: Matched | None, ids: Mapping[str, int]) -> None:
    """:param matched: where it leads to; None: nowhere.
    :raises TooManyRequests, TooManyAttempts: before anything else is looked at.
    :raises Unauthenticated: when the token is not, or no longer, good.
    """
    claims, refusal = None, None
    try:
        claims = _claims(visit, matched)
    except Unauthenticated as refused:
        refusal = refused
    rate_class = matched.route.rate if matched else "default"
    session = _session(visit, claims) if claims else None
    _look(visit, claims, rate_class, _places(session, matched, ids))
    if visit.rate:
        visit.rate.check()
    # What is refused before, anybody could send without end: the trail has no line for it.
    visit.heard = True
    if refusal and matched:
        raise refusal
    if claims and session and matched:
        visit.signed_in = _signed_in(visit, claims, visit.looks[session.name])


def _claims(visit: Visit, matched: Matched | None) -> Claims | None:
    token = visit.request.bearer_token() if matched is None or matched.asks_who else None
    return visit.office.tokens.claims_of_access(token) if token is not None else None


def _session(visit: Visit, claims: Claims) -> Place:
    return session_place(claims.session_id, claims.account_id, visit.office.vault)


def _places(
    session: Place | None, matched: Matched | None, ids: Mapping[str, int]
) -> list[Place]:
    places = [session] if session else []
    if session and matched and matched.route.copy:
        (record_id,) = ids.values()
        places.append(record_place(matched.route.copy, record_id))
    return places


def _look(
    visit: Visit, claims: Claims | None, rate_class: str, places: list[Place]
) -> None:
    questions: list[Question[Any]] = []
    if rate_class != UNLIMITED:
        caller = f"account/{claims.account_id}" if claims else visit.address
        questions.append(visit.office.rates.taking(rate_class, caller, known=claims is not None))
    if places:
        questions.append(visit.office.cache.look(*places))
    told = visit.office.trips.ask(*questions) if questions else []
    if places:
        visit.looks |= {look.place.name: look for look in told.pop()}
    if told:
        visit.rate = told.pop()


def _signed_in(visit: Visit, claims: Claims, look: Look) -> SignedIn:
    """Who has signed in, as it is known in Redis, or else by the database."""
    now = utc_now()
    known = _known(look, claims, now)
    if known is not None:
        return known

    def ask() -> SignedIn:
        found = visit.run(
            lambda transaction: Sessions(transaction).signed_in(claims.session_id, now=now)
        )
        visit.office.cache.keep(look, [found.role, found.subject_id, found.until.timestamp()])
        return found

    # All that a busy caller has under way would miss at once, and wait for as many connections.
    signed_in: SignedIn = visit.office.flights.read(look, ask, seconds=visit.seconds_left)
    return signed_in


def _known(look: Look, claims: Claims, now: datetime) -> SignedIn | None:
    copy = look.copy
    if copy is None or not copy.current or copy.age(now=now.timestamp()) >= SESSION_SECONDS:
        return None
    try:
        role, subject_id, until = copy.value
    except Unreadable:
        return None
    if until <= now.timestamp():
        raise Unauthenticated()
    ends = datetime.fromtimestamp(until, UTC)
    return SignedIn(claims.session_id, claims.account_id, role, subject_id, ends)
