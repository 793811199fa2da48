"""A way to a real server that can be frozen, cut and restored, without hurting anybody else."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

TICK = 0.1


@dataclass(frozen=True)
class _Pair:
    """A client's connection and ours to the server; ``losing`` while an answer is to be lost."""

    here: socket.socket
    there: socket.socket
    losing: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    def cut(self) -> None:
        self.over.set()
        for end in (self.here, self.there):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class TcpProxy:
    """Passes bytes between ``uri``, which is as ``target`` otherwise, and the server there."""

    def __init__(self, target: str) -> None:
        server = urlsplit(target)
        self._target = (server.hostname or "", server.port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(TICK)
        port = self._listener.getsockname()[1]
        self.uri = target.replace(f"{server.hostname}:{server.port}", f"127.0.0.1:{port}")
        self._thawed, self._down, self._ended = (threading.Event() for _ in range(3))
        self._thawed.set()
        self._lost_requests: list[bytes] = []
        self._last_words: list[bytes] = []
        self._pairs: list[_Pair] = []
        # Of connections passed on at one time.
        self.most_at_once = 0
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def freeze(self) -> None:
        """Connections stay up and say no more; new ones are taken and say nothing."""
        self._thawed.clear()

    def thaw(self) -> None:
        """What was said meanwhile arrives."""
        self._thawed.set()

    def cut(self) -> None:
        """Connections end, and new ones are cut off at once."""
        self._down.set()
        for pair in self._pairs:
            pair.cut()

    def sever(self) -> None:
        """Connections end; new ones are welcome."""
        for pair in list(self._pairs):
            pair.cut()

    @property
    def connections(self) -> int:
        """How many there have been."""
        return len(self._pairs)

    def restore(self) -> None:
        self._down.clear()

    def lose_answer_to(self, request: bytes) -> None:
        """The next request that contains this arrives; instead of its answer comes the cut."""
        self._lost_requests.append(request)

    def freeze_at(self, request: bytes) -> None:
        """Once a request that contains this has been passed on."""
        self._last_words.append(request)

    @property
    def has_lost(self) -> bool:
        """Whether what was to be lost is."""
        return not self._lost_requests

    def end(self) -> None:
        self._ended.set()
        self._thawed.set()
        self.cut()
        for thread in list(self._threads):
            thread.join()
        for pair in self._pairs:
            pair.here.close()
            pair.there.close()
        self._listener.close()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                here, _ = self._listener.accept()
            except TimeoutError:
                continue
            try:
                there = socket.create_connection(self._target)
            except OSError:
                here.close()
                continue
            pair = _Pair(here, there)
            self._pairs.append(pair)
            if self._down.is_set():
                pair.cut()
                continue
            open_ones = [each for each in self._pairs if not each.over.is_set()]
            self.most_at_once = max(self.most_at_once, len(open_ones))
            for passing in (self._pass_requests, self._pass_answers):
                self._threads.append(threading.Thread(target=passing, args=(pair,)))
                self._threads[-1].start()

    def _pass_requests(self, pair: _Pair) -> None:
        for data in self._heard(pair.here):
            if any(request in data for request in self._lost_requests):
                pair.losing.set()
            if any(request in data for request in self._last_words):
                self._last_words.clear()
                self.freeze()
            with suppress(OSError):
                pair.there.sendall(data)
        pair.cut()

    def _pass_answers(self, pair: _Pair) -> None:
        for data in self._heard(pair.there):
            if pair.losing.is_set():
                self._lost_requests.clear()
                break
            with suppress(OSError):
                pair.here.sendall(data)
        pair.cut()

    def _heard(self, source: socket.socket) -> Iterator[bytes]:
        source.settimeout(TICK)
        while not self._ended.is_set():
            try:
                data = source.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                return
            if not data:
                return
            self._thawed.wait()
            yield data


@contextmanager
def tcp_proxy(target: str) -> Iterator[TcpProxy]:
    proxy = TcpProxy(target)
    try:
        yield proxy
    finally:
        proxy.end()
