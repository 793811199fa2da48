"""Everything that a system writes anywhere: logs, files, rows, keys, messages."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from kombu import Connection, Exchange, Queue
from redis import Redis
from sqlalchemy import Connection as SqlConnection
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from config.database import connect
from schemas.events import NAMES
from tests.e2e.desk import eventually, unique
from tests.e2e.markers import Content

AT_ONCE = 16 * 1024 * 1024
# Longer than any form of a marker: what lies across two pieces is found in the second.
OVERLAP = 4096


def lines_of(folder: Path) -> Iterator[Content]:
    for file in sorted(folder.glob("*.log")):
        for number, line in enumerate(file.read_bytes().splitlines(), 1):
            yield f"{file.name}:{number}", line


def files_in(folder: Path) -> Iterator[Content]:
    """The raw bytes of every file, a piece at a time."""
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            yield from _pieces(file)
        except FileNotFoundError:
            continue  # a temporary one


def _pieces(file: Path) -> Iterator[Content]:
    with file.open("rb") as opened:
        before = b""
        while piece := opened.read(AT_ONCE):
            yield str(file), before + piece
            before = piece[-OVERLAP:]


# Databases


def rows_of_sqlite(folder: Path) -> Iterator[Content]:
    for file in sorted(folder.glob("*.sqlite3")):
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
            database.text_factory = bytes
            tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            for (name,) in tables.fetchall():
                for row in database.execute(f'SELECT * FROM "{name.decode()}"'):
                    yield f"{file.name}:{name.decode()}", _bytes_of(row)


def rows_of_server(url: str) -> Iterator[Content]:
    """Of every database whose name begins with that of ``url``."""
    with _server(url) as engine, engine.connect() as connection:
        for schema, table in _tables(connection, url):
            for row in connection.execute(text(f"SELECT * FROM `{schema}`.`{table}`")):
                yield f"{schema}.{table}", _bytes_of(row)


def _tables(connection: SqlConnection, url: str) -> list[Any]:
    wanted = text(
        "SELECT table_schema, table_name FROM information_schema.tables "
        "WHERE table_schema LIKE :schema AND table_type = 'BASE TABLE'"
    )
    ours = {"schema": f"{make_url(url).database}\\_%"}
    return list(connection.execute(wanted, ours))


def _bytes_of(row: Any) -> bytes:
    return b"\n".join(
        value if isinstance(value, bytes) else str(value).encode() for value in row
    )


def server_folder(url: str) -> Path | None:
    """Where the server keeps its files and, for private ones, those of its neighbours."""
    with _server(url) as engine, engine.connect() as connection:
        data = Path(connection.scalar(text("SELECT @@datadir")))
    folder = data.parent.parent
    return folder if (folder / "lock").exists() else data if data.is_dir() else None


def flush(url: str) -> None:
    """All that is committed in its databases is in their files when this returns."""
    with _server(url) as engine, engine.connect() as connection:
        names = ", ".join(f"`{schema}`.`{table}`" for schema, table in _tables(connection, url))
        connection.execute(text(f"FLUSH TABLES {names} FOR EXPORT"))
        connection.execute(text("UNLOCK TABLES"))


@contextmanager
def _server(url: str) -> Iterator[Engine]:
    engine = connect(make_url(url).set(database="").render_as_string(hide_password=False))
    try:
        yield engine.execution_options(isolation_level="AUTOCOMMIT")
    finally:
        engine.dispose()


# Redis


def redis_content(url: str) -> Iterator[Content]:
    """Keys and values; short ones as they are sent, long ones as they are kept, too."""
    with closing(Redis.from_url(url)) as redis:
        for key in redis.scan_iter(count=1000):
            yield "redis key", key
            yield f"redis dump of {key!r}", redis.dump(key) or b""
            yield f"redis value of {key!r}", b"\n".join(_flat(_value(redis, key)))


def _value(redis: Any, key: bytes) -> object:
    match redis.type(key):
        case b"string":
            return redis.get(key)
        case b"hash":
            return redis.hgetall(key)
        case b"list":
            return redis.lrange(key, 0, -1)
        case b"set":
            return redis.smembers(key)
        case b"zset":
            return redis.zrange(key, 0, -1, withscores=True)
        case b"stream":
            return redis.xrange(key)
    raise AssertionError(f"a Redis value of an unknown type: {key!r}")


def _flat(value: Any) -> Iterator[bytes]:
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list | tuple | set):
        for each in value:
            yield from _flat(each)
    else:
        yield value if isinstance(value, bytes) else str(value).encode()


# The broker


class Overheard:
    """Every message of the three event exchanges, from now on."""

    def __init__(self, connection: Connection) -> None:
        self._queue = Queue(f"sweep-{unique()}", exclusive=True)(connection.default_channel)
        self._queue.declare()
        self._heard: list[Content] = []
        for source in NAMES:
            Exchange(f"{source}.events", type="topic")(connection.default_channel).declare()
            self._queue.bind_to(f"{source}.events", routing_key="#")

    def messages(self) -> list[Content]:
        while message := self._queue.get(no_ack=True):
            told = repr((message.delivery_info, message.headers, message.properties)).encode()
            body = message.body if isinstance(message.body, bytes) else message.body.encode()
            self._heard.append(("event", told + b"\n" + body))
        return self._heard


def queues(admin_url: str) -> Iterator[Content]:
    """What the broker knows by name, and every message that waits in one of its queues."""
    with httpx.Client(base_url=f"{admin_url}/api", trust_env=False) as api:
        for kind in ("queues", "exchanges", "bindings", "connections"):
            yield f"broker's {kind}", api.get(f"/{kind}").content
        look = {"count": 1000, "ackmode": "ack_requeue_true", "encoding": "auto"}
        for queue in api.get("/queues").json():
            if not queue.get("exclusive"):
                vhost, name = (quote(queue[part], safe="") for part in ("vhost", "name"))
                waiting = api.post(f"/queues/{vhost}/{name}/get", json=look)
                assert waiting.status_code == 200, waiting.text
                yield f"queue {queue['name']}", waiting.content


def wait_for_quiet(overheard: Overheard, *, seconds: float = 2.0) -> None:
    """Until no event came for a while."""
    seen, since = -1, time.monotonic()

    def quiet() -> bool:
        nonlocal seen, since
        if len(overheard.messages()) != seen:
            seen, since = len(overheard.messages()), time.monotonic()
        return time.monotonic() - since > seconds

    eventually(quiet, what="an end of the events")
