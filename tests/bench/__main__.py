"""`make bench`: how quick the system is against floors and others, and what many appointments cost
it; on servers of its own."""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from config.clock import utc_now
from config.servers import ServerFailed
from tests.bench import kept, page, picture, sizes, speed, verdicts
from tests.bench.machine import described
from tests.bench.stage import beside, floor_connection, system_of_our_own
from tests.bench.verdicts import Verdict
from tests.bench.world import FEW
from tests.bench.wrk import check_wrk

SPEED, SIZES = "speed", "sizes"


def main(words: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(words)
    parts = [asked.only] if asked.only else [SPEED, SIZES]
    found = kept.load(asked.out)
    try:
        if SPEED in parts:
            check_wrk()
            found[SPEED] = _speed(asked) | _when()
        if SIZES in parts:
            found[SIZES][str(asked.stored)] = _sizes(asked) | _when()
    except ServerFailed as failed:
        say(str(failed))
        return 1
    _write(asked.out, found)
    return _report(found, parts, stored=asked.stored)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs"), help="where the page is written")
    parser.add_argument("--only", choices=(SPEED, SIZES), help="one part; the other's page stays")
    parser.add_argument("--rounds", type=int, default=5, help="of all that is compared")
    parser.add_argument("--seconds", type=float, default=2, help="of each candidate in a round")
    parser.add_argument(
        "--soak", type=float, default=0, metavar="MINUTES", help="of half the load, for its memory"
    )
    parser.add_argument(
        "--stored", type=int, default=100_000, help=f"appointments, compared with {FEW:,}"
    )
    return parser


def _speed(asked: argparse.Namespace) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as name, system_of_our_own(Path(name), say) as system:
        with beside(system, Path(name), say) as others, floor_connection(system):
            return speed.measured(
                system, others, rounds=asked.rounds, seconds=asked.seconds,
                soak_minutes=asked.soak, say=say,
            )


def _sizes(asked: argparse.Namespace) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as name, system_of_our_own(Path(name), say) as system:
        return {**sizes.measured(system, stored=asked.stored, say=say)}


def _when() -> dict[str, object]:
    return {"date": f"{utc_now():%Y-%m-%d}", "machine": described()}


def _write(folder: Path, found: dict[str, Any]) -> None:
    kept.save(folder, found)
    (folder / page.FILE).write_text(page.written(found))
    if SPEED in found:
        picture.draw(folder / page.PICTURE, found[SPEED])


def _report(found: dict[str, Any], parts: Sequence[str], *, stored: int) -> int:
    """Prints what was measured now; the exit code."""
    told: list[Verdict] = []
    if SPEED in parts:
        told += verdicts.of_speed(found[SPEED])
        print(page.rates_table(found[SPEED]["peak"]), page.verdict_table(told), sep="\n\n")
    if SIZES in parts:
        measured = found[SIZES][str(stored)]
        print(f"\n{page.sizes_table(measured['few'], measured['many'], stored)}")
        told += verdicts.of_sizes(measured["few"], measured["many"])
    failed = [each.what for each in told if not each.reached]
    print(f"\n{'FAIL: ' + '; '.join(failed) if failed else 'PASS'}")
    return int(bool(failed))


def say(line: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
