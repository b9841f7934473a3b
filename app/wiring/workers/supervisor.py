"""Keeps one worker going in this process group: replaced when it crashes or stands still, ended in order when we are.

What a person has to fix (exit codes 1 and 2 of the worker) ends the supervisor too, with the same code.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType

import structlog

from streams.runtime.progress import Stuck, Watchdog, decode_progress

LOG = structlog.get_logger("linli")
CRASHED = 70  # EX_SOFTWARE: an uncaught error; 1 and 2 are what a person must fix
LEAVE_S = 25.0
"""How long a worker may take to end in order: two drains' time."""
PERSISTS = 3
"""Replaced so often in a row, people hear of it."""
SETTLED_S = 60.0
"""A worker that lived so long was well: the next fault is a new one."""
MAX_PAUSE_S = 30.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Supervisor:
    """Runs ``command`` with ``--report-to FD``, over and over. ``on_alarm`` hears of a fault that persists."""

    def __init__(self, command: Sequence[str], on_alarm: Callable[[Stuck], None]) -> None:
        self._command = list(command)
        self._on_alarm = on_alarm
        self._stopping = False
        self._child: subprocess.Popen[bytes] | None = None
        self._faults = 0

    def run(self) -> int:
        """Run until SIGTERM, Ctrl-C or what a person must fix; return the exit code. Only in the main thread."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        while True:
            started_s = time.monotonic()
            stuck, code = self._one_life()
            if self._stopping:
                return _last_code(stuck, code)
            if stuck is None and code in {0, 1, 2}:
                return code
            self._faults = 1 if time.monotonic() - started_s > SETTLED_S else self._faults + 1
            fault = stuck or Stuck(f"it ended with code {code}")
            LOG.error("worker_replaced", reason=fault.why, in_a_row=self._faults)
            if self._faults >= PERSISTS:
                self._on_alarm(fault)
            self._pause(min(2.0 ** (self._faults - 1), MAX_PAUSE_S))

    def _one_life(self) -> tuple[Stuck | None, int]:
        """Start a worker and watch it to its end: why it was killed, if it was, and its exit code."""
        read, write = os.pipe()
        child = self._child = subprocess.Popen(
            [*self._command, "--report-to", str(write)],
            stdin=subprocess.DEVNULL,
            pass_fds=[write],
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - no threads yet
        )
        os.close(write)
        if self._stopping:
            child.terminate()
        try:
            stuck = self._watch(child, read)
        finally:
            os.close(read)
        return stuck, child.wait()

    def _watch(self, child: subprocess.Popen[bytes], read: int) -> Stuck | None:
        watchdog = Watchdog(time.monotonic())
        left_s = 0.0
        line = b""
        while child.poll() is None:
            if select.select([read], [], [], 0.5)[0]:
                *lines, line = (line + os.read(read, 65_536)).split(b"\n")
                for report in lines:
                    watchdog.observe(decode_progress(report), time.monotonic())
            now_s = time.monotonic()
            if self._stopping:
                left_s = left_s or now_s + LEAVE_S
                stuck = Stuck("it did not end in time") if now_s > left_s else None
            else:
                stuck = watchdog.check(now_s)
            if stuck is not None:
                child.kill()
                return stuck
        return None

    def _pause(self, seconds: float) -> None:
        deadline_s = time.monotonic() + seconds
        while not self._stopping and time.monotonic() < deadline_s:
            time.sleep(0.1)  # a signal only sets the flag: no lock may be waited for in its handler

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()


def _last_code(stuck: Stuck | None, code: int) -> int:
    """Return how we end that were asked to: as the worker did; 1 when it had to be killed, and so has not drained."""
    if stuck is not None:
        LOG.error("worker_not_drained", reason=stuck.why)
        return 1
    return 0 if code == -signal.SIGTERM else code  # by the signal itself: it had not come so far as to hear it


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
