"""Child processes that never outlive their parent: started, watched, stopped; killed by the kernel when it dies."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from contracts.errors import Permanent

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
STOP_S = 8.0


class Child:
    """One child process in a session of its own, its output in a file."""

    def __init__(
        self, name: str, arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], log: Path
    ) -> None:
        self.name = name
        self.log = log
        self._said_before = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                list(arguments),
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C reaches the parent alone, which then stops us in order
                preexec_fn=die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - started before threads
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def running(self) -> bool:
        """Return whether it still runs."""
        return self._process.poll() is None

    def check(self) -> None:
        """Raise unless it runs.

        Raises:
            Permanent: it ended by itself; carries the end of its output.
        """
        if not self.running():
            raise Permanent(f"{self.name} ended with code {self._process.returncode}:\n{self.tail()}")

    def tail(self, characters: int = 2000) -> str:
        """Return the end of what it has said, without what an earlier process wrote into the same file."""
        said = self.log.read_bytes()[self._said_before :]
        return said.decode("utf-8", errors="replace")[-characters:]

    def stop(self, wait_s: float = STOP_S) -> int:
        """Ask it to end, then make it; its exit code."""
        if self.running():
            self._process.terminate()
        try:
            return self._process.wait(wait_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def linli_arguments(*arguments: str) -> list[str]:
    """Return the command line of ``linli`` with these arguments, in this very interpreter."""
    return [sys.executable, "-m", "app.main", *arguments]


def die_with_parent() -> None:
    """Have the kernel end a child that has not begun yet when the thread that started it ends (Linux)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
