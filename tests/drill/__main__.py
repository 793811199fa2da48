"""`make drill`: break things in a system at work, and see whether anything was lost or stuck."""

import argparse
import random
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

from config.servers import ServerFailed


def main() -> int:
    # It announces its retirement whenever it is imported; Nameko 2 knows no other hub.
    warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
    from tests.drill.run import Drill

    options = _options()
    # Also where it is ignored, as in what a shell has put in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # As Ctrl-C: all that was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with tempfile.TemporaryDirectory(prefix="drill-", ignore_cleanup_errors=True) as folder:
            drill = Drill(
                Path(options.folder or folder).resolve(), seconds=options.seconds,
                seed=options.seed, clients=options.clients, faults=options.fault, say=say,
            )
            return drill.run(out=options.out)
    except ServerFailed as failed:
        say(str(failed))
    except KeyboardInterrupt:
        say("Interrupted; everything that was started is ended.")
    return 1


def _options() -> argparse.Namespace:
    from tests.drill.plan import FAULTS

    parser = argparse.ArgumentParser(prog="python -m tests.drill", description=__doc__)
    parser.add_argument("--seconds", type=float, default=900, help="of faults (default 900)")
    parser.add_argument("--seed", default=f"{random.randrange(10**6)}", help="of an earlier run")
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument(
        "--fault", action="append", choices=FAULTS, metavar="FAULT",
        help=f"only this one; can be said again: {', '.join(FAULTS)}",
    )
    parser.add_argument("--out", type=Path, help="where drill.md and drill.svg go")
    parser.add_argument("--folder", help="keeps servers' data, logs and the history there")
    return parser.parse_args()


def say(line: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
