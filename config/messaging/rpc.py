"""The RPC entrypoint: Nameko's own, with a deadline before any work and a lean reply."""

import logging
import re
import time
from functools import partial
from typing import Any

from kombu import Message
from nameko.amqp.publish import Publisher
from nameko.constants import (
    AMQP_SSL_CONFIG_KEY,
    AMQP_URI_CONFIG_KEY,
    DEFAULT_SERIALIZER,
    NON_PERSISTENT,
)
from nameko.containers import WorkerContext
from nameko.exceptions import ContainerBeingKilled, MalformedRequest
from nameko.messaging import QueueConsumer as StockQueueConsumer
from nameko.rpc import Responder
from nameko.rpc import Rpc as StockRpc
from nameko.rpc import RpcConsumer as StockRpcConsumer
from nameko.rpc import get_rpc_exchange

from config.messaging.call import DEADLINE, DeadlineExceeded, receive
from config.messaging.connection import BROKEN
from config.messaging.operator_audit import OperatorAudit

_log = logging.getLogger("service")

# A UUID, with dashes or without: answers go to the exchange that calls go to as well, and must
# not be taken for calls. The broker refuses other keys, too, and ends the channel over it.
REPLY_TO = "[0-9a-f-]{32,36}"


def _refuse(message: Message, reason: str) -> None:
    _log.error("message refused", extra={"reason": reason, "bytes": len(message.body)})
    message.reject()


class ReplyPublisher(Publisher):
    """A reply is transient and unconfirmed: when it is lost, the caller asks again with its key."""

    use_confirms = False
    delivery_mode = NON_PERSISTENT
    # Once more, at once, for a pooled connection that died unnoticed. Nameko's own policy would
    # keep the worker for nine seconds, and the caller is gone by then.
    retry_policy = {"max_retries": 1, "interval_start": 0, "interval_step": 0}
    # A dict of its own: Nameko writes `confirm_publish` into the class's.
    transport_options = {**retry_policy, "interval_max": 0}


class CallPublisher(Publisher):
    """A call by Nameko's own client, transient like those of ours: its arguments are no business
    of the broker's disk."""

    delivery_mode = NON_PERSISTENT


class QueueConsumer(StockQueueConsumer):
    def on_decode_error(self, message: Message, exc: Exception) -> None:
        """kombu would log the body, which may hold anything about anybody."""
        _refuse(message, "unreadable")


class RpcConsumer(StockRpcConsumer):
    queue_consumer = QueueConsumer()

    def handle_message(self, body: Any, message: Message) -> None:
        properties = message.properties
        reply_to, content_type = properties.get("reply_to"), properties.get("content_type")
        if not content_type or not re.fullmatch(REPLY_TO, reply_to or ""):
            # Nobody can be told; answering would bring the whole service down.
            _refuse(message, "no reply_to")
            return
        super().handle_message(body, message)

    def handle_result(
        self, message: Message, result: Any, exc_info: Any, *, replayed: bool = False
    ) -> tuple[Any, Any]:
        responder = Responder(
            self.container.config[AMQP_URI_CONFIG_KEY],
            get_rpc_exchange(self.container.config),
            DEFAULT_SERIALIZER,
            message,
            ssl=self.container.config.get(AMQP_SSL_CONFIG_KEY),
        )
        responder.publisher_cls = partial(ReplyPublisher, headers={"replayed": replayed})
        try:
            result, exc_info = responder.send_response(result, exc_info)
        except BROKEN as broken:
            self._give_back(message, exc_info, broken)
        else:
            self.queue_consumer.ack_message(message)
        return result, exc_info

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

    def handle_message(self, body: Any, message: Message) -> None:
        try:
            args, kwargs = body["args"], body["kwargs"]
        except (KeyError, TypeError) as missing:
            raise MalformedRequest("Message missing `args` or `kwargs`") from missing
        self.check_signature(args, kwargs)
        try:
            context = receive(
                self.unpack_message_headers(message),
                seconds=self.container.config["CALL_SECONDS"],
                ring=self.container.config["CALLER_KEYS"],
                message_id=message.properties.get("correlation_id"),
            )
        except MalformedRequest:
            _log.warning("forged caller refused", extra={"method": self.method_name})
            raise
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


rpc = Rpc.decorator
