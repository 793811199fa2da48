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

        # An exception that leaves a thread of its pool is printed, text and all.
        outcome = get_hub().threadpool.apply(_outcome, (work, args))
        return _opened(outcome)
    if _patched("eventlet.patcher", "is_monkey_patched", "thread"):
        from eventlet import tpool

        return tpool.execute(work, *args)
    return work(*args)


def _outcome(
    work: Callable[..., Result], args: tuple[Any, ...]
) -> tuple[Result | None, Exception | None]:
    try:
        return work(*args), None
    except Exception as failure:  # raised again on the other side
        return None, failure


def _opened(outcome: tuple[Any, Exception | None]) -> Any:
    result, failure = outcome
    if failure is not None:
        raise failure
    return result


def _patched(module: str, question: str, name: str) -> bool:
    """Asked of what is loaded already: importing either here would load both."""
    return module in sys.modules and bool(getattr(sys.modules[module], question)(name))
