"""``linli streams``: what failed is shown, and a person decides whether to try again or to give a record up."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.main import linli
from app.wiring.folder_lock import FolderLock
from contracts.batch import Batch
from contracts.errors import ConfigurationError
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.log.sqlite.day_log import DayLog


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINLI_LOG_URL", f"sqlite:///{tmp_path / 'data'}")
    store = SqliteCheckpointStore(tmp_path / "data" / "engine.db")
    store.note_failure(7, "ZeroDivisionError('first')")
    store.note_failure(7, "ZeroDivisionError('again')")
    store.note_failure(9, "KeyError('x')")
    store.close()


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(linli, ["streams", *arguments], catch_exceptions=False)


def test_failures_are_listed_with_their_last_error_and_skipped_ones_are_marked() -> None:
    assert _run("skip", "9").exit_code == 0
    assert _run("failures").stdout == "7\t2\t-\tZeroDivisionError('again')\n9\t1\tskipped\tKeyError('x')\n"


def test_a_position_can_be_tried_again_after_an_update() -> None:
    result = _run("retry", "7")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "7 will be tried again" in result.stderr
    assert _run("failures").stdout == "9\t1\t-\tKeyError('x')\n"


@pytest.mark.parametrize("what", ["skip", "retry"])
def test_only_what_has_failed_can_be_given_up_or_tried_again(what: str) -> None:
    before = _run("failures").stdout
    with pytest.raises(ConfigurationError, match="position 8 has not failed"):
        _run(what, "8")
    assert _run("failures").stdout == before


@pytest.mark.parametrize("what", ["skip", "retry"])
def test_while_linli_run_holds_the_folder_nothing_is_changed(what: str, tmp_path: Path) -> None:
    before = _run("failures").stdout
    with FolderLock(tmp_path / "data"), pytest.raises(ConfigurationError, match="in use by process"):
        _run(what, "7")
    assert _run("failures").stdout == before


def test_a_folder_without_an_engine_store_is_an_error_and_gets_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINLI_LOG_URL", f"sqlite:///{tmp_path / 'elsewhere'}")
    with pytest.raises(ConfigurationError, match=r"there is no engine\.db"):
        _run("failures")
    assert not (tmp_path / "elsewhere").exists()


def test_a_damaged_record_of_the_log_is_emptied_once_it_is_given_up(tmp_path: Path) -> None:
    log = DayLog(tmp_path / "data")
    log.append([Batch(partition=0, watermark_ms=n) for n in range(9)])
    log.close()
    with sqlite3.connect(tmp_path / "data" / "log-19700101.db") as db:
        db.execute("UPDATE records SET watermark_ms = 99 WHERE position = 7")
    assert "position 9 will be skipped" in _run("skip", "9").stderr
    assert "the damaged record at position 7 was emptied" in _run("skip", "7").stderr
    log = DayLog(tmp_path / "data")
    assert [record.data == b"" for record in log.read(6, 3)] == [False, True, False]
    log.close()
