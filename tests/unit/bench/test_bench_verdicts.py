"""What the benchmark says of its figures."""

from pathlib import Path

from tests.bench import kept, names, page, scaling, soak
from tests.bench.figures import Figures, of_output, of_times
from tests.bench.verdicts import of_sizes, of_speed, ratio

ONCE = {name: {"rate": 90.0, "demands": {"gateway": 0.002}} for name in scaling.MEASURED}
SCALING = {"processors": 2, scaling.ONE: ONCE, scaling.TWO: ONCE}
MEMORY = {"idle": {"patient": 90.0}, "after": {"patient": 100.0}}


def rounds(*rates: float, failed: int = 0) -> list[Figures]:
    return [Figures(int(rate) + failed, 1.0, failed, 10.0, 40.0) for rate in rates]


def speed(**peak: list[Figures]) -> dict[str, object]:
    return {
        "peak": {names.EMPTY: rounds(1000), names.CACHED: rounds(500), **peak},
        "half": {}, "memory": MEMORY, "scaling": SCALING, "rounds": 1, "seconds": 1.0,
        "date": "2027-01-01", "machine": "a machine",
    }


def test_a_ratio_is_that_of_each_round_so_a_slow_minute_spoils_one_only() -> None:
    peak = {"quick": rounds(1000, 100, 1000), "slow": rounds(500, 50, 900)}
    assert ratio(peak, "slow", "quick") == 0.5


def test_what_was_not_measured_is_not_judged() -> None:
    judged = [each.what for each in of_speed(speed())]
    assert f"{names.CACHED} / {names.EMPTY}" in judged
    assert not any(names.PEER_READ in what for what in judged)


def test_a_request_that_failed_is_no_throughput_and_spoils_the_run() -> None:
    found = speed(**{names.CACHED: rounds(500, failed=1)})
    assert found["peak"][names.CACHED][0].rate == 500  # type: ignore[index]
    assert [each.what for each in of_speed(found) if not each.reached] == ["requests that failed"]


def test_half_as_much_again_is_the_most_that_stored_appointments_may_cost() -> None:
    few, many = {"a": 10.0, "b": 10.0}, {"a": 15.0, "b": 15.1}
    assert [each.reached for each in of_sizes(few, many)] == [True, False]


def test_figures_are_of_the_last_line_that_was_printed() -> None:
    found = of_times([0.001 * each for each in range(1, 101)], seconds=2)
    assert (found.rate, found.p99) == (50, 99)
    assert of_output(f"something else\n{found.line()}\n") == found


def test_memory_that_grows_at_first_and_then_stays_has_not_grown() -> None:
    assert soak.growth([90, 95, *[100] * 18]) == 1
    assert soak.growth([*range(100, 200, 5)]) > 1.4


def test_what_one_part_found_stays_when_another_is_measured(tmp_path: Path) -> None:
    kept.save(tmp_path, {"speed": speed(), "sizes": {}})
    found = kept.load(tmp_path)
    assert found["speed"]["peak"] == speed()["peak"]
    found["sizes"]["1000000"] = {
        "few": {"booking": 10.0}, "many": {"booking": 11.0}, "date": "2027-01-02", "machine": "it",
    }
    kept.save(tmp_path, found)
    written = page.written(kept.load(tmp_path))
    assert "| booking | 10.00 | 11.00 | 1.10 | PASS |" in written
    assert f"| {names.CACHED} | 500 |" in written
    assert "Not measured yet" not in written and "$" not in written.replace("$ make bench", "")
