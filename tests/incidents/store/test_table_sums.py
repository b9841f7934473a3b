"""Sums of tables: right whatever statements do, wrong after a byte that none wrote; and nobody writes past them."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, insert, text, update

from contracts.errors import Permanent
from incidents.monitor.store_monitor import StoreMonitor
from incidents.store import database, table_sums
from incidents.store.migrate import migrate
from incidents.store.operator_alarms import AlarmCode, raise_alarm, standing_alarms
from incidents.store.schema import counters, episodes, metadata
from incidents.store.store import Store
from tests.incidents.builders import make_store

DAMAGED = r"incidents\.db is damaged: the rows of its table alarms are not what was written; restore it or move it away"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(make_store(tmp_path)) as made:
        yield made


def _alarm(store: Store, subject: str = "p1", detail: str = "positions 10 to 19") -> None:
    with store.write() as connection:
        raise_alarm(connection, AlarmCode.LOG_GAP, subject, detail, 5)


@contextmanager
def _raw(folder: Path) -> Iterator[sqlite3.Connection]:
    """The file as a program that knows nothing of sums has it."""
    with closing(sqlite3.connect(folder / "incidents.db", isolation_level=None)) as db:
        yield db


def _spoil(folder: Path, was: bytes = b"positions 10 to 19", now: bytes = b"positions 10 to 79") -> None:
    """Change bytes as a disk does, below everybody who has the file open."""
    with _raw(folder) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path = folder / "incidents.db"
    content = path.read_bytes()
    assert content.count(was) == 1
    with path.open("r+b") as file:
        file.seek(content.index(was))
        file.write(now)


def _step(connection: Connection, rng: random.Random) -> None:
    """One statement of those that people write."""
    name = f"name {rng.randrange(9)}"
    row = {"name": name, "value": rng.randrange(-(2**62), 2**62)}
    upsert = "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    statement = rng.choice(
        [
            text(f"INSERT INTO counters (name, value) VALUES (:name, :value) {upsert}"),
            text("INSERT OR REPLACE INTO counters (name, value) VALUES (:name, :value)"),
            text("REPLACE INTO counters (name, value) VALUES (:name, :value)"),
            text("INSERT OR IGNORE INTO counters (name, value) VALUES (:name, :value)"),
            text("UPDATE OR REPLACE counters SET name = :name WHERE value > :value"),
            text("UPDATE counters SET value = :value"),
            text("DELETE FROM counters WHERE name = :name AND value < :value"),
            text("DELETE FROM counters WHERE :value % 7 = 0 AND :name <> ''"),
        ]
    )
    connection.execute(statement, {key: row[key] for key in statement.compile().params})


def test_whatever_statements_do_the_sums_stay_right(store: Store) -> None:
    rng = random.Random(7)
    for n in range(120):
        with store.write() as connection:
            savepoint = connection.begin_nested() if n % 3 == 0 else None
            for _ in range(4):
                _step(connection, rng)
            if savepoint is not None:
                savepoint.rollback()
        store.check_rows()
    with store.write() as connection:
        connection.execute(delete(counters))
    store.check_rows()


def test_every_kind_of_value_is_summed_as_it_is_read(store: Store) -> None:
    row = {"incident_id": "i", "next_nth": 1, "state": "现场 \0 \U0001f525", "severity_rank": 2, "life_safety": True}
    row |= {"verified": False, "first_ms": 2**62, "last_ms": -1}
    with store.write() as connection:
        rows = [row | {"open_id": str(n), "confidence": value} for n, value in enumerate((0.5, 1, 0.0, -0.0, 1e300))]
        connection.execute(insert(episodes), rows)
        connection.execute(update(episodes).values(confidence=1.0).where(episodes.c.open_id == "0"))
    store.check_rows()


@pytest.mark.parametrize("then", ["nothing", "another row changes", "it changes itself", "it goes"])
def test_a_row_that_no_statement_changed_is_seen_whatever_comes_after(store: Store, tmp_path: Path, then: str) -> None:
    _alarm(store)
    store.check_rows()
    _spoil(tmp_path)
    if then == "another row changes":
        _alarm(store, "p2", "something else")
    store.close()  # what it remembers of the row is gone
    with closing(sqlite3.connect(tmp_path / "incidents.db", isolation_level=None)) as db:
        table_sums.register(db)
        if then == "it changes itself":
            assert db.execute("UPDATE alarms SET times = times + 1, detail = 'new'").rowcount == 1
        if then == "it goes":
            assert db.execute("DELETE FROM alarms").rowcount == 1
    with pytest.raises(Permanent, match=DAMAGED):
        make_store(tmp_path)


def test_a_row_that_changes_on_disk_while_the_process_runs_raises_the_alarm(store: Store, tmp_path: Path) -> None:
    monitor = StoreMonitor(store, list, {store.file_name: store.check_rows}, clock_ms=lambda: 7)
    _alarm(store)
    assert monitor.step() == {}
    _spoil(tmp_path)
    assert list(monitor.step()) == ["incidents.db"]
    with store.read() as connection:
        (told,) = [one for one in standing_alarms(connection) if one.code is AlarmCode.STORE_DAMAGED]
    assert told.subject == "incidents.db"
    assert "the rows of its table alarms are not what was written; restore it or move it away" in told.detail


def test_a_large_file_is_read_as_a_whole_by_the_daily_check_only(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _alarm(store)
    _spoil(tmp_path)
    store.close()
    monkeypatch.setattr(database, "WHOLE_BYTES", 1)
    with closing(make_store(tmp_path)) as again, pytest.raises(Permanent, match=DAMAGED):
        again.check_rows()


def test_who_knows_nothing_of_the_sums_is_refused_and_reads_on(store: Store, tmp_path: Path) -> None:
    _alarm(store)
    with _raw(tmp_path) as db:
        for statement in ("DELETE FROM alarms", "UPDATE alarms SET times = 9", "INSERT INTO counters VALUES ('a', 1)"):
            with pytest.raises(sqlite3.OperationalError, match="no such function: linli_row_hash"):
                db.execute(statement)
        assert db.execute("SELECT count(*) FROM alarms").fetchone() == (1,)
        db.execute("VACUUM")
    store.check_rows()


def test_tables_and_triggers_that_are_not_what_was_made_are_told(store: Store, tmp_path: Path) -> None:
    with _raw(tmp_path) as db:
        db.execute("DROP TRIGGER alarms_sum_update")
        db.execute("UPDATE alarms SET times = 9")
    with pytest.raises(Permanent, match=r"incidents\.db is damaged: its tables are not what was made"):
        store.check_rows()
    with pytest.raises(Permanent, match="its tables are not what was made"):
        make_store(tmp_path)


@pytest.mark.parametrize("lost", ["DROP TABLE table_sums", "DELETE FROM table_sums WHERE name = 'alarms'"])
def test_sums_that_are_gone_are_not_made_again_in_silence(store: Store, tmp_path: Path, lost: str) -> None:
    with _raw(tmp_path) as db:
        db.execute(lost)
    with pytest.raises(Permanent, match=r"incidents\.db is damaged: it"):
        make_store(tmp_path)


def test_every_table_has_a_sum(store: Store) -> None:
    with store.read() as connection:
        db = database.sqlite_of(connection)
        assert db is not None
        assert set(table_sums.summed_tables(db)) == set(metadata.tables) - {"table_sums"}


def _forget_sums(connection: Connection) -> None:
    """Make of the file one of the version before."""
    db = database.sqlite_of(connection)
    assert db is not None
    table_sums.suspend(db)
    db.execute("DROP TABLE table_sums")
    db.execute("DELETE FROM schema_version WHERE version >= ?", (table_sums.SINCE,))


def test_a_file_of_the_version_before_gets_its_sums_once(store: Store, tmp_path: Path) -> None:
    _alarm(store)
    with store.write() as connection:
        _forget_sums(connection)
    store.check_rows()  # there is nothing to compare with
    store.close()
    make_store(tmp_path).close()
    _spoil(tmp_path)
    with pytest.raises(Permanent, match=DAMAGED):
        make_store(tmp_path)


def test_a_program_with_other_triggers_makes_them_anew_but_not_over_damage(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _alarm(store)
    monkeypatch.setattr(table_sums, "_TRIGGER", table_sums._TRIGGER.replace("_sum_", "_summed_"))
    with store.write() as connection:
        migrate(connection, 5)
    store.check_rows()
    _alarm(store, "p2", "something else")
    store.check_rows()
    _spoil(tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(database, "WHOLE_BYTES", 1)
    with pytest.raises(Permanent, match=DAMAGED):
        make_store(tmp_path)


def test_the_sums_are_the_same_for_ever() -> None:
    assert table_sums.row_hash(1, 1.0, "一", b"\0", None) == 1467700236069017483
    assert table_sums.row_hash() == table_sums.row_hash() != table_sums.row_hash(None)
