"""Under the hub that is named, ``gevent`` or ``eventlet``, a caller is killed that reads for all.

Prints what another one is answered, who waited meanwhile.
"""

import sys
from typing import Any

if sys.argv[1] == "gevent":
    from gevent import monkey

    monkey.patch_all()
    from gevent import spawn
else:
    import eventlet

    eventlet.monkey_patch()
    from eventlet import spawn

import time  # noqa: E402 (after the patching)

from config.messaging.call import DEADLINE, headers_of, new_context  # noqa: E402
from config.messaging.client import Request  # noqa: E402
from config.messaging.pool import Pool  # noqa: E402
from schemas.errors import Unavailable  # noqa: E402


def ask(pool: Pool, method: str, argument: object) -> Any:
    context = new_context(correlation="c", seconds=60, key="k")
    request = Request("raising", method, (argument,))
    (answer,) = pool.ask(request, headers=headers_of(context), deadline=context[DEADLINE])
    return answer.result()


def main() -> None:
    pool = Pool(sys.argv[2], size=2, unavailable=Unavailable)
    ask(pool, "echo", 1)
    reader = spawn(ask, pool, "sleep", 5.0)
    time.sleep(0.3)  # it reads now
    other = spawn(ask, pool, "sleep", 1.0)
    time.sleep(0.3)
    reader.kill()
    print(other.get() if sys.argv[1] == "gevent" else other.wait())
    pool.close()


if __name__ == "__main__":
    main()
