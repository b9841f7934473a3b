"""A box whose database is damaged under it, again and again: it watches on, and spools into a new one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from edge.run import EdgeBox
from edge.spool.box_db import BoxDb, damage
from tests.edge.factories import fell, new_spool, write_video
from tests.edge.platform import wait_for
from tests.edge.running import judged, one_camera, running


def _hurt(path: Path) -> None:
    """Overwrite the beginning of every page but the first, beside the process that has the file open."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        for page in range(4_096, size, 4_096):
            file.seek(page)
            file.write(b"\xff" * 64)


def _aside(data: Path) -> list[Path]:
    return [path for path in data.glob("box.damaged-*") if not path.name.endswith(("-wal", "-shm"))]


def test_a_box_whose_database_is_damaged_while_it_runs_watches_on_with_a_new_one(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data, write_video(tmp_path / "film.mp4", 40)) as box:
        for times in (1, 2):
            wait_for(lambda: box._spool.counts(0).rows > 2, "reports in the spool")
            with box._db.reading() as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                connection.execute("PRAGMA cache_size=0")
                _hurt(data / "box.db")
            wait_for(lambda n=times: len(_aside(data)) == n, "the damaged file is set aside")  # type: ignore[misc]
            before = judged(box)
            wait_for(lambda before=before: judged(box) > before + 10, "frames judged")  # type: ignore[misc]
        wait_for(lambda: box._spool.counts(0).rows > 2, "reports in the new spool")


@pytest.mark.parametrize("error", [damage("a page is not"), sqlite3.IntegrityError("two of one"), OSError(5, "EIO")])
def test_housekeeping_goes_on_whatever_the_database_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(*_: object) -> None:
        raise error

    box = EdgeBox(one_camera(tmp_path / "data", write_video(tmp_path / "film.mp4", 5)))
    monkeypatch.setattr(box._spool, "drop_older", fails)
    monkeypatch.setattr(box._spool, "declare_loss", fails)
    before = box._spool.counts(0).rows
    with capture_logs() as logs:
        box._keep_house(due=True)
    assert [log["error"] for log in logs if log["event"] == "the box's disk refuses"] == [str(error)] * 2
    assert box._spool.counts(0).rows == before + 1, "its report"
    box._db.close()


def test_a_damaged_file_that_cannot_be_set_aside_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = new_spool(tmp_path)
    before.add(fell(1))
    before._db.close()
    (tmp_path / "box.db").write_bytes(b"no database at all")

    def refused(*_: object) -> Path:
        raise OSError(30, "read-only file system")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refused)
        spool = new_spool(tmp_path)
        with pytest.raises(sqlite3.OperationalError, match="read-only"):
            spool.add(fell(2))
    spool.add(fell(3))
    assert spool.counts(0).rows == 1
    assert len(_aside(tmp_path)) == 1


def test_a_start_survives_damage_that_is_found_when_the_spool_is_first_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise damage("a page is not")

    with monkeypatch.context() as patched:
        patched.setattr("edge.spool.numbers.count", fails)
        spool = new_spool(tmp_path)
    spool.add(fell(1))
    assert spool.counts(0).rows == 1
    assert isinstance(spool._db, BoxDb)
