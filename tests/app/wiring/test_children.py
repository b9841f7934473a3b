"""Child processes end when they are asked, are made to when they will not, and never outlive their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from app.wiring.children import Child
from contracts.errors import Permanent

pytestmark = pytest.mark.service

REPOSITORY = Path(__file__).resolve().parents[3]
PATIENCE_S = 60.0
OBEYS = "print('up', flush=True); import time; time.sleep(600)"
REFUSES = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + OBEYS
PARENT = """
import sys, time
from pathlib import Path
from app.wiring.children import Child
folder = Path(sys.argv[1])
child = Child("sleeper", [sys.executable, "-c", "import time; time.sleep(600)"], folder=folder, environment={},
              log=folder / "log")
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def children() -> Iterator[list[Child]]:
    started: list[Child] = []
    yield started
    for child in started:
        child.stop(0)


def _start(children: list[Child], folder: Path, code: str) -> Child:
    child = Child("sleeper", [sys.executable, "-c", code], folder=folder, environment={}, log=folder / "log")
    children.append(child)
    return child


def _until_it_says(child: Child, word: str) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while word not in child.tail():
        assert time.monotonic() < end_s, child.tail()
        time.sleep(0.01)


def test_one_that_obeys_ends_when_it_is_asked(children: list[Child], tmp_path: Path) -> None:
    child = _start(children, tmp_path, OBEYS)
    assert child.running()
    child.check()
    assert child.stop() == -signal.SIGTERM
    assert not child.running()
    assert child.stop() == -signal.SIGTERM


def test_one_that_refuses_is_made_to(children: list[Child], tmp_path: Path) -> None:
    child = _start(children, tmp_path, REFUSES)
    _until_it_says(child, "up")
    assert child.stop(wait_s=0.2) == -signal.SIGKILL


def test_one_that_ended_by_itself_is_told_with_what_it_said(children: list[Child], tmp_path: Path) -> None:
    child = _start(children, tmp_path, "print('x' * 3000 + 'the end'); raise SystemExit(7)")
    with pytest.raises(Permanent, match=r"sleeper ended with code 7:\nx+the end"):
        _until_it_ends(child)
    assert len(child.tail()) == 2_000


def test_it_does_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        text=True,
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    _gone, alive = psutil.wait_procs([child], timeout=PATIENCE_S)
    assert alive == []


def _until_it_ends(child: Child) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        child.check()
        time.sleep(0.01)
