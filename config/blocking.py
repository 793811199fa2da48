"""Work that keeps the processor busy, done beside the event loop."""

import sys
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")


def off_loop(work: Callable[..., Result], *args: Any) -> Result:
    """What ``work(*args)`` returns, from a real thread: other greenlets go on meanwhile.

    ``concurrent.futures`` would not do: its threads are greenlets once gevent or eventlet have
    patched this process.
    """
    if _patched("gevent.monkey", "is_module_patched", "threading"):
        from gevent import get_hub

        return get_hub().threadpool.apply(work, args)
    if _patched("eventlet.patcher", "is_monkey_patched", "thread"):
        from eventlet import tpool

        return tpool.execute(work, *args)
    return work(*args)


def _patched(module: str, question: str, name: str) -> bool:
    """Asked of what is loaded already: importing either here would load both."""
    return module in sys.modules and bool(getattr(sys.modules[module], question)(name))
