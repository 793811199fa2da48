"""What an hour of load and what was left over say of a benchmark."""

import pytest

from config.servers import ServerFailed
from tests.bench import page, wrk
from tests.bench.figures import Figures
from tests.bench.unpublished import Counted
from tests.bench.verdicts import of_speed
from tests.unit.bench.test_bench_verdicts import speed

STEADY, GROWING = [100.0] * 20, [*range(100, 200, 5)]
GREW = "soak: memory of the last fifth / the second"


def soaked(samples, failed=0):
    return {**speed(), "soak": {"minutes": 3, "samples": samples, "requests": 9, "failed": failed}}


@pytest.mark.parametrize(
    ("found", "missed"),
    [
        (soaked({"patient": STEADY}), []),
        (soaked({"patient": STEADY, "doctor": GROWING}), [GREW]),
        (soaked({"patient": STEADY}, failed=1), ["soak: requests that failed"]),
    ],
    ids=["steady", "grown", "failed"],
)
def test_a_soak_is_judged_by_growth_and_failures(found, missed):
    assert [each.what for each in of_speed(found) if not each.reached] == missed


def test_ids_that_come_round_within_the_time_that_a_copy_lives_are_an_error(monkeypatch):
    monkeypatch.setattr(wrk, "wrk", lambda *_, **__: Figures(40, 1.0, 0, 1.0, 1.0))
    reads = wrk.Reads("", range(100), apart=60)
    reads(1.0)
    with pytest.raises(ServerFailed, match="twice"):
        reads(1.0)
    often = wrk.Reads("", range(10))
    for _ in range(2):
        often(1.0)


class Rows:
    def count_unpublished(self):
        return 7


def test_what_is_left_to_be_published_is_told():
    load = Counted(lambda seconds, **more: Figures(1, 1.0, 0, 1.0, 1.0), Rows())
    load(1.0)
    load(1.0, callers=2)
    assert load.left == [7, 7]
    assert "ended: 7, 1,000." in page._speed({**speed(), "unpublished": [7, 1000]})
    assert "still to be published" not in page._speed(speed())
