"""A way to the real broker that can be frozen, cut and restored, without hurting anybody else."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from kombu.utils.url import url_to_parts

TICK = 0.1


class BrokerProxy:
    """Passes bytes between ``uri`` and the broker at ``target``."""

    def __init__(self, target: str) -> None:
        parts = url_to_parts(target)
        self._target = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(TICK)
        port = self._listener.getsockname()[1]
        self.uri = target.replace(f"{parts.hostname}:{parts.port}", f"127.0.0.1:{port}")
        self._frozen, self._down, self._ended = (threading.Event() for _ in range(3))
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def freeze(self) -> None:
        """Connections stay up and say no more."""
        self._frozen.set()

    def cut(self) -> None:
        """Connections end, and new ones are cut off at once."""
        self._down.set()
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def restore(self) -> None:
        self._down.clear()

    def end(self) -> None:
        self._ended.set()
        self.cut()
        for thread in list(self._threads):
            thread.join()
        for end in (*self._open, self._listener):
            end.close()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                here, _ = self._listener.accept()
            except TimeoutError:
                continue
            self._open.append(here)
            if self._down.is_set():
                here.shutdown(socket.SHUT_RDWR)
                continue
            there = socket.create_connection(self._target)
            self._open.append(there)
            for ends in ((here, there), (there, here)):
                self._threads.append(threading.Thread(target=self._pass_on, args=ends))
                self._threads[-1].start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        source.settimeout(TICK)
        while not self._ended.is_set():
            try:
                data = source.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                data = b""
            if not data:
                break
            with suppress(OSError):
                if not self._frozen.is_set():
                    sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)


@contextmanager
def broker_proxy(target: str) -> Iterator[BrokerProxy]:
    proxy = BrokerProxy(target)
    try:
        yield proxy
    finally:
        proxy.end()
