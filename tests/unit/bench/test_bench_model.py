"""The model that says what more processes would do."""

import pytest

from tests.bench import model, scaling, scaling_page

ALONE = {"service": 0.010}


def test_one_station_does_what_its_processor_can_however_many_ask() -> None:
    assert model.rate(ALONE, {}, callers=1) == pytest.approx(100)
    assert model.rate(ALONE, {}, callers=50) == pytest.approx(100)


def test_one_caller_gains_nothing_by_a_second_process_and_many_gain_all_of_it() -> None:
    assert model.rate(ALONE, {"service": 2}, callers=1) == pytest.approx(100)
    assert model.rate(ALONE, {"service": 2}, callers=400) == pytest.approx(200, rel=0.01)


def test_two_equal_stations_with_two_callers_do_two_thirds_of_what_both_could() -> None:
    # By hand: with one caller each station has half of it; the second waits for that half.
    assert model.rate({"a": 0.01, "b": 0.01}, {}, callers=2) == pytest.approx(200 / 3)


def test_the_dearest_station_for_each_process_is_full_first() -> None:
    demands = {"service": 0.010, "database": 0.008}
    assert model.first_full(demands, {}) == "service"
    assert model.first_full(demands, {"service": 2}) == "database"
    assert model.rate(demands, {"service": 8}, callers=500) == pytest.approx(125, rel=0.01)


def test_processors_that_all_share_are_the_bound_of_the_whole() -> None:
    assert model.most({"a": 0.006, "b": 0.004}, processors=2) == pytest.approx(200)


def test_the_page_tells_what_was_measured_and_what_the_model_makes_of_it() -> None:
    demands = {"gateway": 0.002, "appointment": 0.008, "doctor": 0.00001}
    one = {name: {"rate": 90.0, "demands": demands} for name in scaling.MEASURED}
    written = scaling_page.written({"processors": 2, scaling.ONE: one, scaling.TWO: one})
    assert "| appointment | 8.00 | 8.00 |" in written and "doctor" not in written
    assert "| 1 | 2, shared | 200 | processors |" in written
    assert "| 8 | one each |" in written
