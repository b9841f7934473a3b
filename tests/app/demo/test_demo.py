"""The demo as a stranger runs it: real processes, real video, every rule; and with its processes killed."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from detectors.registry import all_rules

REPOSITORY = Path(__file__).resolve().parents[3]
VIDEO = {"high_altitude_throw", "indoor_ebike"}
PATIENCE_S = 240.0  # a busy machine decodes more slowly than the films play; the figures are measured in bench/

pytestmark = [pytest.mark.service, pytest.mark.slow, pytest.mark.timeout(900)]


@contextmanager
def _demo(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "app.main", "demo", "--headless", "--json", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _report(process: subprocess.Popen[str]) -> dict[str, Any]:
    """End it as Ctrl-C does; what it then says."""
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=300)
    assert out.count("\n") == 1, said[-3000:]
    report: dict[str, Any] = json.loads(out)
    return {**report, "said": said, "code": process.returncode}


def _until(done: Callable[[], bool], process: subprocess.Popen[str], what: str) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not done():
        assert process.poll() is None, "the demo has ended"
        assert time.monotonic() < end_s, f"no {what}"
        time.sleep(0.2)


def _pids(folder: Path) -> dict[str, int]:
    pids: dict[str, int] = json.loads((folder / "processes.json").read_text(encoding="utf-8"))
    return pids


def _set_up(folder: Path, process: subprocess.Popen[str]) -> dict[str, int]:
    """Its processes, once it is set up."""
    _until((folder / "processes.json").exists, process, "processes: it was not set up")
    return _pids(folder)


def _found(folder: Path) -> set[tuple[str, bool]]:
    """The rules that found something by now, and whether it was seen on video."""
    with closing(sqlite3.connect(folder / "incidents.db")) as database:
        found = [json.loads(content) for (content,) in database.execute("SELECT content FROM findings")]
    return {(finding["rule"], bool(finding.get("evidence"))) for finding in found}


def test_every_rule_fires_two_of_them_from_video_and_nothing_is_lost_or_twice(tmp_path: Path) -> None:
    folder, rules = tmp_path / "kept", {rule.name for rule in all_rules()}
    with _demo(tmp_path, "--data", str(folder)) as process:
        _set_up(folder, process)
        _until(lambda: {rule for rule, _ in _found(folder)} >= rules, process, "finding of every rule")
        _until(lambda: _found(folder) >= {(rule, True) for rule in VIDEO}, process, "finding of both rules from video")
        report = _report(process)
    assert (report["lost"], report["duplicates"], report["code"]) == (0, 0, 0), report
    assert set(report["findings"]) >= rules
    assert set(report["from_video"]) >= VIDEO
    assert sum(report["incidents"].values()) > 6
    assert report["rejected"] > 0  # wrong devices are part of the script
    assert report["latency_ms"]["p99"] > 0


def test_killed_processes_come_back_and_nothing_a_box_had_is_lost_or_twice(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    with _demo(tmp_path, "--data", str(folder)) as process:
        first = _set_up(folder, process)
        for name in ("linli", "box", "broker", "linli"):
            time.sleep(9)  # something happens meanwhile; how much does not matter
            killed = _pids(folder)[name]
            os.kill(killed, signal.SIGKILL)
            _until(lambda n=name, k=killed: _pids(folder)[n] != k, process, f"new {name}")  # type: ignore[misc]
        _until(lambda: ("high_altitude_throw", True) in _found(folder), process, "fall seen by a camera")
        last = _pids(folder)
        report = _report(process)
    assert report["said"].count("died; starting it again") == 4, report["said"]
    assert {name for name in first if first[name] != last[name]} == {"linli", "box", "broker"}
    assert report["lost_from"]["boxes"] == 0
    assert report["lost_from"]["incidents"] == 0
    assert report["duplicates"] == 0
    assert report["from_video"].get("high_altitude_throw", 0) > 0


def test_one_that_ends_by_itself_leaves_nothing_behind(tmp_path: Path) -> None:
    with _demo(tmp_path, "--seconds", "1") as process:
        _, said = process.communicate(timeout=PATIENCE_S)
    assert "set up in" in said
    assert list(tmp_path.iterdir()) == []  # what it wrote lay elsewhere, and is gone


def test_ctrl_c_leaves_no_process(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    with _demo(tmp_path, "--data", str(folder)) as process:
        _set_up(folder, process)
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 2
        report = _report(process)
    assert report["code"] == 0
    gone, alive = psutil.wait_procs(family, timeout=60)
    assert not alive and len(gone) == len(family)


def test_a_taken_port_gives_the_next_free_one(tmp_path: Path) -> None:
    import socket

    from app.wiring.ports import free_port

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert port < free_port("127.0.0.1", port) <= port + 100
