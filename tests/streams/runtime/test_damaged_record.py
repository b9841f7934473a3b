"""A record that was changed on disk ends the driver, by name; a person gives it up, and everything goes on."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from contracts.findings import Finding
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.log.port import RecordDamaged
from streams.log.sqlite.day_log import DayLog
from streams.runtime.partition_driver import PartitionDriver
from tests.streams.rules import small_rules
from tests.streams.support import access, batch, engine_of


def _judged(folder: Path) -> tuple[int, list[Finding]]:
    """How far a driver has read the folder's log when it has opened and drained, and the findings that are kept."""
    log, store = DayLog(folder), SqliteCheckpointStore(folder / "engine.db")
    try:
        driver = PartitionDriver(log, store, engine_of(small_rules(), log_id=log.identity()))
        driver.open()
        driver.drain()
        return driver.position, [finding for _, finding in store.findings_after(0, 99)]
    finally:
        log.close()
        store.close()


def test_a_damaged_record_stops_the_driver_until_it_is_given_up(tmp_path: Path) -> None:
    log = DayLog(tmp_path)
    log.append([batch(n * 10, access(f"e{n}", n * 10)) for n in range(1, 9)])
    log.close()
    file = next(tmp_path.glob("log-*.db"))
    with sqlite3.connect(file) as db:
        db.execute("UPDATE records SET body = zeroblob(length(body)) WHERE position = 4")
    for _ in range(4):
        with pytest.raises(RecordDamaged, match=r"position 4.*`linli streams skip 4`"):
            _judged(tmp_path)
    store = SqliteCheckpointStore(tmp_path / "engine.db")
    assert store.failures() == {4: 1}
    store.skip(4)
    store.close()
    DayLog(tmp_path).give_up(4)
    position, findings = _judged(tmp_path)
    assert (position, [finding.rule for finding in findings]) == (8, ["batch_unreadable"])
    assert _judged(tmp_path) == (8, findings)
