"""What a call looks like on the wire; all else in the queue of a service is junk."""

import re
from typing import Any

from kombu import Message
from nameko.exceptions import MalformedRequest

from config.messaging.junk import Junk

# A UUID, with dashes or without: answers go to the exchange that calls go to as well, and must
# not be taken for calls. The broker refuses other keys, too, and ends the channel over it.
REPLY_TO = "[0-9a-f-]{32,36}"
_CORRELATION_ID = re.compile(r"[\x20-\x7e]{1,255}")


def can_be_answered(message: Message) -> bool:
    return bool(re.fullmatch(REPLY_TO, message.properties.get("reply_to") or ""))


def check_properties(message: Message) -> None:
    """:raises Junk: when there is nobody to answer, or no telling what is answered."""
    if not can_be_answered(message):
        # Answering would bring the whole service down.
        raise Junk("no reply_to")
    if not _CORRELATION_ID.fullmatch(message.properties.get("correlation_id") or ""):
        raise Junk("no correlation_id")


def check_call(body: Any) -> None:
    """:raises Junk: when ``body`` is not Nameko's form of a call."""
    if not isinstance(body, dict):
        raise Junk("no call")
    if not isinstance(body.get("args"), list) or not isinstance(body.get("kwargs"), dict):
        raise Junk("no call", told=MalformedRequest("Message missing `args` or `kwargs`"))
