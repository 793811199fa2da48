"""`make stack` as a newcomer has it: no setting but a folder and a port."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from kombu import Connection, Exchange, Queue
from sqlalchemy.engine import make_url

from config.environments import kept_values
from config.programs import catalogue
from tests.systems import clinic, free_port, plain_environ, succeed
from tests.waiting import PATIENCE

START_SECONDS = 120
END_SECONDS = 60


@dataclass(frozen=True)
class Stack:
    process: "subprocess.Popen[bytes]"
    url: str
    folder: Path
    log: Path

    def environment(self, program: str) -> dict[str, str]:
        """What the process named so was started with."""
        [pid] = set(re.findall(rf"{program} started \(pid=(\d+)\)", self.log.read_text()))
        words = Path(f"/proc/{pid}/environ").read_text().rstrip("\0").split("\0")
        return dict(word.split("=", 1) for word in words)


@pytest.fixture(scope="module")
def stack(server_programs: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder, port = tmp_path_factory.mktemp("stack"), free_port()
    log = folder / "log"
    environ = plain_environ(DATA_DIR=str(folder / "data"), PORT=str(port))
    with log.open("wb") as output:
        process = subprocess.Popen(clinic("stack"), env=environ, stdout=output, stderr=output)
    try:
        until = time.monotonic() + START_SECONDS
        while "is ready at" not in log.read_text():
            assert process.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.2)
        yield Stack(process, f"http://127.0.0.1:{port}", folder / "data", log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        assert process.wait(END_SECONDS) == 0, log.read_text()


def test_the_login_that_is_printed_is_an_administrators(stack: Stack) -> None:
    printed = re.search(r"Sign in: +(\S+)  (\S+)\n", stack.log.read_text())
    assert printed
    email, password = printed.groups()
    login = {"email": email, "password": password}
    answer = httpx.post(f"{stack.url}/auth/login", json=login, timeout=PATIENCE, trust_env=False)
    assert answer.status_code == 200
    assert answer.json()["role"] == "admin"


def test_each_program_is_started_as_a_user_of_its_own(stack: Stack) -> None:
    for name in catalogue().names:
        environ = stack.environment(name)
        user = f"clinic_{name}".replace("-", "_")
        assert f"//{user}:" in environ["AMQP_URI"]
        assert make_url(environ["DATABASE_URL"]).username == user
        assert "AMQP_ADMIN_URL" not in environ
        assert ("TOKEN_KEYS" in environ) == ("ADMIN_PASSWORD" in environ) == (name == "gateway")


def test_a_shell_beside_it_calls_as_the_operator(stack: Stack) -> None:
    file = stack.folder / "stack.env"
    assert file.stat().st_mode & 0o077 == 0
    assert "//clinic_operator:" in kept_values(file)["AMQP_URI"]
    ended = subprocess.run(
        clinic("shell"),
        env=plain_environ(DATA_DIR=str(stack.folder)),
        input="n.rpc.patient.get(99)\n",
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
    )
    assert "PatientNotFound: There is no patient 99." in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["audit", "verify"], "nothing was changed or taken away"),
        (["audit", "heads"], '"mac"'),
        (["rotate"], "Every row is sealed with the key"),
    ],
    ids=" ".join,
)
def test_commands_on_its_data_find_it_by_its_folder(
    stack: Stack, arguments: list[str], said: str
) -> None:
    assert said in succeed(clinic(*arguments), environ=plain_environ(DATA_DIR=str(stack.folder)))


def test_a_subscriber_finds_an_address_of_its_own(stack: Stack) -> None:
    address = kept_values(stack.folder / "stack.env")["CONSUMER_AMQP_URI"]
    assert "//clinic_consumer:" in address
    with Connection(address) as broker:
        events = Exchange("appointment.events", type="topic", passive=True)
        queue = Queue("consumer-test", events, routing_key="#", exclusive=True)
        queue(broker.default_channel).declare()


def test_what_holds_a_secret_is_for_its_owner_alone(stack: Stack) -> None:
    held = [stack.folder / name for name in ("admin.env", "keys.env", "stack.env")]
    held += (stack.folder / "programs").iterdir()
    assert all(os.stat(file).st_mode & 0o077 == 0 for file in held)
