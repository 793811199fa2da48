"""The way to Redis."""

from socket import socket
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.connection import SSLConnection
from redis.exceptions import ConnectionError as RedisLost
from redis.retry import Retry

from config.tls import client_context, redis_address

# A cache that is slower than this is no help.
ANSWER_SECONDS = 0.5


class _VerifyingConnection(SSLConnection):
    """redis-py's own would trust the machine's certificates beside those that it is given."""

    def _wrap_socket_with_ssl(self, sock: socket) -> Any:
        return client_context(self.ca_certs).wrap_socket(sock, server_hostname=self.host)


def redis_client(url: str, ca_file: str | None) -> Redis:
    """A client that connects when first used, and gives up on a Redis that does not answer.

    :raises redis.RedisError: from its methods.
    """
    url = redis_address(url, ca_file)
    secure = {"connection_class": _VerifyingConnection} if url.startswith("rediss:") else {}
    return Redis.from_url(
        url,
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS,
        # Once more, at once, for a pooled connection that died unnoticed. By itself redis-py would
        # go on for seconds, and wait for a silent Redis four times.
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisLost,)),
        **secure,
    )
