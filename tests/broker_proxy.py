"""A way to the real broker that can be frozen, cut and restored, without hurting anybody else."""

from tests.tcp_proxy import TcpProxy as BrokerProxy
from tests.tcp_proxy import tcp_proxy as broker_proxy

__all__ = ["BrokerProxy", "broker_proxy"]
