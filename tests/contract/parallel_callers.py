"""Many callers at once in one process, under the hub that is named: ``gevent`` or ``eventlet``.

Prints how many of 50 callers got six answers that were theirs, while another call was slow.
"""

import sys

if sys.argv[1] == "gevent":
    from gevent import monkey

    monkey.patch_all()
else:
    import eventlet

    eventlet.monkey_patch()

from concurrent.futures import ThreadPoolExecutor  # noqa: E402 (after the patching)

from config.messaging.call import DEADLINE, headers_of, new_context  # noqa: E402
from config.messaging.client import Request  # noqa: E402
from config.messaging.pool import Pool  # noqa: E402
from schemas.errors import Unavailable  # noqa: E402

CALLERS, CALLS = 50, 6


def ask(pool: Pool, method: str, argument: object) -> object:
    context = new_context(correlation="c", seconds=60, key="k")
    request = Request("raising", method, (argument,))
    (answer,) = pool.ask(request, headers=headers_of(context), deadline=context[DEADLINE])
    return answer.result()


def own_answers(pool: Pool, caller: int) -> bool:
    return all(ask(pool, "echo", [caller, number]) == [caller, number] for number in range(CALLS))


def main() -> None:
    pool = Pool(sys.argv[2], size=CALLERS + 1, unavailable=Unavailable)
    with ThreadPoolExecutor(CALLERS + 1) as callers:
        slow = callers.submit(ask, pool, "hold", sys.argv[1])
        quick = [callers.submit(own_answers, pool, number) for number in range(CALLERS)]
        answered = sum(each.result() for each in quick)
        assert not slow.done(), "the quick ones waited for the slow one"
        pool.close()
        assert isinstance(slow.exception(), Unavailable)
    pool = Pool(sys.argv[2], size=1, unavailable=Unavailable)
    ask(pool, "let_go", sys.argv[1])
    pool.close()
    print(answered)


if __name__ == "__main__":
    main()
