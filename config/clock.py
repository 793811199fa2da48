"""The one place that asks what time it is."""

from collections.abc import Callable
from datetime import UTC, datetime

from nameko.extensions import DependencyProvider


def utc_now() -> datetime:
    return datetime.now(UTC)


class Clock(DependencyProvider):
    """Gives a service the function that tells the time, aware and in UTC."""

    def get_dependency(self, worker_ctx: object) -> Callable[[], datetime]:
        return utc_now
