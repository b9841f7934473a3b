"""``linli run`` for tests: as a child process, or in this process for runs that are refused."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from app import main
from app.wiring.children import Child
from app.wiring.ports import free_port
from app.wiring.run_child import run_settings, start_child

HOST = "127.0.0.1"
PATIENCE_S = 60.0


def settings_over(folder: Path, **changes: str) -> dict[str, str]:
    """The environment of ``linli run`` over ``folder``: its own broker port, any page port, no broker started."""
    settings = run_settings(folder, f"mqtt://{HOST}:{free_port(HOST, 0)}", 0, "")
    return settings | {f"LINLI_{name.upper()}": value for name, value in changes.items()}


@contextmanager
def running(folder: Path, settings: Mapping[str, str], name: str = "linli") -> Iterator[Child]:
    """``linli run``, ended whatever happens."""
    child = start_child(name, folder, "run", settings=settings)
    try:
        yield child
    finally:
        child.stop()


def wait_for(child: Child, done: Callable[[], bool], what: str) -> None:
    """Wait until ``done``."""
    end_s = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < end_s, f"no {what}:\n{child.tail()}"
        time.sleep(0.05)


def ended(child: Child) -> int:
    """Its exit code, once it has ended by itself."""
    wait_for(child, lambda: not child.running(), "end")
    return child.stop()


def run_here(monkeypatch: pytest.MonkeyPatch, folder: Path, settings: Mapping[str, str]) -> int:
    """The exit code of ``linli run`` in this process: for runs that are refused before anything starts."""
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["linli", "run"])
    with pytest.raises(SystemExit) as stop:
        main.main()
    assert isinstance(stop.value.code, int)
    return stop.value.code
