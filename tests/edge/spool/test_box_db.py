"""A box's database on a real disk that is full, locked, or of which the process may open no more files: it waits.

Each condition is made in a process of its own, by limits of the system or a file system of two megabytes. Only what is
proven damaged is set aside, whole, and can be read afterwards.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.events import Lane
from edge.spool.box_db import BoxDb
from edge.spool.loss_note import LossNote
from edge.spool.spool import Spool
from edge.uplink.sender import Acknowledgement, SpoolSender
from tests.edge.factories import fell, new_spool, reported
from tests.support.small_disk import small_disk

ROWS = 50
FILL = """
import os, sys
from pathlib import Path
from tests.edge.factories import fell, new_spool, reported
spool = new_spool(Path(sys.argv[1]))
for n in range(int(sys.argv[2])):
    spool.add(reported(n))
with spool._db.reading() as connection:
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
for n in range(50):
    spool.add(fell(1_000 + n))
print(spool.spool_id, flush=True)
os.kill(os.getpid(), 9)
"""
"""Killed, so that the fifty falls stand in the write-ahead log alone."""
UNDER = """
import contextlib, os, resource, signal, sqlite3, sys
from pathlib import Path
from tests.edge.factories import new_spool, reported
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder, how = Path(sys.argv[1]), sys.argv[2]
held, limit = [], resource.getrlimit(resource.RLIMIT_NOFILE)
if how == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, resource.RLIM_INFINITY))
if how.startswith("files"):
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, limit[1]))
    with contextlib.suppress(OSError):
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    for _ in range(int(how[5:])):
        os.close(held.pop())
spool = new_spool(folder)
refused = 0
for _ in range(3):
    try:
        spool.add(reported(5_000))
    except sqlite3.OperationalError:
        refused += 1
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
resource.setrlimit(resource.RLIMIT_NOFILE, limit)
spool.add(reported(6_000))
print(refused, spool.counts(0).rows)
"""


def _python(code: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode in {0, -9}, done.stderr
    return done.stdout.strip().splitlines()[-1]


@pytest.mark.parametrize("how", ["full", "files0", "files1", "files2"])
def test_what_may_pass_is_waited_for_and_nothing_is_set_aside(tmp_path: Path, how: str) -> None:
    _python(FILL, str(tmp_path), "0")
    refused, rows = _python(UNDER, str(tmp_path), how).split()
    assert int(rows) == ROWS + 4 - int(refused)
    assert int(refused) > 0
    assert list(tmp_path.glob("*damaged*")) == []


def test_a_lock_and_a_missing_permission_are_waited_for(tmp_path: Path) -> None:
    new_spool(tmp_path).add(fell(1))
    other = sqlite3.connect(tmp_path / "box.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    spool = new_spool(tmp_path)
    other.execute("ROLLBACK")
    other.close()
    spool.add(fell(2))
    assert (spool.counts(0).rows, list(tmp_path.glob("*damaged*"))) == (2, [])


def _add_forever(spool: Spool) -> None:
    while True:
        spool.add(reported(2_000))


def _opened(folder: Path) -> Spool:
    db = BoxDb(folder / "box.db")
    return Spool(db, box_id="b1", site_id="s1", place_id="b1", now_ms=0, note=LossNote(folder / "lost.json"))


def test_on_a_full_disk_what_is_lost_is_noted_and_declared_also_after_a_restart(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 2) as disk:
        before = _opened(disk.folder)
        before.add(fell(1_000))
        disk.fill()
        with pytest.raises(sqlite3.OperationalError):
            _add_forever(before)
        kept = before.counts(0).rows
        for n in range(5):
            before.lose(fell(3_000 + n))
        assert before.lost == 5
        with pytest.raises(sqlite3.OperationalError):
            before.declare_loss()
        after = _opened(disk.folder)  # killed and started again, the disk still full
        assert after.lost == 5
        disk.free()
        assert after.declare_loss()
        assert (after.lost, after.declare_loss()) == (0, False)
        assert after.counts(0).rows == kept + 1
        sender = SpoolSender(after)
        sender.connected()
        said = b"".join(sender.due(3_500))
        assert said.count(b'"kind":"rows_dropped"') == 1
        assert b'"lane":"backlog","from_seq":1,"to_seq":5,"from_ms":3000,"to_ms":3004' in said


def test_a_loss_is_told_once_though_the_box_dies_before_its_note_is_new(tmp_path: Path) -> None:
    spool = _opened(tmp_path)
    spool.lose(fell(7))
    note = (tmp_path / "lost.json").read_bytes()
    assert spool.declare_loss()
    (tmp_path / "lost.json").write_bytes(note)
    again = _opened(tmp_path)
    again.declare_loss()
    assert (again.lost, again.counts(0).rows) == (0, 1)


def test_rows_after_numbers_that_were_never_held_are_sent(tmp_path: Path) -> None:
    spool = _opened(tmp_path)
    spool.lose(reported(1))
    spool.declare_loss()
    spool.add(reported(2))
    sender = SpoolSender(spool)
    sender.connected()
    assert b'"seq":2,"first":2' in b"".join(sender.due(60_000))
    sender.got(Acknowledgement(spool.spool_id, Lane.BACKLOG, 3), 60_000)
    assert spool.rows(Lane.BACKLOG, 0, 9) == []


def _damaged(body: bytes) -> bytes:
    """The file with one page overwritten, somewhere among its rows."""
    middle = len(body) // 2 // 4_096 * 4_096
    return body[:middle] + b"\xff" * 4_096 + body[middle + 4_096 :]


def _set_aside(folder: Path) -> list[Path]:
    return [path for path in folder.glob("box.damaged-*") if not path.name.endswith(("-wal", "-shm"))]


def _recovered(aside: Path) -> int:
    """Return how many rows the set-aside file still gives, its log beside it."""
    connection = sqlite3.connect(aside)
    try:
        return int(connection.execute("SELECT count(*) FROM row").fetchone()[0])
    finally:
        connection.close()


def test_a_damaged_file_is_set_aside_with_its_log_and_can_be_read(tmp_path: Path) -> None:
    spool_id = _python(FILL, str(tmp_path), "500")
    log = (tmp_path / "box.db-wal").read_bytes()
    body = (tmp_path / "box.db").read_bytes()
    (tmp_path / "box.db").write_bytes(_damaged(body))
    spool = new_spool(tmp_path)
    assert spool.spool_id != spool_id
    spool.add(reported(1))
    (aside,) = _set_aside(tmp_path)
    assert aside.with_name(aside.name + "-wal").read_bytes() == log
    aside.write_bytes(body)
    assert _recovered(aside) == 500 + ROWS


def test_a_damaged_page_inside_is_found_when_the_box_starts(tmp_path: Path) -> None:
    spool = new_spool(tmp_path)
    for n in range(500):
        spool.add(reported(n))
    spool._db.close()
    (tmp_path / "box.db").write_bytes(_damaged((tmp_path / "box.db").read_bytes()))
    again = new_spool(tmp_path)
    again.add(reported(1))
    assert again.counts(0).rows == 1
    assert len(_set_aside(tmp_path)) == 1


def test_a_sender_begins_a_new_spool_at_its_first_row(tmp_path: Path) -> None:
    spool = new_spool(tmp_path)
    sender = SpoolSender(spool)
    for n in range(3):
        spool.add(reported(n))
    sender.connected()
    sender.due(10)
    sender.got(Acknowledgement(spool.spool_id, Lane.LIVE, 3), 20)
    spool._db.close()
    for file in tmp_path.glob("box.db*"):
        file.unlink()
    spool._db._closed = False  # as after damage: the same object, another file
    spool.add(reported(30))
    assert b'"seq":1' in b"".join(sender.due(40))
