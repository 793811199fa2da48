"""Users of RabbitMQ, and limits of its queues, made through its management API."""

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from kombu import Connection

from config.broker_rights import BrokerRights
from config.tls import client_context

ANSWER_SECONDS = 10
DEFAULT_PORTS = {"http": 15672, "https": 15671}
MEANINGS = {
    401: "refuses this user, password, or both; the user must be an administrator",
    404: "does not know the virtual host that AMQP_URI names",
}


class SetupRefused(Exception):
    """The broker or the users cannot be made ready; the text says why, and shows no password."""


class BrokerAdmin:
    """Users and limits of the virtual host ``vhost``, known by their names."""

    def __init__(self, http: HTTPConnection, authorization: str, vhost: str) -> None:
        self._http = http
        self._headers = {"Authorization": authorization, "Content-Type": "application/json"}
        self._vhost = quote(vhost, safe="")

    def check(self) -> None:
        """:raises SetupRefused: when the virtual host or the right to see it is missing."""
        self._send("GET", f"vhosts/{self._vhost}")

    def make(self, name: str, password: str, rights: BrokerRights) -> None:
        """Who is connected stays so; who connects from now on needs the new password."""
        user = quote(name, safe="")
        self._send("PUT", f"users/{user}", {"password": password, "tags": ""})
        # These limit what the others give, so they come first.
        for topic in rights.topic_permissions():
            self._send("PUT", f"topic-permissions/{self._vhost}/{user}", topic)
        self._send("PUT", f"permissions/{self._vhost}/{user}", rights.permissions())

    def make_policy(self, name: str, queues: str, limits: Mapping[str, object]) -> None:
        """:param queues: which ones, as a regular expression; no other policy counts for them."""
        body = {"pattern": queues, "definition": limits, "priority": 1, "apply-to": "queues"}
        self._send("PUT", f"policies/{self._vhost}/{quote(name, safe='')}", body)

    def queues(self) -> dict[str, bool]:
        """By name; whether the broker removes it when nobody has used it for a time."""
        columns = "name,arguments,effective_policy_definition"
        found = json.loads(self._send("GET", f"queues/{self._vhost}?columns={columns}"))
        return {each["name"]: _expires(each) for each in found}

    def _send(self, method: str, path: str, body: object = None) -> bytes:
        content = None if body is None else json.dumps(body)
        try:
            self._http.request(method, f"/api/{path}", content, self._headers)
            answer = self._http.getresponse()
            told = answer.read()
        except (OSError, HTTPException) as failure:
            raise self._refused(f"does not answer ({failure})") from failure
        if answer.status >= 300:
            raise self._refused(MEANINGS.get(answer.status, f"answers with {answer.status}"))
        return told

    def _refused(self, why: str) -> SetupRefused:
        where = f"{self._http.host}:{self._http.port}"
        return SetupRefused(f"AMQP_ADMIN_URL: RabbitMQ's management API at {where} {why}.")


@contextmanager
def broker_admin(admin_url: str, *, vhost: str, ca_file: str | None) -> Iterator[BrokerAdmin]:
    """:raises SetupRefused: from inside, too."""
    url = urlsplit(admin_url)
    credentials = f"{unquote(url.username or '')}:{unquote(url.password or '')}".encode()
    http = _connection(url.scheme, url.hostname or "", url.port, ca_file)
    try:
        admin = BrokerAdmin(http, f"Basic {b64encode(credentials).decode()}", vhost)
        admin.check()
        yield admin
    finally:
        http.close()


def _connection(scheme: str, host: str, port: int | None, ca_file: str | None) -> HTTPConnection:
    """Not by way of any proxy that the environment names: passwords travel here."""
    port = port or DEFAULT_PORTS[scheme]
    if scheme == "http":
        return HTTPConnection(host, port, timeout=ANSWER_SECONDS)
    context = client_context(ca_file)
    return HTTPSConnection(host, port, timeout=ANSWER_SECONDS, context=context)


def _expires(queue: Mapping[str, Any]) -> bool:
    """RabbitMQ tells no policy as an empty list, and for a moment not at all."""
    by_policy = queue.get("effective_policy_definition") or {}
    return "x-expires" in queue["arguments"] or "expires" in by_policy


def vhost_of(uri: str) -> str:
    """The virtual host, as kombu understands the address."""
    connection: Any = Connection(uri)
    return str(connection.virtual_host)
