"""A flipped byte or a lost end of the spool gives the same rows, or it is said: set aside, or declared as lost."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from contracts.events import DeviceEvent, EvidenceRef, Lane
from edge.spool.box_db import BoxDb, is_damage
from edge.spool.loss_note import Loss, LossNote
from edge.spool.spool import Spool
from edge.uplink.upload_queue import UploadQueue
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
PLACES = 60
ROWS = 120
EARLIER = (("row", "sum"), ("row", "mark"), ("lane", "sum"), ("spool", "last_n"), ("spool", "sum"), ("told", "sum"),
           ("upload", "sum"))  # fmt: skip
Answer = tuple[list[bytes], list[tuple[str, str]]]


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


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a spool that was filled and closed."""
    folder = tmp_path_factory.mktemp("whole")
    _filled(folder)
    return files_of(folder)


@pytest.fixture
def filled(tmp_path: Path, whole: dict[str, bytes]) -> Path:
    """A folder with such a spool of its own."""
    restore(tmp_path, whole)
    return tmp_path


def _sent(spool: Spool) -> list[bytes]:
    """Every row as it goes out: what has its number from an earlier start first."""
    sent: list[bytes] = []
    for _ in range(3):  # what is found damaged at one look gets its number at the next
        spool.number(Lane.LIVE, 1_000, 1_000)
        rows = spool.rows(Lane.LIVE, 0, 1_000)
        sent += [spool.message(Lane.LIVE, row, 1, 1_000) for row in rows]
        spool.got(Lane.LIVE, rows[-1].seq if rows else 0, 1_000)
    return sent


def _due(spool: Spool) -> list[tuple[str, str]]:
    """Every upload as it is tried, hash and type."""
    queue, due = UploadQueue(spool._db), []
    while (upload := queue.next_due(1_000)) is not None:
        due.append((upload.sha256, upload.mime))
        queue.finish(upload.sha256)
    return due


def _started(folder: Path) -> Answer:
    """What a box that is started on the folder says and uploads: what it held, and one event more."""
    spool = new_spool(folder)
    spool.add(reported(2_000))
    sent = _sent(spool)
    named = [message.replace(spool.spool_id.encode(), b"its own") for message in sent]
    return [re.sub(rb"\b[0-9a-f]{16}\b", b"earlier", message) for message in named], sorted(_due(spool))


def _answer(folder: Path) -> tuple[Answer, bool]:
    """What comes out of the folder, and whether damage was said with file and way out."""
    with capture_logs() as logs:
        try:
            answer = _started(folder)
        except sqlite3.DatabaseError as error:  # found while it is used: the next use begins anew
            if not is_damage(error):
                raise
            answer = _started(folder)
    said = [log for log in logs if log["log_level"] == "error" and log.get("path") == "box.db"]
    assert all({"recover", "way_out", "error"} & log.keys() for log in said)
    return answer, bool(said)


def test_a_closed_spool_that_was_damaged_gives_the_same_or_says_what_is_gone(
    filled: Path, whole: dict[str, bytes]
) -> None:
    right, said = _answer(filled)
    assert (len(right[0]), len(right[1]), said) == (ROWS + 1, ROWS // 3, False)
    told = 0
    for what, content in spoilt(whole["box.db"], PLACES):
        restore(filled, whole | {"box.db": content})
        answer, said = _answer(filled)
        told += said
        assert said or not content or answer == right, what
        assert len({message.split(b'"spool":{')[1] for message in answer[0]}) == len(answer[0]), what
        for message in answer[0]:
            msgspec.json.decode(message, type=DeviceEvent)
    assert told > PLACES, "hardly anything was noticed"


def test_a_log_that_was_damaged_after_a_kill_loses_nothing_in_silence(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, capture_output=True)
    whole = files_of(tmp_path)
    assert len(whole["box.db-wal"]) > 10_000
    right, said = _answer(tmp_path)
    assert (len(right[0]), len(right[1]), said) == (ROWS + 1, ROWS // 3, False)
    for what, content in spoilt(whole["box.db-wal"], PLACES // 2):
        restore(tmp_path, whole | {"box.db-wal": content})
        answer, said = _answer(tmp_path)
        assert said or answer == right, what


def _changed(folder: Path, statement: str) -> None:
    """Do to a spool what a disk may: a value in a page that is in order is another one."""
    with sqlite3.connect(folder / "box.db") as db:
        assert db.execute(statement).rowcount > 0
    db.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE lane SET next_seq = 37 WHERE lane = 'live'",
        "UPDATE lane SET next_seq = 100000 WHERE lane = 'live'",
        "UPDATE lane SET lane = 'lave' WHERE lane = 'live'",
        "DELETE FROM lane WHERE lane = 'backlog'",
        "UPDATE lane SET sum = sum + 1 WHERE lane = 'live'",
        "UPDATE spool SET id = 'another'",
        "UPDATE spool SET id = CAST(x'ff80' AS TEXT)",
        "UPDATE spool SET last_n = 3",
        "DELETE FROM spool",
        "ALTER TABLE lane RENAME COLUMN next_seq TO nexu_seq",
        "ALTER TABLE upload RENAME COLUMN mime TO mile",
    ],
)
def test_a_spool_whose_numbers_may_be_wrong_is_set_aside_and_a_new_one_begins(filled: Path, statement: str) -> None:
    before = new_spool(filled)
    before._db.close()
    with sqlite3.connect(filled / "box.db") as db:
        db.execute(statement)
    db.close()
    ((sent, _), said) = _answer(filled)
    assert (said, len(sent)) == (True, 1)
    assert new_spool(filled).spool_id != before.spool_id
    (aside,) = (path for path in filled.glob("box.damaged-*") if not path.name.endswith(("-wal", "-shm")))
    with sqlite3.connect(aside) as db:
        assert db.execute("SELECT count(*) FROM row").fetchone() == (ROWS,)
    db.close()


@pytest.mark.parametrize(
    "change",
    [
        "seq = 3000 WHERE n = 60",
        "seq = -1 WHERE n = 60",
        "lane = 'backlog' WHERE n = 60",
        "lane = CAST(x'ff80' AS TEXT) WHERE n = 60",
        "lane = NULL WHERE n = 60",
        "seq = NULL WHERE n = 60",
        "life_safety = 1 WHERE n = 60",
        "mark = NULL WHERE n = 60",
        "life_safety = 7 WHERE n = 110",
        "lane = 'live', seq = 500 WHERE n = 110",
    ],
)
@pytest.mark.parametrize("running", [False, True])
def test_a_row_that_the_disk_put_elsewhere_goes_out_all_the_same(filled: Path, change: str, running: bool) -> None:
    spool = new_spool(filled)
    name = spool.spool_id
    if not running:
        spool._db.close()
    _changed(filled, f"UPDATE row SET {change}")
    with capture_logs() as logs:
        spool = spool if running else new_spool(filled)
        spool.got(Lane.LIVE, 80, 1_000)
        sent = [msgspec.json.decode(message, type=DeviceEvent) for message in _sent(spool)]
    left = {f"{name}-{n}" for n in range(81, ROWS + 1)} | {event.event_id for event in sent}
    assert {event.event_id for event in sent} == left
    if "n = 110" in change or not running or "seq = 3000" in change or "mark" in change:
        assert [log["path"] for log in logs if log["event"] == "places of rows are damaged"] == ["box.db"]
    if "n = 60" in change and not running:
        assert f"{name}-60" in left
    numbers = [(event.spool.spool_id, event.spool.seq) for event in sent if event.spool is not None]
    assert (len(set(numbers)), max(seq for _, seq in numbers) <= ROWS + 1) == (len(sent), True)


@pytest.mark.parametrize(
    "change",
    [
        "sha256 = replace(sha256, 'f', '7') WHERE sha256 = '{entry}'",
        "sha256 = CAST(x'ff80' AS TEXT) WHERE sha256 = '{entry}'",
        "mime = 'image/kpeg' WHERE sha256 = '{entry}'",
        "created_ms = 5 WHERE sha256 = '{entry}'",
        "sum = NULL WHERE sha256 = '{entry}'",
    ],
)
def test_an_upload_that_the_disk_changed_is_said_and_the_others_are_tried(filled: Path, change: str) -> None:
    entry = f"{0x3F:064x}"
    _changed(filled, "UPDATE upload SET " + change.format(entry=entry))
    ((sent, due), said) = _answer(filled)
    assert (len(sent), said) == (ROWS + 1, True)
    assert due == sorted((f"{n:064x}", "image/jpeg") for n in range(0, ROWS, 3) if n != 0x3F)


@pytest.mark.parametrize("change", ["tries = -100", "tries = 1 << 60", "due_ms = -5", "due_ms = 1 << 62"])
def test_an_upload_is_tried_whatever_its_patience_became(filled: Path, change: str) -> None:
    _changed(filled, f"UPDATE upload SET {change}")
    queue = UploadQueue(new_spool(filled)._db)
    upload = queue.next_due(1_000)
    assert upload is not None
    assert 1 <= queue.retry(upload, 1_000) <= 900


def test_a_loss_is_declared_though_the_disk_says_that_it_was(tmp_path: Path) -> None:
    def opened() -> Spool:
        spool = new_spool(tmp_path)
        spool._note = LossNote(tmp_path / "lost.json")
        return spool

    spool = opened()
    spool.lose(reported(1))
    assert spool.declare_loss()
    spool._db.close()
    _changed(tmp_path, "UPDATE told SET loss = 2 WHERE loss = 1")
    spool = opened()
    spool.lose(reported(2))
    spool.lose(reported(3))
    spool.declare_loss()
    losses = _sent(spool) + [row.body for row in spool.rows(Lane.BACKLOG, 0, 9)]
    assert sum(b"rows_dropped" in message for message in losses) == 2


def test_a_note_of_what_was_lost_is_whole_or_said_and_the_next_loss_is_declared(tmp_path: Path) -> None:
    spool, note = new_spool(tmp_path), LossNote(tmp_path / "lost.json")
    spool._note = note
    spool.lose(reported(1))
    spool.declare_loss()
    for at_ms in (17, 23, 29):
        spool.lose(reported(at_ms))
    whole = (tmp_path / "lost.json").read_bytes()
    said = 0
    for place in range(len(whole.strip()) + 5):
        text = bytearray(whole)
        text[place] ^= 1
        (tmp_path / "lost.json").write_bytes(bytes(text))
        with capture_logs() as logs:
            spool._note = LossNote(tmp_path / "lost.json")
        same = spool._note.loss == note.loss == Loss(0, 3, 17, 29)
        assert same or [(log["path"], "way_out" in log) for log in logs] == [("lost.json", True)], text
        said += not same
        if not same and said < 5:
            spool.lose(reported(31))
            before = spool.counts(0).rows
            assert spool.declare_loss()
            assert spool.counts(0).rows == before + 1
    assert said >= len(whole.strip()) - len("number")


def _noting(folder: Path) -> Spool:
    db = BoxDb(folder / "box.db")
    return Spool(db, box_id="b1", site_id="s1", place_id="b1", now_ms=0, note=LossNote(folder / "lost.json"))


@pytest.mark.parametrize("how", ["cut to nothing", "deleted", "put back", "cut off", "of zeros"])
def test_a_loss_after_the_note_itself_was_lost_is_declared(tmp_path: Path, how: str) -> None:
    path = tmp_path / "lost.json"
    spool = _noting(tmp_path)
    spool.lose(reported(5))
    spool.declare_loss()
    spool.lose(reported(6))
    noted = path.read_bytes()
    for at_ms in (6, 7):
        spool.declare_loss()
        spool.lose(reported(at_ms))
    spool.declare_loss()
    path.unlink()
    if how != "deleted":
        content = {"cut to nothing": b"", "put back": noted, "cut off": noted[:20], "of zeros": bytes(512)}[how]
        path.write_bytes(content)
    for times in (1, 2):  # and the next one, too
        spool._db.close()
        spool = _noting(tmp_path)
        before = spool.counts(0).rows
        for at_ms in range(7):
            spool.lose(reported(10 + at_ms))
        assert (spool.declare_loss(), spool.lost) == (True, 0), times
        assert spool.counts(0).rows == before + 1
    losses = [row for row in map(bytes, _sent(spool)) if b"rows_dropped" in row]
    assert sum(b'"from_ms":10,"to_ms":16' in row for row in losses) == 2


def test_a_note_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    (tmp_path / "lost.json").write_bytes(b'{"number":3,"events":2,"from_ms":5,"to_ms":9}'.ljust(512))
    assert LossNote(tmp_path / "lost.json").loss == Loss(3, 2, 5, 9)


def test_a_row_that_the_disk_changed_is_declared_and_the_rest_is_sent(filled: Path) -> None:
    with sqlite3.connect(filled / "box.db") as db:
        db.execute("UPDATE row SET body = CAST(replace(CAST(body AS TEXT), 'cam1', 'cam7') AS BLOB) WHERE n = 60")
    db.close()
    ((sent, _), said) = _answer(filled)
    assert (len(sent), said) == (ROWS + 1, True)
    assert not any(b"cam7" in message for message in sent)
    (loss,) = [message for message in sent if b"rows_dropped" in message]
    assert b'"from_seq":60,"to_seq":60' in loss


def test_a_spool_of_an_earlier_version_is_read_and_gets_checksums(filled: Path, whole: dict[str, bytes]) -> None:
    right, _ = _answer(filled)
    restore(filled, whole)
    with sqlite3.connect(filled / "box.db") as db:
        for table, column in EARLIER:
            db.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    db.close()
    new_spool(filled)._db.close()
    with sqlite3.connect(filled / "box.db") as db:
        counts = "SELECT (SELECT count(sum) FROM lane), (SELECT count(mark) FROM row), (SELECT count(sum) FROM row)"
        assert db.execute(counts).fetchone() == (2, ROWS, 0)
        assert db.execute("SELECT last_n FROM spool WHERE sum IS NOT NULL").fetchone() == (ROWS,)
    db.close()
    assert _answer(filled) == (right, False)
    _changed(filled, "UPDATE lane SET next_seq = 37 WHERE lane = 'live'")
    assert _answer(filled)[1]
