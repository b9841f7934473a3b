"""A process of the district: it waits for the servers it needs, says for which, runs its threads and ends in order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from queue import SimpleQueue
from types import FrameType
from typing import TypeVar

import structlog

from app.wiring.logs import configure_logs
from app.wiring.threads import Threads, keep_trying
from system.garbage import settle_garbage

LOG = structlog.get_logger("linli")
END_S = 15.0
T = TypeVar("T")
S = TypeVar("S")


class ShutdownRequested(Exception):  # noqa: N818 - nothing went wrong
    """Asked to end before everything needed was there."""


class ProcessContext:
    """The context of a process: its threads, and what it opened, to be closed after they have ended."""

    def __init__(self, threads: Threads, opened: ExitStack) -> None:
        self.threads = threads
        self._opened = opened

    def wait_for(self, what: str, work: Callable[[], T]) -> T:
        """Return what ``work`` gives, once nothing that may pass hinders it; each try that fails says why.

        Raises:
            ShutdownRequested: a signal came first.
        """
        found: list[T] = []
        keep_trying(what, lambda _stop: found.append(work()), self.threads.stop)
        if not found or self.threads.stop.is_set():
            raise ShutdownRequested(what)
        return found[0]

    def on_exit(self, work: Callable[[], object]) -> None:
        """Do this when the threads have ended; what was said last is done first."""
        self._opened.callback(work)


def run_service(wire: Callable[[S, ProcessContext], None], settings: S) -> None:
    """Set up this process's logs, then run what the settings wire. See :func:`run_process`."""
    configure_logs()
    run_process(partial(wire, settings))


def on_signal(end: Callable[[], object], interrupts: Callable[[], bool] = lambda: False) -> None:
    """Call ``end`` on SIGTERM and on Ctrl-C, in a thread of its own. Only in the main thread.

    A handler runs between any two steps of the main thread, which may hold the very lock that ``end`` takes: an event
    that is set there can wait for itself for ever. A queue that allows this hands it to a thread that holds nothing.

    Args:
        end: takes what locks it likes.
        interrupts: whether the main thread is to be interrupted too. It takes no lock.
    """
    asked: SimpleQueue[int] = SimpleQueue()

    def called(number: int, _frame: FrameType | None) -> None:
        asked.put(number)
        if interrupts():
            raise KeyboardInterrupt

    def hear() -> None:
        while True:
            asked.get()
            end()

    threading.Thread(target=hear, name="linli-signals", daemon=True).start()
    signal.signal(signal.SIGTERM, called)
    signal.signal(signal.SIGINT, called)


def run_process(wire: Callable[[ProcessContext], None]) -> None:
    """Wire it and run until SIGTERM, Ctrl-C or a failure. Blocks; only in the main thread.

    Raises:
        LinliError: what a thread or the wiring failed with.
    """
    threads = Threads()
    on_signal(threads.stop.set)
    with ExitStack() as opened:
        try:
            wire(ProcessContext(threads, opened))
            settle_garbage()
            threads.wait()
        except ShutdownRequested as asked:
            LOG.info("ended_waiting", work=str(asked))
        finally:
            threads.stop.set()
            stuck = threads.join(timeout_s=END_S)
            if stuck:
                LOG.error("threads_did_not_end", threads=stuck)
                opened.pop_all()  # they may be using it; the end of the process closes it
    threads.raise_failure()
