"""What the parameters of an address mean: each comes as text."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from gateway.request import ApiRequest
from schemas.errors import InvalidInput

# Raises ValueError, with what to tell, for text that is none of its kind.
Kind = Callable[[str], Any]

_DIGITS = re.compile("[0-9]{1,19}")
_TRUTH = {"true": True, "false": False}
# A plus sign that was not written as %2B arrives as a blank.
_LOST_PLUS = re.compile(r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d\S*) (\d\d:\d\d)", re.ASCII)


def read(request: ApiRequest, kinds: Mapping[str, Kind]) -> dict[str, Any]:
    """The parameters that came, each read as its kind.

    :raises InvalidInput: naming all that cannot be.
    """
    found: dict[str, Any] = {}
    refused: dict[str, str] = {}
    for name, kind in kinds.items():
        sent = request.parameter(name)
        if sent is None:
            continue
        try:
            found[name] = kind(sent)
        except ValueError as unlike:
            refused[name] = str(unlike)
    if refused:
        raise InvalidInput(refused)
    return found


def whole_number(sent: str) -> int:
    if not _DIGITS.fullmatch(sent):
        raise ValueError("Must be a whole number.")
    return int(sent)


def truth(sent: str) -> bool:
    if sent not in _TRUTH:
        raise ValueError("Must be true or false.")
    return _TRUTH[sent]


def moment(sent: str) -> str:
    """A date or an instant, for a service to judge."""
    return _LOST_PLUS.sub(r"\1+\2", sent)
