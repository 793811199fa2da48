"""All that is known of a drill once it is over: what its checker looks at."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Connection

from tests.drill.history import Line
from tests.drill.junk import Junk
from tests.drill.load import World
from tests.drill.plan import Span
from tests.drill.samples import Samples
from tests.drill.stage import Stage


@dataclass
class Evidence:
    """``unsettled`` and ``failures`` are the clients' own; ``junk`` is what was sent.

    ``before`` counts the broker's connections and queues before anything was broken.
    """

    stage: Stage
    world: World
    lines: Sequence[Line]
    samples: Samples | None = None
    junk: Sequence[Junk] = ()
    unsettled: Sequence[str] = ()
    failures: Sequence[str] = ()
    before: Mapping[str, int] = field(default_factory=dict)
    spans: Sequence[Span] = ()

    @property
    def call_seconds(self) -> float:
        return float(self.stage.environ["CALL_SECONDS"])

    @contextmanager
    def reading(self, database: str) -> Iterator[Connection]:
        engine = self.stage.database(database)
        with engine.connect() as connection:
            yield connection
        engine.dispose()
