"""A damaged file raises an alarm that names it, which ends when the file is whole again."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.errors import Permanent, Transient
from incidents.monitor.store_monitor import StoreMonitor
from incidents.store.operator_alarms import Alarm, standing_alarms
from incidents.store.store import Store
from streams.sqlite_file import connect
from tests.support.stores import make_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(tmp_path)


def _alarms(store: Store) -> list[Alarm]:
    with store.read() as connection:
        return standing_alarms(connection)


def _made(path: Path) -> bytes:
    db = connect(path, "CREATE TABLE IF NOT EXISTS t (a INTEGER PRIMARY KEY, b TEXT); CREATE INDEX i ON t (b);")
    db.executemany("INSERT INTO t (b) VALUES (?)", [(f"row {n}" * 20,) for n in range(400)])
    db.close()
    return path.read_bytes()


def test_a_file_with_a_broken_page_is_told_until_it_is_whole_again(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "some.db"
    whole = _made(path)
    monitor = StoreMonitor(store, lambda: [path], {}, clock_ms=lambda: 5)
    assert (monitor.step(), _alarms(store)) == ({}, [])
    path.write_bytes(whole[:8192] + b"\xee" * 4096 + whole[12288:])
    assert list(monitor.step()) == ["some.db"]
    (alarm,) = _alarms(store)
    assert (alarm.code.value, alarm.subject, bool(alarm.detail)) == ("store_damaged", "some.db", True)
    path.write_bytes(whole)
    assert (monitor.step(), _alarms(store)) == ({}, [])


def test_rows_that_are_not_what_was_written_are_told_and_an_absent_server_is_not(store: Store) -> None:
    said: list[Exception] = [Transient("away"), Permanent("engine.db is damaged: finding 7")]

    def read() -> None:
        raise said[0]

    monitor = StoreMonitor(store, list, {"engine.db": read}, clock_ms=lambda: 5)
    assert (monitor.step(), _alarms(store)) == ({}, [])
    said.pop(0)
    monitor.step()
    assert [(alarm.subject, alarm.detail) for alarm in _alarms(store)] == [
        ("engine.db", "engine.db is damaged: finding 7")
    ]
