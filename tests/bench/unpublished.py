"""How many events a load leaves to be published, as is seen when it ends."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from appointment.models import Outbox
from config.messaging.outbox_rows import OutboxRows
from tests.bench.figures import Figures
from tests.bench.stage import opened
from tests.systems import System


class Counted:
    """Loads as ``load`` does; ``left`` has a number for each time."""

    def __init__(self, load: Callable[..., Figures], rows: OutboxRows) -> None:
        self._load = load
        self._rows = rows
        self.left: list[int] = []

    def __call__(self, seconds: float, **more: Any) -> Figures:
        figures = self._load(seconds, **more)
        self.left.append(self._rows.count_unpublished())
        return figures


@contextmanager
def outbox_of_appointments(system: System) -> Iterator[OutboxRows]:
    with opened(system, "appointment") as (engine, _):
        rows = OutboxRows(engine, Outbox)
        # Connected before it counts.
        rows.count_unpublished()
        yield rows
