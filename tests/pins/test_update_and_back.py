"""An update over a folder of commit d579f9d, and the way back: the backup made before is that folder again."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from tests.pins import reach
from tests.pins.standing import FIXTURES

FORGOTTEN = "sessions"
"""People log in anew after a restore."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the version before has run; this process is in it."""
    with tarfile.open(FIXTURES / "data-folder.tar.xz") as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", None)  # from Python 3.11.4 on
        tar.extractall(tmp_path)
    for name in [name for name in os.environ if name.startswith("LINLI_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _tables(file: Path) -> dict[str, list[str]]:
    """The statements that would make the database again, by their table; also what the version before cannot read."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {name: [repr(row) for row in database.execute(f'SELECT * FROM "{name}"')] for name in names}
        return {**found, "": [sql for (sql,) in database.execute("SELECT coalesce(sql, '') FROM sqlite_master")]}


def _content(data: Path) -> dict[str, object]:
    """What a program finds in the folder: rows of databases, bytes of the rest but for locks."""
    files = [path for path in sorted(data.rglob("*")) if path.is_file()]
    kept = [path for path in files if path.suffix not in {".lock", ".db-wal", ".db-shm"} and path.suffix[:4] != ".db-"]
    return {
        path.relative_to(data).as_posix(): _tables(path) if path.suffix == ".db" else path.read_bytes() for path in kept
    }


def _without_logins(content: dict[str, object]) -> dict[str, object]:
    incidents = content["incidents.db"]
    assert isinstance(incidents, dict)
    return {**content, "incidents.db": {name: rows for name, rows in incidents.items() if name != FORGOTTEN}}


def test_the_backup_made_before_an_update_is_the_folder_of_the_version_before(folder: Path) -> None:
    data, backup = folder / "linli-data", folder / "before.tar"
    before = _content(data)
    reach.invoke("backup", str(backup))
    assert _content(data) == before  # a backup by the newer program changes nothing of it
    reach.append_events(data, folder / "later.jsonl")  # the update: the newer program opens, judges, migrates
    assert reach.judge_to_the_end(data) == []
    assert reach.audit_is_whole(data / "incidents.db")
    assert _content(data) != before
    shutil.move(data, folder / "moved-away")
    reach.invoke("restore", str(backup))
    came = _content(data)
    assert _without_logins(came) == _without_logins(before)
    assert reach.judge_to_the_end(data) == []  # and the newer one may be tried again from there
