"""JSON on the wire is JSON, and nothing else."""

import json

from kombu import serialization


def install() -> None:
    """Make kombu's ``json`` the standard library's, in this process.

    kombu's own gives a meaning to ``{"__type__": ...}``, which a client's body may contain: it
    then fails to decode, and the call is never answered.
    """
    serialization.register(
        "json", json.dumps, json.loads, content_type="application/json", content_encoding="utf-8"
    )
