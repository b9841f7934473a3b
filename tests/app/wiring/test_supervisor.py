"""The supervisor of a worker: replaces what crashes or stands still, says why, and ends as it must."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.wiring.workers import supervisor as supervisor_module
from app.wiring.workers.supervisor import CRASHED, Supervisor
from streams.runtime import progress
from streams.runtime.progress import Stuck

FAKE = """
import os, pathlib, signal, sys, time
lives = pathlib.Path(sys.argv[1])
fates = sys.argv[2].split(",")
n = len(lives.read_text())
with lives.open("a") as file:
    file.write("x")
report_to = int(sys.argv[sys.argv.index("--report-to") + 1])
fate = fates[min(n, len(fates) - 1)]
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
if fate == "lives":
    while True:
        os.write(report_to, b'{"member":true}\\n')
        time.sleep(0.1)
if fate == "hangs":
    time.sleep(600)
if fate == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(int(fate))
"""
pytestmark = pytest.mark.service
OVER_A_DEAF_WORKER = """
import sys
from app.wiring.workers.supervisor import Supervisor
worker = [sys.executable, "-c", "import time; print('worker', flush=True); time.sleep(600)"]
sys.exit(Supervisor(worker, print).run())
"""


@pytest.fixture(autouse=True)
def _signals(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Return what the supervisor does to this process's signals is undone; it has no patience here."""
    monkeypatch.setattr(progress, "SILENT_S", 8.0)
    monkeypatch.setattr(supervisor_module, "MAX_PAUSE_S", 0.0)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Run:
    """A supervisor over a worker with these fates, one a life; the last one's is that of all further lives."""

    def __init__(self, folder: Path, *fates: str) -> None:
        script = folder / "fake.py"
        script.write_text(FAKE)
        self.lives_file = folder / "lives"
        self.lives_file.write_text("")
        self.alarms: list[Stuck] = []
        command = [sys.executable, str(script), str(self.lives_file), ",".join(fates)]
        self.supervisor = Supervisor(command, self.alarms.append)

    def lives(self) -> int:
        """How many there have been."""
        return len(self.lives_file.read_text())


@pytest.mark.parametrize("code", [0, 1, 2])
def test_what_a_person_must_fix_ends_it_with_the_same_code(tmp_path: Path, code: int) -> None:
    run = Run(tmp_path, str(code))
    assert (run.supervisor.run(), run.lives(), run.alarms) == (code, 1, [])


def test_a_crashed_or_killed_one_is_replaced_and_an_alarm_tells_when_it_persists(tmp_path: Path) -> None:
    run = Run(tmp_path, str(CRASHED), "killed", "killed", "1")
    assert (run.supervisor.run(), run.lives()) == (1, 4)
    assert run.alarms == [Stuck("it ended with code -9")]


def test_one_that_lives_and_does_nothing_is_replaced(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = Run(tmp_path, "hangs", "1")
    assert (run.supervisor.run(), run.lives()) == (1, 2)
    assert "it has said nothing for" in "".join(capfd.readouterr())


def test_sigterm_ends_the_worker_in_order_and_then_the_supervisor(tmp_path: Path) -> None:
    run = Run(tmp_path, "lives")

    def ask() -> None:
        while not run.lives():
            pass
        threading.Timer(0.5, signal.raise_signal, [signal.SIGTERM]).start()

    threading.Thread(target=ask).start()
    assert (run.supervisor.run(), run.lives(), run.alarms) == (0, 1, [])


def test_asked_to_end_while_its_worker_is_still_starting_it_ends_in_order() -> None:
    with subprocess.Popen([sys.executable, "-c", OVER_A_DEAF_WORKER], stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == b"worker\n"
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(60) == 0
