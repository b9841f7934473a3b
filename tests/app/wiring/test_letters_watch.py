"""A shard's dead letters are looked at beside it, and a district hears of those that a disk changed."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.settings.loading import load_settings
from app.wiring.letters_watch import watch_letters
from contracts.errors import RejectReason
from incidents.monitor import store_monitor
from incidents.store.operator_alarms import AlarmCode, standing_alarms
from incidents.store.store import Store
from ingest.shard.dead_letters import DeadLetters, dead_letter
from tests.ingest.builders import NOW_MS
from tests.ingest.clients import wait_until


def _alarms(url: str) -> set[tuple[AlarmCode, str]]:
    with closing(Store(url)) as store, store.read() as connection:
        return {(alarm.code, alarm.subject) for alarm in standing_alarms(connection)}


def _watched(folder: Path, letters: DeadLetters, shard: str, until: Callable[[str], bool]) -> None:
    """Look at the letters beside their shard until ``until`` holds for the incidents."""
    url = f"sqlite:///{folder / 'incidents.db'}"
    stop = threading.Event()
    settings = load_settings(None, {"LINLI_INCIDENTS_URL": url})
    thread = threading.Thread(target=watch_letters, args=(settings, letters, shard, stop))
    thread.start()
    try:
        assert wait_until(lambda: until(url))
    finally:
        stop.set()
        thread.join()


def _spoilt(folder: Path) -> DeadLetters:
    """Letters of which one was changed below the program that has them open."""
    letters = DeadLetters(folder)
    letters.add(dead_letter(RejectReason.TOO_OLD, "late", ("s1", "g1"), "linli/v1/s1/gate/g1/evt", b"x", NOW_MS))
    letters.flush(NOW_MS)
    with closing(sqlite3.connect(letters.path, isolation_level=None)) as db:
        db.execute("UPDATE letters SET at_ms = at_ms + 1")
    return letters


def test_a_letter_that_changed_on_disk_while_its_shard_runs_raises_the_alarm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_monitor, "FIRST_S", 0.0)
    one, other = ((AlarmCode.STORE_DAMAGED, f"dead-letters.db of ingest {n}/2") for n in range(2))
    with closing(_spoilt(tmp_path / "a")) as letters, closing(_spoilt(tmp_path / "b")) as others:
        _watched(tmp_path, letters, "0/2", lambda url: _alarms(url) == {one})
        _watched(tmp_path, others, "1/2", lambda url: _alarms(url) == {one, other})
        letters.purge()
        _watched(tmp_path, letters, "0/2", lambda url: _alarms(url) == {other})


def test_a_shard_goes_on_when_the_incidents_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "incidents.db").write_bytes(b"no database" * 99)
    settings = load_settings(None, {"LINLI_INCIDENTS_URL": f"sqlite:///{tmp_path / 'incidents.db'}"})
    with closing(DeadLetters(tmp_path)) as letters, capture_logs() as logs:
        watch_letters(settings, letters, "0/1", threading.Event())
        assert letters.list(9) == []
    (said,) = [line for line in logs if line["log_level"] == "error"]
    assert "incidents.db is damaged" in said["error"]
