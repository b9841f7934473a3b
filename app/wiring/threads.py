"""The threads of one process: they end together. An uncaught error in one ends the process."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from contracts.errors import LinliError, Permanent, Transient
from system.no_room import may_pass, said_by

LOG = structlog.get_logger("linli")
PAUSES_S = (0.5, 1.0, 2.0, 4.0)
"""Between tries of a loop that is kept; the last forever. A server that is back is found within this."""


class Threads:
    """Named loops that run until ``stop`` is set. The first that raises stops the rest and is kept in ``failure``."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.failure: BaseException | None = None
        self._failed = ""
        self._threads: list[threading.Thread] = []

    def start(self, name: str, loop: Callable[[threading.Event], object]) -> threading.Thread:
        """Run ``loop(stop)`` in a thread of this name. A loop that returns before ``stop`` is set has failed too."""
        thread = threading.Thread(target=self._run, args=(name, loop), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def keep(self, name: str, loop: Callable[[threading.Event], object]) -> threading.Thread:
        """Start as :meth:`start` does, but begin the loop anew, later, if its end may pass: see :func:`keep_trying`."""
        return self.start(name, lambda stop: keep_trying(name, loop, stop))

    def wait(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Wait until ``stop`` is set, by a signal or by a failure; call ``meanwhile`` twice a second."""
        while not self.stop.wait(0.5):
            meanwhile()

    def join(self, name: str | None = None, timeout_s: float = 10.0) -> list[str]:
        """Wait for the threads (of this name) to end; the names of those that did not."""
        mine = [t for t in self._threads if name is None or t.name == name]
        for thread in mine:
            thread.join(timeout_s)
        return [t.name for t in mine if t.is_alive()]

    def raise_failure(self) -> None:
        """Raise unless no thread has failed.

        Raises:
            LinliError: what the first one raised, where that says itself what to do; its kind is the exit code.
        """
        if isinstance(self.failure, LinliError):
            raise self.failure
        if self.failure is not None:
            kind = type(self.failure).__name__
            raise Permanent(f"stopped, since its part {self._failed!r} failed: {kind}: {said_by(self.failure)}")

    def _run(self, name: str, loop: Callable[[threading.Event], object]) -> None:
        try:
            loop(self.stop)
            if not self.stop.is_set():
                raise RuntimeError(f"{name} ended by itself")
        except BaseException as error:  # noqa: BLE001 - the boundary of a thread: the process ends with it
            LOG.error("thread_failed", thread=name, error=repr(error))
            if self.failure is None:
                self.failure, self._failed = error, name
            self.stop.set()


def keep_trying(name: str, work: Callable[[threading.Event], object], stop: threading.Event) -> None:
    """Do ``work(stop)`` until it returns, again and again while something that may pass hinders it, or ``stop``.

    What may pass: :class:`Transient`, and a full disk or a locked file, whatever library tells of it.
    """
    tried = 0
    while True:
        try:
            work(stop)
        except Exception as error:  # a full disk has as many classes as there are libraries; the rest is raised again
            if not isinstance(error, Transient) and not may_pass(error):
                raise
            pause_s = PAUSES_S[min(tried, len(PAUSES_S) - 1)]
            tried += 1
            LOG.warning("waiting", work=name, error=said_by(error), again_in_s=pause_s)
            if stop.wait(pause_s):
                return
        else:
            return
