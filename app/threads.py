"""The threads of one process: they end together. An uncaught error in one ends the process."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

LOG = structlog.get_logger("linli")


class Threads:
    """Named loops that run until ``stop`` is set. The first that raises stops the rest and is kept in ``failure``."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.failure: BaseException | None = None
        self._threads: list[threading.Thread] = []

    def start(self, name: str, loop: Callable[[threading.Event], object]) -> threading.Thread:
        """Run ``loop(stop)`` in a thread of this name. A loop that returns before ``stop`` is set has failed too."""
        thread = threading.Thread(target=self._run, args=(name, loop), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def wait(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Until ``stop`` is set, by a signal or by a failure; ``meanwhile`` is called twice a second."""
        while not self.stop.wait(0.5):
            meanwhile()

    def join(self, name: str | None = None, timeout_s: float = 10.0) -> list[str]:
        """Wait for the threads (of this name) to end; the names of those that did not."""
        mine = [t for t in self._threads if name is None or t.name == name]
        for thread in mine:
            thread.join(timeout_s)
        return [t.name for t in mine if t.is_alive()]

    def _run(self, name: str, loop: Callable[[threading.Event], object]) -> None:
        try:
            loop(self.stop)
            if not self.stop.is_set():
                raise RuntimeError(f"{name} ended by itself")
        except BaseException as error:  # noqa: BLE001 - the border of a thread: the process ends with it
            LOG.error("thread_failed", thread=name, error=repr(error))
            if self.failure is None:
                self.failure = error
            self.stop.set()
