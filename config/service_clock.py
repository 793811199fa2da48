"""The clock as a Nameko extension; apart from it, so that the gateway need not load eventlet."""

from collections.abc import Callable
from datetime import datetime

from nameko.extensions import DependencyProvider

from config.clock import utc_now


class Clock(DependencyProvider):
    """Gives a service the function that tells the time, aware and in UTC."""

    def get_dependency(self, worker_ctx: object) -> Callable[[], datetime]:
        return utc_now
