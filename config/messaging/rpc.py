"""The RPC entrypoint: Nameko's own, with a deadline before any work and a lean reply."""

import inspect
import json
import logging
import sys
import time
from functools import partial
from typing import Any

from kombu import Message, Queue
from nameko.amqp.publish import Publisher
from nameko.constants import NON_PERSISTENT
from nameko.containers import WorkerContext
from nameko.exceptions import (
    ContainerBeingKilled,
    IncorrectSignature,
    MalformedRequest,
    MethodNotFound,
    UnserializableValueError,
    serialize,
)
from nameko.rpc import Rpc as StockRpc
from nameko.rpc import RpcConsumer as StockRpcConsumer

from config.messaging.call import DEADLINE, TRAVELS, DeadlineExceeded, receive
from config.messaging.call_form import can_be_answered, check_call, check_properties
from config.messaging.connection import BROKEN
from config.messaging.consumer import QueueConsumer
from config.messaging.junk import JSON, Junk
from config.messaging.operator_audit import OperatorAudit
from config.messaging.topology import RPC, found, rpc_queue

_log = logging.getLogger("service")

HEADERS = {name: f"nameko.{name}" for name in TRAVELS}
# What a caller may do wrong without sending junk.
REFUSALS = (DeadlineExceeded, IncorrectSignature)


class CallPublisher(Publisher):
    """A call by Nameko's own client, transient like those of ours: its arguments are no business
    of the broker's disk."""

    delivery_mode = NON_PERSISTENT


class RpcConsumer(StockRpcConsumer):
    queue_consumer = QueueConsumer()
    queue: Queue | None
    # Nothing that it does with a message has to wait.
    only_spawns = True

    def __init__(self) -> None:
        super().__init__()
        self._methods: dict[str, Rpc] = {}

    def setup(self) -> None:
        # Once for all methods of a service.
        if self.queue is None:
            queue_type = self.container.config["QUEUE_TYPE"]
            self.queue = rpc_queue(self.container.service_name, queue_type)
            self.queue.exchange = found(self.queue.exchange)
            self.queue_consumer.register_provider(self)

    def register_provider(self, provider: "Rpc") -> None:
        self._methods[f"{self.container.service_name}.{provider.method_name}"] = provider
        super().register_provider(provider)

    def handle_message(self, body: Any, message: Message) -> None:
        try:
            check_properties(message)
            check_call(body)
            self._method_of(message).handle_message(body, message)
        except Junk as junk:
            self.queue_consumer.refuse_aside(self, message, junk)
        except Exception as failure:
            # Nameko answers whatever it is; what is no refusal should also be seen here.
            if not isinstance(failure, REFUSALS):
                _log.exception("call not begun")
            self.handle_result(message, None, sys.exc_info())

    def _method_of(self, message: Message) -> "Rpc":
        try:
            return self._methods[message.delivery_info["routing_key"]]
        except KeyError as unknown:
            _, _, name = message.delivery_info["routing_key"].rpartition(".")
            raise Junk("unknown method", told=MethodNotFound(name)) from unknown

    def refuse(self, message: Message, junk: Junk) -> None:
        """Tell the caller, if there is one; its message becomes a dead letter."""
        if can_be_answered(message):
            told = junk.told or MalformedRequest(junk.reason)
            self._answer(message, None, (type(told), told, None))
        self.queue_consumer.refuse(f"rpc-{self.container.service_name}", message, junk)

    def handle_result(
        self, message: Message, result: Any, exc_info: Any, *, replayed: bool = False
    ) -> tuple[Any, Any]:
        result, exc_info = self._answer(message, result, exc_info, replayed=replayed)
        self.queue_consumer.ack_message(message)
        return result, exc_info

    def _answer(
        self, message: Message, result: Any, exc_info: Any, *, replayed: bool = False
    ) -> tuple[Any, Any]:
        """Over the channel that the call came by, before its acknowledgement.

        Transient and unconfirmed: when it is lost, the caller asks again with its key. Where the
        channel is gone, the broker gives the call to somebody again, and a change finds its kept
        answer.
        """
        body, result, exc_info = _reply(result, exc_info)
        channel = message.channel
        reply = channel.prepare_message(
            body,
            content_type=JSON,
            content_encoding="utf-8",
            headers={"replayed": replayed},
            properties={
                "correlation_id": message.properties.get("correlation_id"),
                "delivery_mode": NON_PERSISTENT,
            },
        )
        try:
            channel.basic_publish(reply, exchange=RPC, routing_key=message.properties["reply_to"])
        except BROKEN as broken:
            _log.warning("answer not sent", extra={"error": type(broken).__name__})
        return result, exc_info


def _reply(result: Any, exc_info: Any) -> tuple[str, Any, Any]:
    """The body, and what it says: a result that is no JSON is an error of the service."""
    error = None if exc_info is None else serialize(exc_info[1])
    try:
        return json.dumps({"result": result, "error": error}), result, exc_info
    except (TypeError, ValueError, RecursionError):
        exc_info = sys.exc_info()
        error = serialize(UnserializableValueError(result))
        return json.dumps({"result": None, "error": error}), None, exc_info


class Rpc(StockRpc):
    """A method that can be called by RPC, with or without this project's headers.

    :raises DeadlineExceeded: to a caller that has stopped waiting; the method does not run.
    """

    rpc_consumer = RpcConsumer()
    operator_audit = OperatorAudit()

    def setup(self) -> None:
        super().setup()
        method = getattr(self.container.service_cls, self.method_name)
        self._signature = inspect.signature(method)

    def handle_message(self, body: dict[str, Any], message: Message) -> None:
        args, kwargs = body["args"], body["kwargs"]
        self.check_signature(args, kwargs)
        try:
            context = receive(
                _travelled(message.headers),
                seconds=self.container.config["CALL_SECONDS"],
                ring=self.container.config["CALLER_KEYS"],
                message_id=message.properties["correlation_id"],
            )
        except MalformedRequest as forged:
            raise Junk("forged caller", told=forged) from forged
        if context[DEADLINE] <= time.time():
            raise DeadlineExceeded()
        self._spawn(args, kwargs, context, message)

    def check_signature(self, args: list[Any], kwargs: dict[str, Any]) -> None:
        """As Nameko does, which looks at the method anew for each call."""
        try:
            self._signature.bind(None, *args, **kwargs)
        except TypeError as misfit:
            raise IncorrectSignature(str(misfit)) from misfit

    def _spawn(
        self, args: list[Any], kwargs: dict[str, Any], context: dict[str, Any], message: Message
    ) -> None:
        try:
            self.container.spawn_worker(
                self,
                args,
                kwargs,
                context_data=context,
                handle_result=partial(self.handle_result, message),
            )
        except ContainerBeingKilled:
            self.rpc_consumer.requeue_message(message)

    def handle_result(
        self, message: Message, worker_ctx: WorkerContext, result: Any, exc_info: Any
    ) -> tuple[Any, Any]:
        result, exc_info = self.operator_audit.before_reply(worker_ctx, result, exc_info)
        replayed = bool(worker_ctx.data.get("replayed"))
        return self.rpc_consumer.handle_result(message, result, exc_info, replayed=replayed)


def _travelled(headers: dict[Any, Any]) -> dict[str, Any]:
    return {name: headers[key] for name, key in HEADERS.items() if key in headers}


rpc = Rpc.decorator
