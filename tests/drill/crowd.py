"""All clients of a drill, at work in threads of their own."""

import threading

from tests.drill.history import History, now
from tests.drill.load import Client, World


class Crowd:
    """All clients, at work in threads of their own."""

    def __init__(self, world: World, history: History, *, clients: int, seed: str) -> None:
        self._stop = threading.Event()
        self._give_up = float("inf")
        self.clients = [Client(number, world, history, seed) for number in range(clients)]
        self.failures: list[str] = []
        self._threads = [
            threading.Thread(target=self._work, args=(client,), daemon=True)
            for client in self.clients
        ]

    def _work(self, client: Client) -> None:
        try:
            client.asker.give_up = lambda: self._give_up
            client.work(until=self._stop.is_set)
        except Exception as failure:  # told by the checker: a client that is gone finds nothing
            self.failures.append(f"client {client.number}: {failure!r}")
            raise

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, *, seconds: float) -> None:
        """They end what they have begun, for ``seconds`` at most."""
        self._give_up = now() + seconds
        self._stop.set()

    @property
    def working(self) -> int:
        return sum(thread.is_alive() for thread in self._threads)

    @property
    def unsettled(self) -> list[str]:
        return [text for client in self.clients for text in client.unsettled]
