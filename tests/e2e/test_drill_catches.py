"""The drill is drilled: builds that are broken on purpose do not pass its checker, healthy ones do.
"""

from collections.abc import Iterator

import pytest

from tests.conftest import Say
from tests.drill.building import stage
from tests.drill.checker import examine
from tests.drill.people import populate
from tests.drill.scenarios import SCENARIOS, Scenarios
from tests.drill.stage import WITNESS
from tests.e2e.markers import Markers

PROGRAMS = [
    "patient", "doctor", "appointment", "patient-background", "doctor-background",
    "appointment-background", "gateway-background", "gateway", WITNESS,
]

# Its commits come in another order than its rows: what is right must do with that.
HEALTHY = {"appointment": "slow-commits"}


@pytest.fixture(scope="module")
def played(
    server_programs: None, tmp_path_factory: pytest.TempPathFactory, say: Say
) -> Iterator[Scenarios]:
    folder = tmp_path_factory.mktemp("broken")
    with stage(folder, say=say, instances=1, programs=PROGRAMS, CALL_SECONDS="2") as built:
        for program, variant in HEALTHY.items():
            built.swap(program, variant)
        scenarios = Scenarios(built, populate(built, Markers(), days=40), folder)
        yield scenarios
        scenarios.history.close()


@pytest.mark.parametrize("fault", SCENARIOS)
def test_a_healthy_build_passes_and_a_broken_one_is_caught(
    played: Scenarios, fault: str
) -> None:
    program, play, title = SCENARIOS[fault]

    def found() -> set[str]:
        """All that the checker says; a broken build before this one has left something."""
        verdict = examine(played.evidence(), only=[title])
        return {text for item in verdict.items for text in item.findings}

    before = found()
    play(played)
    assert not found() - before
    played.stage.swap(program, fault)
    play(played)
    assert found() - before
    played.stage.swap(program, HEALTHY.get(program, "none"))
