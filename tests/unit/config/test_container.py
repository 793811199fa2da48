"""Nameko's container as services have it: who hears of a call, and of what became of it."""

from types import SimpleNamespace
from typing import Any

import eventlet
import pytest
from nameko.exceptions import ContainerBeingKilled
from nameko.extensions import DependencyProvider, Entrypoint

from config.messaging.container import Container


class Watcher(DependencyProvider):
    def setup(self) -> None:
        self.told: list[Any] = []

    def get_dependency(self, worker_ctx: Any) -> str:
        return "injected"

    def worker_setup(self, worker_ctx: Any) -> None:
        self.told.append("setup")

    def worker_result(self, worker_ctx: Any, result: Any = None, exc_info: Any = None) -> None:
        self.told.append(exc_info[0] if exc_info else result)

    def worker_teardown(self, worker_ctx: Any) -> None:
        self.told.append("teardown")


class Service:
    name = "contained"
    watcher = Watcher()

    @Entrypoint.decorator
    def divide(self, number: int, by: int) -> tuple[str, float]:
        return self.watcher, number / by


@pytest.fixture
def container() -> Container:
    container = Container(Service, {})
    container.start()
    return container


def call(container: Container, **arguments: int) -> SimpleNamespace:
    """What was answered, and what the provider was told meanwhile."""
    (entrypoint,), (watcher,) = container.entrypoints, container.dependencies
    answers = []

    def answer(worker_ctx: Any, result: Any, exc_info: Any) -> tuple[Any, Any]:
        answers.append(exc_info[0] if exc_info else result)
        # What goes wrong with an answer, providers are to be told.
        return ("answered", None) if exc_info is None else (result, exc_info)

    container.spawn_worker(entrypoint, (), arguments, handle_result=answer)
    container.stop()
    return SimpleNamespace(answers=answers, told=watcher.told)


def test_a_call_is_answered_before_its_providers_are_told_what_came_of_it(container):
    seen = call(container, number=6, by=3)
    assert seen.answers == [("injected", 2.0)]
    assert seen.told == ["setup", "answered", "teardown"]


def test_a_call_that_fails_is_answered_with_its_error(container):
    seen = call(container, number=6, by=0)
    assert seen.answers == [ZeroDivisionError]
    assert seen.told == ["setup", ZeroDivisionError, "teardown"]


def test_an_answer_that_fails_ends_the_service(container):
    (entrypoint,) = container.entrypoints

    def answer(worker_ctx: Any, result: Any, exc_info: Any) -> tuple[Any, Any]:
        raise LookupError

    container.spawn_worker(entrypoint, (), {"number": 6, "by": 3}, handle_result=answer)
    with pytest.raises(LookupError):
        container.wait()


def test_what_is_killed_ends_what_is_at_work_and_begins_nothing_more(container):
    (entrypoint,), over = container.entrypoints, []

    def answer(worker_ctx: Any, result: Any, exc_info: Any) -> tuple[Any, Any]:
        try:
            eventlet.sleep(60)
        finally:
            over.append(True)
        return result, exc_info

    container.spawn_worker(entrypoint, (), {"number": 6, "by": 3}, handle_result=answer)
    eventlet.sleep(0)
    container.kill()
    assert over == [True]
    with pytest.raises(ContainerBeingKilled):
        container.spawn_worker(entrypoint, (), {"number": 6, "by": 3})
