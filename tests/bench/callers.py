"""Callers in one process, as in a worker of the gateway, each of whom asks again as soon as it is
answered. A program.

    python -m tests.bench.callers WHAT SECONDS CALLERS

Servers and keys are named by AMQP_URI, DATABASE_URL and CALLER_KEYS.
"""

from gevent import monkey

monkey.patch_all()

import os  # noqa: E402 (after the patching)
import sys  # noqa: E402
import time  # noqa: E402
import uuid  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from contextlib import contextmanager  # noqa: E402

import gevent  # noqa: E402
import pymysql  # noqa: E402
from nameko.standalone.rpc import ClusterRpcProxy  # noqa: E402
from sqlalchemy.engine import make_url  # noqa: E402

from config.keys import parse_ring  # noqa: E402
from config.messaging.caller import Caller  # noqa: E402
from config.messaging.pool import Pool  # noqa: E402
from gateway.rpc import Pools, Rpc  # noqa: E402
from schemas.errors import Unavailable  # noqa: E402
from tests.bench.asking import BODY, WARM_UP_SECONDS  # noqa: E402
from tests.bench.figures import Figures, of_times  # noqa: E402

CALL_SECONDS = 5.0

Act = Callable[[], object]


@contextmanager
def ours(callers: int, service: str, method: str, *args: object) -> Iterator[Callable[[], Act]]:
    """As the gateway asks: with a deadline, a key and the caller's signed name."""
    ring = parse_ring(os.environ["CALLER_KEYS"])
    pool = Pool(os.environ["AMQP_URI"], size=callers, unavailable=Unavailable)

    def call() -> object:
        correlation = uuid.uuid4().hex
        rpc = Rpc(
            Pools(calls=pool, probes=pool), caller=Caller("staff", 1), ring=ring,
            correlation=correlation,
        )
        until = time.time() + CALL_SECONDS
        return rpc.ask(service, method, *args, key=correlation, deadline=until).result()

    try:
        yield lambda: call
    finally:
        pool.close()


@contextmanager
def stock(callers: int) -> Iterator[Callable[[], Act]]:
    """A client of Nameko's own for each caller: they cannot share one."""
    def caller() -> Act:
        client = ClusterRpcProxy({"AMQP_URI": os.environ["AMQP_URI"]}).start()
        return lambda: client.records.echo(BODY)

    # The connections end with the process.
    yield caller


@contextmanager
def inserts(callers: int) -> Iterator[Callable[[], Act]]:
    """Each commits by itself, to the disk."""
    url = make_url(os.environ["DATABASE_URL"])

    def caller() -> Act:
        connection = pymysql.connect(
            host=url.host, port=url.port or 3306, user=url.username, password=url.password or "",
            database="floor", autocommit=True,
        )
        cursor = connection.cursor()
        return lambda: cursor.execute("INSERT INTO floor.row (at) VALUES (1)")

    yield caller


WAYS = {
    "echo": lambda callers: ours(callers, "echo", "echo", BODY),
    "exists": lambda callers: ours(callers, "patient", "exists", 1),
    "stock": stock,
    "inserts": inserts,
}


def measured(caller: Callable[[], Act], *, seconds: float, callers: int) -> Figures:
    begin = time.perf_counter() + WARM_UP_SECONDS
    end, times = begin + seconds, []

    def ask_again() -> None:
        act = caller()
        while (sent := time.perf_counter()) < end:
            act()
            if begin < (now := time.perf_counter()) < end:
                times.append(now - sent)

    gevent.joinall([gevent.spawn(ask_again) for _ in range(callers)], raise_error=True)
    return of_times(times, seconds=seconds)


if __name__ == "__main__":
    number = int(sys.argv[3])
    with WAYS[sys.argv[1]](number) as caller_of:
        print(measured(caller_of, seconds=float(sys.argv[2]), callers=number).line(), flush=True)
