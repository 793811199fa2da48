"""A service that dies in the middle of a call: one effect, one answer, whatever it had done."""

import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.engine import make_url

from config.database import connect
from config.keys import fresh, parse_ring
from config.messaging.call import headers_of, new_context
from config.messaging.caller import SYSTEM, signed
from config.messaging.client import Answer, Request
from config.messaging.pool import Pool
from config.settings import KEYS
from doctor.models import Doctor, Outbox
from schemas import errors
from tests.e2e.desk import eventually
from tests.e2e.gateways import own_databases
from tests.systems import clinic, plain_environ, running, succeed
from tests.waiting import PATIENCE

PROGRAM = "tests.integration.killed_service"
STEPS = (
    "before_the_transaction", "before_the_commit", "after_the_commit", "before_the_reply",
    "before_the_ack",
)
SECONDS = PATIENCE


@dataclass(frozen=True)
class House:
    """A service name of its own on the shared broker, and a database of its own."""

    name: str
    environ: dict[str, str]
    folder: Path
    engine: Engine
    pool: Pool

    @contextmanager
    def serving(self, *step: str) -> "Iterator[subprocess.Popen[str]]":
        log = self.folder / f"{uuid.uuid4().hex}.log"
        argv = [sys.executable, "-m", PROGRAM, self.name, *step]
        with running(argv, environ=self.environ, log=log) as process:
            eventually(
                lambda: "started" in log.read_text() or process.poll() is not None,
                seconds=PATIENCE,
                what="its start",
            )
            assert process.poll() is None, log.read_text()
            yield process

    def create(self, *, key: str, speciality: str, seconds: float = SECONDS) -> Answer:
        """:raises Unavailable:"""
        ring = parse_ring(self.environ["CALLER_KEYS"])
        caller = signed(SYSTEM, correlation="c", key=key, ring=ring)
        context = new_context(correlation="c", seconds=seconds, key=key, caller=caller)
        doctor = {
            "name": "Elizabeth Garrett", "phone": "+442079460958", "speciality": speciality,
            "timezone": "Europe/London",
        }
        (answer,) = self.pool.ask(
            Request(self.name, "create", (doctor,)),
            headers=headers_of(context),
            deadline=context["deadline"],
        )
        return answer

    def effects(self, speciality: str) -> tuple[int, int]:
        """How many doctors there are of it, and how many events tell of them."""
        ids = select(Doctor.id).where(Doctor.speciality == speciality)
        with self.engine.connect() as connection:
            found = connection.scalars(ids).all()
            told = select(func.count()).where(Outbox.subject.in_([str(each) for each in found]))
            return len(found), connection.scalar(told) or 0


@pytest.fixture(scope="module")
def house(
    addresses: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    folder, name = tmp_path_factory.mktemp("killed"), f"killed-{uuid.uuid4().hex[:8]}"
    with own_databases(addresses, "killed") as url:
        environ = plain_environ(
            **{**addresses, "DATABASE_URL": url}, **fresh(KEYS), DATA_DIR=str(folder / "data")
        )
        succeed(clinic("migrate"), environ=environ)
        server = make_url(url)
        own = server.set(database=f"{server.database}_doctor")
        engine = connect(own.render_as_string(hide_password=False))
        pool = Pool(addresses["AMQP_URI"], size=4, unavailable=errors.Unavailable)
        yield House(name, environ, folder, engine, pool)
        pool.close()
        engine.dispose()


def killed(process: "subprocess.Popen[str]") -> None:
    eventually(lambda: process.poll() is not None, seconds=SECONDS, what="its death")
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("step", STEPS)
def test_a_call_whose_service_is_killed_has_one_effect_and_one_answer(
    house: House, step: str
) -> None:
    key, speciality = uuid.uuid4().hex, uuid.uuid4().hex
    with house.serving(step) as first, ThreadPoolExecutor(1) as aside:
        asked = aside.submit(house.create, key=key, speciality=speciality)
        killed(first)
        with house.serving():
            told = asked.result().result()
            again = house.create(key=key, speciality=speciality)
    assert told["speciality"] == speciality
    assert (again.result(), again.replayed) == (told, True)
    assert house.effects(speciality) == (1, 1)


def test_what_its_caller_has_given_up_while_no_service_ran_is_not_done_later(house: House) -> None:
    key, speciality = uuid.uuid4().hex, uuid.uuid4().hex
    with house.serving():
        pass
    with pytest.raises(errors.Unavailable):
        house.create(key=key, speciality=speciality, seconds=0.3)
    with house.serving():
        # Whatever waited before this was worked on before it.
        house.create(key=uuid.uuid4().hex, speciality=uuid.uuid4().hex).result()
        assert house.effects(speciality) == (0, 0)
        house.create(key=key, speciality=speciality).result()
    assert house.effects(speciality) == (1, 1)


def test_what_its_caller_has_given_up_while_the_service_was_frozen_is_not_done_later(
    house: House,
) -> None:
    key, speciality = uuid.uuid4().hex, uuid.uuid4().hex
    with house.serving() as service:
        service.send_signal(signal.SIGSTOP)
        with pytest.raises(errors.Unavailable):
            house.create(key=key, speciality=speciality, seconds=0.3)
        service.send_signal(signal.SIGCONT)
        house.create(key=uuid.uuid4().hex, speciality=uuid.uuid4().hex).result()
        assert house.effects(speciality) == (0, 0)
