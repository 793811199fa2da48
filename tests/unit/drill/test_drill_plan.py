"""A drill can be done again: its seed says what is done, and in which order."""

from itertools import islice

from tests.drill.history import Figures, Line, within
from tests.drill.plan import FAULTS, SHORT, plan


def line(at: float, ms: float, status: int = 200, code: str = "") -> Line:
    return Line(at, 0, "read", "", status, code, ms)


def test_the_same_seed_is_the_same_plan() -> None:
    first, again, other = (list(islice(plan(seed, short=False), 60)) for seed in "112")
    assert first == again != other


def test_each_fault_comes_once_before_any_comes_again() -> None:
    faults = plan("7", short=False)
    for _ in range(2):
        assert sorted(islice(faults, len(FAULTS))) == sorted(FAULTS)
    assert sorted(islice(plan("7", short=True), len(SHORT))) == sorted(SHORT)


def test_every_fault_says_what_it_does() -> None:
    assert all(fault.__doc__ for fault in FAULTS.values())


def test_an_answer_counts_when_it_came() -> None:
    lines = [line(10, 500), line(10, 1500, 503), line(11, 100, 0, "ReadError")]
    seen = Figures.of(within(lines, 11, 12))
    assert (seen.requests, seen.errors, seen.longest) == (2, 2, 1500)


def test_unknown_outcomes_are_asked_for_again_and_refusals_are_not() -> None:
    assert not line(0, 1, 503, "unavailable").settled
    assert not line(0, 1, 409, "request_in_flight").settled
    assert not line(0, 1, 0, "ReadTimeout").settled
    assert line(0, 1, 409, "slot_taken").settled and line(0, 1, 201).settled
