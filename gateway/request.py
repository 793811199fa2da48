"""What a client sent, read with suspicion."""

import hashlib
import json
import math
import re
import uuid
from collections.abc import Set
from functools import cached_property
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Any

from werkzeug import Request
from werkzeug.exceptions import (
    BadRequest,
    HTTPException,
    RequestEntityTooLarge,
    UnsupportedMediaType,
)

from schemas.errors import InvalidInput, Unauthenticated

LARGEST_BODY = 64 * 1024
DEEPEST_NESTING = 32
# Python takes its time to read longer ones, and no field of ours holds them.
LONGEST_NUMBER = 40
# Where the clients' idempotency keys count; other methods may be sent again as they are.
KEYED = frozenset(("POST", "PATCH"))
# A front end that looks at the method or path would be told another than we are.
OVERRIDES = (
    "X-Http-Method-Override", "X-Http-Method", "X-Method-Override", "X-Original-Url",
    "X-Rewrite-Url",
)

_CORRELATION_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Visible ASCII, as the contract says.
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")
# RFC 6750, section 2.1; the scheme's name is compared without case.
_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)


class ApiRequest(Request):
    # One byte more, so that a body without a declared length shows that it is too large.
    max_content_length = LARGEST_BODY + 1

    def json_body(self) -> Any:
        """The body's JSON value.

        :raises UnsupportedMediaType, RequestEntityTooLarge, BadRequest: the latter for broken
            JSON, duplicate keys, numbers JSON does not know and text that is not UTF-8.
        """
        if self.mimetype != "application/json":
            raise UnsupportedMediaType("The body must be application/json.")
        body = self._whole_body()
        try:
            value = json.loads(
                body.decode("utf-8"),
                object_pairs_hook=_without_duplicates,
                parse_constant=_refuse_constant,
                parse_int=_short_int,
                parse_float=_short_float,
            )
        except (ValueError, RecursionError) as unreadable:
            raise BadRequest("The body is not readable JSON.") from unreadable
        if _deeper_than(DEEPEST_NESTING, value):
            raise BadRequest(f"The body is nested deeper than {DEEPEST_NESTING} levels.")
        return value

    def _whole_body(self) -> bytes:
        """:raises RequestEntityTooLarge, BadRequest: also for a body that ended early."""
        try:
            body = self.get_data(cache=False)
        except HTTPException:
            raise
        # Each server has errors of its own for chunks that cannot be read.
        except Exception as unreadable:
            raise BadRequest("The body cannot be read to its end.") from unreadable
        if len(body) > LARGEST_BODY:
            raise RequestEntityTooLarge()
        if len(body) < (self.content_length or 0):
            raise BadRequest("The body is shorter than its Content-Length.")
        return body

    def json_object(self) -> dict[str, Any]:
        """As ``json_body``; :raises BadRequest: also for JSON that is not an object."""
        body = self.json_body()
        if not isinstance(body, dict):
            raise BadRequest("The body must be a JSON object.")
        return body

    def check_overrides(self) -> None:
        """:raises BadRequest: when a header asks to take the request for another one."""
        for name in OVERRIDES:
            if name in self.headers:
                raise BadRequest(f"The header {name} is not taken.")

    def bearer_token(self) -> str | None:
        """The token of the Authorization header, or nothing when there is none.

        :raises Unauthenticated: when the header holds anything else.
        """
        sent = self.headers.get("Authorization")
        if sent is None:
            return None
        found = _BEARER.fullmatch(sent.strip())
        if found is None:
            raise Unauthenticated()
        return found[1]

    def check_query(self, known: Set[str]) -> None:
        """:raises InvalidInput: for a parameter that is unknown, or comes twice.

        Passed over, a mistyped filter would show everything.
        """
        try:
            sent = self.args.to_dict(flat=False)
        except UnicodeDecodeError as unreadable:
            raise BadRequest("The query is not UTF-8.") from unreadable
        refused = {name: "Unknown parameter." for name in sent.keys() - known}
        doubled = {name: "Must come once." for name in known if len(sent.get(name, ())) > 1}
        if refused or doubled:
            raise InvalidInput({**refused, **doubled})

    def parameter(self, name: str) -> str | None:
        """A query parameter; :raises BadRequest: when the query is not UTF-8."""
        try:
            return self.args.get(name)
        except UnicodeDecodeError as unreadable:
            raise BadRequest("The query is not UTF-8.") from unreadable

    def correlation_id(self) -> str:
        """The client's own when it is a sane token, else a new one."""
        sent = self.headers.get("X-Correlation-Id", "")
        return sent if _CORRELATION_ID.fullmatch(sent) else uuid.uuid4().hex

    @cached_property
    def _made_key(self) -> str:
        return uuid.uuid4().hex

    def idempotency_key(self) -> str:
        """The client's key, or one for this request alone, so that no delivery of it acts twice.

        :raises BadRequest: when the header is not 1 to 255 visible ASCII characters.
        """
        sent = self.headers.get("Idempotency-Key")
        if self.method not in KEYED or sent is None:
            return self._made_key
        if not _IDEMPOTENCY_KEY.fullmatch(sent):
            raise BadRequest("Idempotency-Key must be 1 to 255 visible ASCII characters.")
        # Hashed: what clients put into their keys is not ours to store or log.
        return hashlib.sha256(sent.encode("ascii")).hexdigest()


def network_of(address: str) -> str:
    """What one client can send from: an IPv4 address, or the /64 that a customer gets of IPv6."""
    try:
        sent = ip_address(address)
    except ValueError:
        return address
    if isinstance(sent, IPv4Address):
        return str(sent)
    return str(sent.ipv4_mapped or ip_network((sent, 64), strict=False))


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("duplicate key")
    return fields


def _deeper_than(levels: int, value: Any) -> bool:
    row = [value]
    for _ in range(levels + 1):
        row = [inner for outer in row for inner in _inside(outer)]
    return bool(row)


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _short_int(digits: str) -> int:
    return int(_short(digits))


def _short_float(digits: str) -> float:
    number = float(_short(digits))
    if math.isinf(number):
        raise ValueError("number too large")
    return number


def _short(digits: str) -> str:
    if len(digits) > LONGEST_NUMBER:
        raise ValueError("number too long")
    return digits


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
