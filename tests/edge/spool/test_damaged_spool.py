"""A flipped byte or a lost end of the spool gives the same rows, or it is said: set aside, or declared as lost."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import msgspec
from structlog.testing import capture_logs

from contracts.events import DeviceEvent, EvidenceRef, Lane
from edge.spool.box_db import is_damage
from edge.spool.spool import Spool
from tests.edge.factories import new_spool, reported
from tests.support.damage import files_of, restore, spoilt

KILLED = """
import os, sys
from pathlib import Path
from edge.spool.box_db import BoxDb
from tests.edge.spool import test_damaged_spool as here
BoxDb.close = lambda self: os.kill(os.getpid(), 9)
here._filled(Path(sys.argv[1]))
"""
PLACES = 30
ROWS = 120


def _filled(folder: Path) -> None:
    spool = new_spool(folder)
    for n in range(ROWS):
        sha256 = f"{n:064x}"
        ref = EvidenceRef(
            evidence_id=sha256[:32], kind="still", sha256=sha256, bytes=9, mime="image/jpeg", from_ms=n, to_ms=n
        )
        spool.add(reported(1_000 + n), (ref,) if n % 3 == 0 else ())
    spool.number(Lane.LIVE, 1_000, 100)
    spool._db.close()


def _sent(spool: Spool) -> list[bytes]:
    """Every row as it goes out."""
    spool.number(Lane.LIVE, 1_000, 1_000)
    return [spool.message(Lane.LIVE, row, 1, 1_000) for row in spool.rows(Lane.LIVE, 0, 1_000)]


def _answer(folder: Path) -> tuple[list[bytes], bool]:
    """What is sent by the box that is started on the folder, and whether damage was said with file and way out."""
    with capture_logs() as logs:
        try:
            _sent(new_spool(folder))
        except sqlite3.DatabaseError as error:  # found while it is used: the next use begins anew
            if not is_damage(error):
                raise
        sent = _sent(new_spool(folder))
    said = [log for log in logs if log["log_level"] == "error" and log.get("path") == "box.db"]
    assert all({"recover", "way_out", "error"} & log.keys() for log in said)
    aside = any(folder.glob("box.damaged-*"))
    assert aside or not said or b"rows_dropped" in b"".join(sent), said
    return sent, bool(said)


def test_a_closed_spool_that_was_damaged_sends_the_same_or_says_what_is_gone(tmp_path: Path) -> None:
    _filled(tmp_path)
    whole = files_of(tmp_path)
    right, said = _answer(tmp_path)
    assert (len(right), said) == (ROWS, False)
    told = 0
    for what, content in spoilt(whole["box.db"], PLACES):
        restore(tmp_path, whole | {"box.db": content})
        sent, said = _answer(tmp_path)
        told += said
        assert said or not content or sent == right, what
        for message in sent:
            msgspec.json.decode(message, type=DeviceEvent)
    assert told > PLACES, "hardly anything was noticed"


def test_a_log_that_was_damaged_after_a_kill_loses_nothing_in_silence(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, capture_output=True)
    whole = files_of(tmp_path)
    assert len(whole["box.db-wal"]) > 10_000
    right, said = _answer(tmp_path)
    assert (len(right), said) == (ROWS, False)
    for what, content in spoilt(whole["box.db-wal"], PLACES):
        restore(tmp_path, whole | {"box.db-wal": content})
        sent, said = _answer(tmp_path)
        assert said or sent == right, what


def test_a_row_that_the_disk_changed_is_declared_and_the_rest_is_sent(tmp_path: Path) -> None:
    _filled(tmp_path)
    with sqlite3.connect(tmp_path / "box.db") as db:
        db.execute("UPDATE row SET body = CAST(replace(CAST(body AS TEXT), 'cam1', 'cam7') AS BLOB) WHERE n = 60")
    db.close()
    sent, said = _answer(tmp_path)
    assert (len(sent), said) == (ROWS, True)
    assert not any(b"cam7" in message for message in sent)
    (loss,) = [message for message in sent if b"rows_dropped" in message]
    assert b'"from_seq":60,"to_seq":60' in loss


def test_a_spool_of_an_earlier_version_is_read_and_gets_checksums(tmp_path: Path) -> None:
    _filled(tmp_path)
    with sqlite3.connect(tmp_path / "box.db") as db:
        db.execute("ALTER TABLE row DROP COLUMN sum")
    db.close()
    spool = new_spool(tmp_path)
    assert len(_sent(spool)) == ROWS
    spool.add(reported(1_500))
    with spool._db.reading() as connection:
        assert connection.execute("SELECT count(sum) FROM row").fetchone() == (1,)
