"""The parts of a district that tests start, end, kill and pause: a ``linli`` process, a broker of devices."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from app.wiring.children import Child
from app.wiring.run_child import start_child
from ingest.session.broker import MosquittoChild, free_port
from tests.support.broker import need_mosquitto
from tests.support.district_broker import BrokerFiles

HOST = "127.0.0.1"
READY_S = 120.0
STOP_S = 60.0
_READY = re.compile(r"\bready\b")
_METRICS = re.compile(r"\burl=(http://\S+/metrics)")


class Part(Protocol):
    """Something that runs, dies and runs again."""

    @property
    def pid(self) -> int:
        """Of its present life."""
        ...

    def running(self) -> bool:
        """Whether it lives, also when it stands still."""
        ...

    def start(self) -> None:
        """Start it."""
        ...

    def kill(self) -> None:
        """End it as a crash would."""
        ...


class Pausable(Part, Protocol):
    """A part that can stand still and live."""

    def pause(self) -> None:
        """Stop it in its tracks."""
        ...

    def resume(self) -> None:
        """Let it go on; nothing when it does not stand still or does not run."""
        ...


class LinliProcess:
    """One ``linli`` command as a process, under a name; its output in ``logs/{name}.log``, also of earlier lives.

    What it started itself is killed and paused with it.
    """

    def __init__(self, name: str, arguments: Sequence[str], folder: Path, settings: Mapping[str, str]) -> None:
        self.name = name
        self._arguments, self._folder, self._settings = tuple(arguments), folder, dict(settings)
        self._child: Child | None = None

    def start(self) -> None:
        """Start it; :meth:`wait_ready` waits for it."""
        assert not self.running(), f"{self.name} runs already"
        self._child = start_child(self.name, self._folder, *self._arguments, settings=self._settings)

    def wait_ready(self) -> None:
        """Wait until it says that it is ready."""
        self.wait(self.is_ready, "word that it is ready")

    def is_ready(self) -> bool:
        """Whether it has said so in this life."""
        return _READY.search(self.said()) is not None

    def wait(self, done: Callable[[], bool], what: str, patience_s: float = READY_S) -> None:
        """Wait until ``done``, while it runs."""
        end_s = time.monotonic() + patience_s
        while not done():
            assert self.running(), f"{self.name} ended with {self.exit_code()} before {what}:\n{self.said()[-3000:]}"
            assert time.monotonic() < end_s, f"{self.name}: no {what}:\n{self.said()[-3000:]}"
            time.sleep(0.05)

    def wait_end(self, patience_s: float = READY_S) -> int:
        """Its exit code, once it has ended by itself."""
        end_s = time.monotonic() + patience_s
        while self.running():
            assert time.monotonic() < end_s, f"{self.name} does not end:\n{self.said()[-3000:]}"
            time.sleep(0.05)
        return self.exit_code()

    @property
    def started(self) -> bool:
        """Whether it has ever been."""
        return self._child is not None

    @property
    def pid(self) -> int:
        """Of its present life; what it started itself is in its process group."""
        assert self._child is not None
        return self._child.pid

    def running(self) -> bool:
        """Whether it lives, also when it stands still."""
        return self._child is not None and self._child.running()

    def said(self) -> str:
        """Return what it has said in this life."""
        return "" if self._child is None else self._child.tail(10_000_000)

    def exit_code(self) -> int:
        """Of its last life, which is over."""
        assert self._child is not None
        return self._child.stop()

    def metrics_url(self) -> str | None:
        """Where it shows its metrics, once it has said so."""
        found = _METRICS.search(self.said())
        return found[1] if found else None

    def end(self) -> None:
        """Ask it to end; does not wait."""
        self._send(signal.SIGTERM)

    def stop(self) -> int:
        """Ask it to end and wait; its exit code."""
        return 0 if self._child is None else self._child.stop(STOP_S)

    def kill(self) -> None:
        """kill -9."""
        self._send(signal.SIGKILL)
        if self._child is not None:
            self._child.stop()

    def pause(self) -> None:
        """SIGSTOP."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        if self._child is not None and self._child.running():
            with suppress(ProcessLookupError):
                (os.kill if number is signal.SIGTERM else os.killpg)(self._child.pid, number)


class MosquittoPart:
    """mosquitto with our settings on one port, or as a deployment has it, started as often as wanted on its folder."""

    def __init__(self, folder: Path, files: BrokerFiles | None = None) -> None:
        self._folder, self._program = folder, need_mosquitto()
        self._child: MosquittoChild | None = None
        self._settings = None if files is None else files.settings()
        self.port = free_port() if files is None else files.port
        self.url = f"{'mqtt' if files is None else 'mqtts'}://{HOST}:{self.port}"

    def start(self) -> None:
        """Start it; returns when it listens."""
        self._child = MosquittoChild(self._program, self._folder, self.port, self._settings)

    def stop(self) -> None:
        """End it in order: it saves its sessions."""
        if self._child is not None:
            self.resume()
            self._child.stop()

    def kill(self) -> None:
        """kill -9: what it had not saved is gone."""
        if self._child is not None:
            self._child.kill()

    @property
    def pid(self) -> int:
        """Of its present life."""
        assert self._child is not None
        return self._child.pid

    def running(self) -> bool:
        """Whether it lives."""
        return self._child is not None and self._child.running()

    def pause(self) -> None:
        """SIGSTOP: connections stand, nobody answers."""
        if self._child is not None and self._child.running():
            os.kill(self._child.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        if self._child is not None and self._child.running():
            os.kill(self._child.pid, signal.SIGCONT)
