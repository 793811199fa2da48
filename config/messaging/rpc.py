"""The RPC entrypoint: Nameko's own, with a deadline before any work and a lean reply."""

import logging
import sys
import time
from functools import partial
from typing import Any

from kombu import Message, Queue
from nameko.amqp.publish import Publisher
from nameko.constants import (
    AMQP_SSL_CONFIG_KEY,
    AMQP_URI_CONFIG_KEY,
    DEFAULT_SERIALIZER,
    NON_PERSISTENT,
)
from nameko.containers import WorkerContext
from nameko.exceptions import (
    ContainerBeingKilled,
    IncorrectSignature,
    MalformedRequest,
    MethodNotFound,
)
from nameko.rpc import Responder
from nameko.rpc import Rpc as StockRpc
from nameko.rpc import RpcConsumer as StockRpcConsumer
from nameko.rpc import get_rpc_exchange

from config.messaging.call import DEADLINE, TRAVELS, DeadlineExceeded, receive
from config.messaging.call_form import can_be_answered, check_call, check_properties
from config.messaging.connection import BROKEN
from config.messaging.consumer import QueueConsumer
from config.messaging.junk import JSON, Junk
from config.messaging.operator_audit import OperatorAudit
from config.messaging.pooled import PooledPublisher
from config.messaging.topology import found, rpc_queue

_log = logging.getLogger("service")

HEADERS = {name: f"nameko.{name}" for name in TRAVELS}
# What a caller may do wrong without sending junk.
REFUSALS = (DeadlineExceeded, IncorrectSignature)


class ReplyPublisher(PooledPublisher):
    """A reply is transient and unconfirmed: when it is lost, the caller asks again with its key."""

    use_confirms = False
    delivery_mode = NON_PERSISTENT


class CallPublisher(Publisher):
    """A call by Nameko's own client, transient like those of ours: its arguments are no business
    of the broker's disk."""

    delivery_mode = NON_PERSISTENT


class RpcConsumer(StockRpcConsumer):
    queue_consumer = QueueConsumer()
    queue: Queue | None

    def setup(self) -> None:
        # Once for all methods of a service.
        if self.queue is None:
            queue_type = self.container.config["QUEUE_TYPE"]
            self.queue = rpc_queue(self.container.service_name, queue_type)
            self.queue.exchange = found(self.queue.exchange)
            self.queue_consumer.register_provider(self)

    def handle_message(self, body: Any, message: Message) -> None:
        try:
            check_properties(message)
            check_call(body)
            self._method_of(message).handle_message(body, message)
        except Junk as junk:
            self.refuse(message, junk)
        except Exception as failure:
            # Nameko answers whatever it is; what is no refusal should also be seen here.
            if not isinstance(failure, REFUSALS):
                _log.exception("call not begun")
            self.handle_result(message, None, sys.exc_info())

    def _method_of(self, message: Message) -> "Rpc":
        try:
            provider: Rpc = self.get_provider_for_method(message.delivery_info["routing_key"])
        except MethodNotFound as unknown:
            raise Junk("unknown method", told=unknown) from unknown
        return provider

    def refuse(self, message: Message, junk: Junk) -> None:
        """Tell the caller, if there is one; its message becomes a dead letter."""
        if can_be_answered(message):
            told = junk.told or MalformedRequest(junk.reason)
            try:
                self._answer(message, None, (type(told), told, None))
            except BROKEN as broken:
                _log.warning("answer not sent", extra={"error": type(broken).__name__})
        self.queue_consumer.refuse(f"rpc-{self.container.service_name}", message, junk)

    def handle_result(
        self, message: Message, result: Any, exc_info: Any, *, replayed: bool = False
    ) -> tuple[Any, Any]:
        try:
            result, exc_info = self._answer(message, result, exc_info, replayed=replayed)
        except BROKEN as broken:
            self._give_back(message, exc_info, broken)
        else:
            self.queue_consumer.ack_message(message)
        return result, exc_info

    def _answer(
        self, message: Message, result: Any, exc_info: Any, *, replayed: bool = False
    ) -> tuple[Any, Any]:
        # Nameko answers in the form of the question, which need not be one that we speak.
        message.properties["content_type"] = JSON
        responder = Responder(
            self.container.config[AMQP_URI_CONFIG_KEY],
            get_rpc_exchange(self.container.config),
            DEFAULT_SERIALIZER,
            message,
            ssl=self.container.config.get(AMQP_SSL_CONFIG_KEY),
        )
        responder.publisher_cls = partial(ReplyPublisher, headers={"replayed": replayed})
        answer: tuple[Any, Any] = responder.send_response(result, exc_info)
        return answer

    def _give_back(self, message: Message, exc_info: Any, broken: Exception) -> None:
        """The answer could not be sent: delivered again, a change finds its kept answer.

        Raised on, the error would end the whole service, as Nameko has it.
        """
        _log.warning("answer not sent", extra={"error": type(broken).__name__})
        if exc_info is not None and issubclass(exc_info[0], DeadlineExceeded):
            self.queue_consumer.ack_message(message)
        else:
            self.queue_consumer.requeue_message(message)


class Rpc(StockRpc):
    """A method that can be called by RPC, with or without this project's headers.

    :raises DeadlineExceeded: to a caller that has stopped waiting; the method does not run.
    """

    rpc_consumer = RpcConsumer()
    operator_audit = OperatorAudit()

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
