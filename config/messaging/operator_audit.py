"""Calls that no gateway signed are an operator's: on record before their answer leaves.

What comes through the gateway is recorded there, with who signed in.
"""

from collections.abc import Mapping
from inspect import signature
from typing import Any

from nameko.containers import WorkerContext
from nameko.extensions import SharedExtension

from config.audit.chain import LARGEST_ID, Entry
from config.audit.trail import NotRecorded, Trail
from config.messaging.caller import OPERATOR
from config.messaging.current_call import call_of

# A call that used up its time still deserves its line.
LEAST_SECONDS = 1.0


class OperatorAudit(SharedExtension):
    """Records for a service that holds personal data, and says so by its attribute ``subject``.

    ``subject = (kind, member)``: the member of a result that holds the id of the person whose
    data it is, and what to call such a person.
    """

    def setup(self) -> None:
        config, service = self.container.config, self.container.service_cls
        self.subject: tuple[str, str] | None = getattr(service, "subject", None)
        if self.subject is not None:
            self.trail = Trail(config["AUDIT_URI"], config["AUDIT_KEYS"])
            self.unavailable = service.store.errors.Unavailable

    def stop(self) -> None:
        if self.subject is not None:
            self.trail.close()

    def before_reply(
        self, worker_ctx: WorkerContext, result: Any, exc_info: Any
    ) -> tuple[Any, Any]:
        """What may be answered: the result, or that the service is unavailable."""
        call, method = call_of(worker_ctx), worker_ctx.entrypoint.method_name
        if self.subject is None or call.caller != OPERATOR or method == "health":
            return result, exc_info
        try:
            self.trail.record(
                *entries(worker_ctx, result, exc_info, subject=self.subject),
                seconds=max(call.seconds_left, LEAST_SECONDS),
            )
        except NotRecorded as failure:
            refusal = self.unavailable("audit")
            refusal.__cause__ = failure
            return None, (type(refusal), refusal, failure.__traceback__)
        return result, exc_info


def entries(
    worker_ctx: WorkerContext, result: Any, exc_info: Any, *, subject: tuple[str, str]
) -> list[Entry]:
    """One for each person whose data the result holds; one at least."""
    service, method = worker_ctx.service_name, worker_ctx.entrypoint.method_name
    asked = _arguments(worker_ctx)
    resource = _named(service, asked.get(f"{service}_id", _id_of(result)))
    kind, member = subject
    # Without a result, as after a refusal, the arguments tell who was asked for.
    meant = _named(kind, asked.get(f"{kind}_id", _id_of(result) if kind == service else None))
    # What belongs to the person of a record, such as their holidays, has ids of its own.
    people = [None] if kind == service and f"{kind}_id" in asked else _people(result, member)
    return [
        Entry(
            actor_role=OPERATOR.role,
            action=f"{service}.{method}",
            resource=resource,
            subject=_named(kind, person) or meant,
            outcome="ok" if exc_info is None else _code(worker_ctx, exc_info[1]),
            correlation_id=call_of(worker_ctx).correlation_id,
        )
        for person in people
    ]


def _arguments(worker_ctx: WorkerContext) -> dict[str, Any]:
    """What the method was called with, by the names of its parameters."""
    method = getattr(worker_ctx.container.service_cls, worker_ctx.entrypoint.method_name)
    _, *parameters = signature(method).parameters
    return dict(zip(parameters, worker_ctx.args, strict=False)) | worker_ctx.kwargs


def _id_of(result: Any) -> Any:
    """That of what was made, say."""
    return result.get("id") if isinstance(result, Mapping) else None


def _people(result: Any, member: str) -> list[int | None]:
    """The ids in a record, or in each record of a list, each once; nobody if there is none."""
    records = result if isinstance(result, list) else [result]
    if isinstance(result, Mapping):
        records = [result, *result.get("items", ())]
    found = (record.get(member) for record in records if isinstance(record, Mapping))
    return [*dict.fromkeys(person for person in found if _is_id(person))] or [None]


def _named(kind: str, record_id: Any) -> str | None:
    return f"{kind}/{record_id}" if _is_id(record_id) else None


def _is_id(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LARGEST_ID


def _code(worker_ctx: WorkerContext, error: BaseException) -> str:
    # Only refusals of ours: the errors of other libraries mean other things by a code.
    ours = isinstance(error, worker_ctx.entrypoint.expected_exceptions)
    return str(getattr(error, "code", type(error).__name__)) if ours else type(error).__name__
