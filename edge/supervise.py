"""A thread whose work is begun again when it fails: one camera's trouble stops nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

RESTART_S = (0.5, 1.0, 2.0, 5.0, 15.0, 30.0)
_log = structlog.get_logger("edge.supervise")


class SupervisedThread:
    """Runs ``body(stop)`` in a thread until it returns by itself or ``stop`` is set.

    Args:
        name: for logs and the thread.
        body: returns when its event is set; whatever it raises is logged, counted, and it is begun again after a pause.
    """

    def __init__(self, name: str, body: Callable[[threading.Event], None]) -> None:
        self.name, self._body = name, body
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.failures = 0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end."""
        self._stop.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for its end; whether it came."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._body(self._stop)
                return
            except Exception as error:  # noqa: BLE001 - the boundary of every thread: counted, logged, begun again
                self.failures += 1
                _log.exception("worker failed", worker=self.name, failures=self.failures, error=str(error))
                self._stop.wait(RESTART_S[min(self.failures, len(RESTART_S)) - 1])
