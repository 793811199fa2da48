"""What the drill, and its checker, see of RabbitMQ by its management API and by AMQP."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from kombu import Connection

from config.messaging.connection import open_connection

# How the queues begin in which processes wait for answers.
REPLIES = "rpc.reply-"


@dataclass(frozen=True)
class Depth:
    """How many messages a queue holds."""

    queue: str
    messages: int


class Broker:
    def __init__(self, admin_url: str, uri: str) -> None:
        parts = urlsplit(admin_url)
        self.uri = uri
        self._auth = (parts.username or "", parts.password or "")
        self._base = f"{parts.scheme}://{parts.hostname}:{parts.port}/api"
        path = urlsplit(uri).path[1:]
        self._vhost = quote(path or "/", safe="")

    def depths(self) -> list[Depth]:
        # Totals are to be had although nobody collects statistics.
        query = "disable_stats=true&enable_queue_totals=true"
        found = self._get(f"/queues/{self._vhost}?{query}")
        return [Depth(each["name"], each.get("messages", 0)) for each in found]

    def counts(self) -> dict[str, int]:
        """Of connections and queues, all together."""
        totals: dict[str, int] = self._get("/overview")["object_totals"]
        replies = sum(each.queue.startswith(REPLIES) for each in self.depths())
        return {**{name: totals.get(name, 0) for name in ("connections", "queues")},
                "replies": replies}

    def version(self) -> str:
        return str(self._get("/overview")["rabbitmq_version"])

    def connections(self) -> list[str]:
        return [each["name"] for each in self._get("/connections")]

    def cut(self, connection: str) -> None:
        self._ask("DELETE", f"/connections/{quote(connection, safe='')}")

    def peek(self, queue: str, *, most: int = 10_000) -> list[dict[str, Any]]:
        """Messages of ``queue``, which stay there: ``payload``, ``properties`` and so on."""
        wanted = {"count": most, "ackmode": "ack_requeue_true", "encoding": "auto"}
        path = f"/queues/{self._vhost}/{quote(queue, safe='')}/get"
        found: list[dict[str, Any]] = self._ask("POST", path, json=wanted).json()
        return found

    def connect(self) -> Connection:
        return open_connection(self.uri, seconds=5)

    def _get(self, path: str) -> Any:
        return self._ask("GET", path).json()

    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        answer = httpx.request(
            method, self._base + path, auth=self._auth, timeout=5, verify=False, trust_env=False,
            **options,
        )
        answer.raise_for_status()
        return answer
