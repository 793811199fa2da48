"""Which version of a record a client has, or means to change: ETag, If-None-Match and If-Match
(RFC 9110, section 13)."""

import re
from collections.abc import Mapping
from typing import Any

from werkzeug.exceptions import BadRequest

from gateway.request import ApiRequest
from schemas.errors import VersionNeeded

# The member of a record that counts its changes. Clients see it as the tag and nowhere else.
VERSION = "version"
WHICHEVER = "*"
# Of what is not stored yet.
NONE_YET = 0

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
# Empty elements are passed over, as section 5.6.1 wants it.
_TAGS = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*")
_OURS = re.compile(r'"(0|[1-9][0-9]{0,17})"')


def bare(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The record as bodies show it."""
    return {name: value for name, value in stored.items() if name != VERSION}


def tag_of(stored: Mapping[str, Any], *, form: str = "") -> str | None:
    """The strong tag of a record; there is none for an answer that was kept from before there were
    versions.

    :param form: names another form than the whole record. What one of the two has, the other has
        not, so each form has tags of its own.
    """
    if VERSION not in stored:
        return None
    return f'"{stored[VERSION]}.{form}"' if form else f'"{stored[VERSION]}"'


def is_known(request: ApiRequest, tag: str) -> bool:
    """Whether the client says that it has what ``tag`` stands for.

    :raises BadRequest: when it says so in no readable way.
    """
    sent = request.headers.get("If-None-Match")
    if sent is None or request.method not in ("GET", "HEAD"):
        return False
    if sent.strip() == WHICHEVER:
        return True
    # Compared weakly: W/"7" is as good as "7".
    return tag in (each.removeprefix("W/") for each in _tags("If-None-Match", sent))


def meant_versions(request: ApiRequest) -> list[int] | None:
    """The versions that a change is meant for; None: whichever there is.

    :raises BadRequest: for headers that cannot be read, or not together.
    """
    meant, unless = (request.headers.get(name) for name in ("If-Match", "If-None-Match"))
    if unless is None:
        return None if meant is None or meant.strip() == WHICHEVER else _versions(meant)
    if meant is not None or unless.strip() != WHICHEVER:
        raise BadRequest("A change takes If-Match, or else If-None-Match with *.")
    return [NONE_YET]


def needed_versions(request: ApiRequest) -> list[int] | None:
    """As ``meant_versions``; :raises VersionNeeded: when the client does not say."""
    if "If-Match" not in request.headers and "If-None-Match" not in request.headers:
        raise VersionNeeded()
    return meant_versions(request)


def _versions(sent: str) -> list[int]:
    """Those of our own tags: a weak or foreign one matches nothing."""
    ours = (_OURS.fullmatch(each) for each in _tags("If-Match", sent))
    return sorted({int(found[1]) for found in ours if found})


def _tags(header: str, sent: str) -> list[str]:
    if not _TAGS.fullmatch(sent):
        raise BadRequest(f'{header} must be * or a list of ETags, such as "7".')
    return re.findall(_TAG, sent)
