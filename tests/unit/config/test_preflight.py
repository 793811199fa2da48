"""What is in the way of a start is said in a sentence, before anything is started."""

import socket

import pytest

from config.preflight import StartRefused, check_reachable, held_folder, listener


def refusal(start):
    with pytest.raises(StartRefused) as refused:
        start()
    return str(refused.value)


def enter(context):
    with context:
        pass


def test_a_port_in_use_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refusal(lambda: enter(listener("127.0.0.1", port)))
    assert f"Port {port} is in use" in said and "PORT" in said


def test_a_folder_is_held_by_one_run_at_a_time(tmp_path):
    with held_folder(tmp_path):
        assert "in use by another run" in refusal(lambda: enter(held_folder(tmp_path)))
    enter(held_folder(tmp_path))


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    assert "DATA_DIR" in refusal(lambda: enter(held_folder(tmp_path / "file")))


def test_a_named_server_that_does_not_answer_is_named_without_its_password():
    said = refusal(lambda: check_reachable("AMQP_URI", "amqp://clinic:secret@127.0.0.1:1//"))
    assert "AMQP_URI names a server at 127.0.0.1:1" in said and "secret" not in said


def test_a_named_server_that_answers_is_fine():
    with socket.create_server(("127.0.0.1", 0)) as there:
        check_reachable("REDIS_URL", f"redis://:pw@127.0.0.1:{there.getsockname()[1]}/0")
