"""A short drill on the whole system: things break under load, and nothing is lost or stuck."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import Say
from tests.drill.plan import SHORT
from tests.drill.run import Drill
from tests.integration.test_servers import wait_until_none_in
from tests.systems import plain_environ
from tests.waiting import PATIENCE

SECONDS, CLIENTS = 75, 5
ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("server_programs")


def test_nothing_is_lost_doubled_stuck_or_left_behind(tmp_path: Path, say: Say) -> None:
    drill = Drill(tmp_path, seconds=SECONDS, seed="ci", clients=CLIENTS, say=say)
    assert drill.run(out=tmp_path / "report") == 0
    assert {span.fault for span in drill.spans} == {*SHORT}
    page = (tmp_path / "report" / "drill.md").read_text()
    assert "The checker found nothing" in page and str(ROOT) not in page
    assert (tmp_path / "report" / "drill.svg").stat().st_size < 300_000


def test_a_drill_that_is_interrupted_leaves_no_process(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "tests.drill", "--folder", str(tmp_path)]
    log = tmp_path / "said"
    with log.open("w") as output:
        drill = subprocess.Popen(argv, env=plain_environ(), cwd=ROOT, stderr=output)
    try:
        until = time.monotonic() + 2 * PATIENCE
        while "Migrating" not in log.read_text():
            assert drill.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        drill.send_signal(signal.SIGINT)
        assert drill.wait(2 * PATIENCE) == 1
    finally:
        drill.terminate()
        drill.wait(2 * PATIENCE)
    assert "Interrupted" in log.read_text()
    wait_until_none_in(tmp_path, limit=PATIENCE)
