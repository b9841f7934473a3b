"""What SQLite passes over in silence is seen: a broken journal, a renamed table, a lost end; nothing else is told."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from system.sqlite_check import pages, wrong_before_opening
from system.sqlite_journal import committed_but_gone

SCHEMA = "CREATE TABLE IF NOT EXISTS letters (a INTEGER); CREATE TABLE IF NOT EXISTS meta (a INTEGER);"
KILLED = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA journal_mode=WAL")
db.execute("CREATE TABLE t (a)")
for n in range(int(sys.argv[2])):
    db.execute("INSERT INTO t VALUES (?)", ("x" * 900,))
os.kill(os.getpid(), 9)
"""


def _made(path: Path, schema: str = SCHEMA) -> Path:
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(schema)
        db.executemany("INSERT INTO meta VALUES (?)", [(n,) for n in range(3_000)])
    return path


def _killed(path: Path, rows: int) -> Path:
    done = subprocess.run([sys.executable, "-c", KILLED, str(path), str(rows)], check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL
    return Path(f"{path}-wal")


def test_a_new_an_empty_and_a_whole_file_are_not_told_of(tmp_path: Path) -> None:
    assert wrong_before_opening(tmp_path / "new.db", SCHEMA, whole=True) == ""
    (tmp_path / "empty.db").touch()
    assert wrong_before_opening(tmp_path / "empty.db", SCHEMA, whole=True) == ""
    assert wrong_before_opening(_made(tmp_path / "a.db"), SCHEMA, whole=True) == ""


def test_a_file_of_another_version_is_not_told_of(tmp_path: Path) -> None:
    older = _made(tmp_path / "older.db", "CREATE TABLE meta (a INTEGER)")
    newer = _made(tmp_path / "newer.db", SCHEMA + "CREATE TABLE later (a INTEGER)")
    assert (wrong_before_opening(older, SCHEMA), wrong_before_opening(newer, SCHEMA)) == ("", "")


def test_a_table_that_lost_its_name_is_not_made_anew(tmp_path: Path) -> None:
    path = _made(tmp_path / "a.db")
    path.write_bytes(path.read_bytes().replace(b"letters", b"lettess"))
    assert wrong_before_opening(path, SCHEMA) == "it has no table letters, but one called 'lettess'"


def test_a_lost_end_is_seen(tmp_path: Path) -> None:
    path = _made(tmp_path / "a.db")
    whole = path.read_bytes()
    for length in (len(whole) - 1, len(whole) - 4096, 4096, 100, 1):
        path.write_bytes(whole[:length])
        assert wrong_before_opening(path, SCHEMA), length


def test_a_process_that_was_killed_leaves_a_journal_that_is_whole(tmp_path: Path) -> None:
    journal = _killed(tmp_path / "a.db", 200)
    assert journal.stat().st_size > 100_000
    assert committed_but_gone(tmp_path / "a.db") == ""
    assert wrong_before_opening(tmp_path / "a.db", whole=True) == ""


@pytest.mark.parametrize("part", [*range(0, 60, 7), 100, 300, 600, 900, 999])
def test_a_flipped_bit_of_the_journal_is_seen(tmp_path: Path, part: int) -> None:
    journal = _killed(tmp_path / "a.db", 60)
    content = bytearray(journal.read_bytes())
    content[part if part < 60 else part * len(content) // 1_000] ^= 4
    journal.write_bytes(content)
    assert "journal" in committed_but_gone(tmp_path / "a.db")


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.5, 0.99])
def test_a_journal_that_lost_its_end_is_seen(tmp_path: Path, kept: float) -> None:
    journal = _killed(tmp_path / "a.db", 60)
    content = journal.read_bytes()
    journal.write_bytes(content[: int(kept * len(content))])
    assert "committed frames" in committed_but_gone(tmp_path / "a.db")


def test_what_an_older_journal_left_behind_is_nothing_lost(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE t (a)")
        for _ in range(80):
            db.execute("INSERT INTO t VALUES (?)", ("x" * 900,))
        db.execute("PRAGMA wal_checkpoint(RESTART)")
        db.execute("INSERT INTO t VALUES (1)")  # begins the journal anew, over the old frames
        journal, index = Path(f"{path}-wal").read_bytes(), Path(f"{path}-shm").read_bytes()
    (tmp_path / "b.db-wal").write_bytes(journal)
    (tmp_path / "b.db-shm").write_bytes(index)
    assert committed_but_gone(tmp_path / "b.db") == ""


def test_a_file_that_is_open_here_is_left_to_sqlite(tmp_path: Path) -> None:
    path = _made(tmp_path / "a.db")
    with closing(sqlite3.connect(path)) as db:
        db.execute("SELECT count(*) FROM meta").fetchone()
        path.write_bytes(b"rubbish" * 2_000)
        assert wrong_before_opening(path, SCHEMA) == ""
    assert wrong_before_opening(path, SCHEMA) == "file is not a database"


def test_a_broken_page_is_named_beside_whoever_writes(tmp_path: Path) -> None:
    path = _made(tmp_path / "a.db")
    assert pages(path) == ""
    whole = path.read_bytes()
    path.write_bytes(whole[:-4096] + b"\xee" * 4096)
    assert "\n" not in pages(path)
    assert pages(path)
