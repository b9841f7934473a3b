"""What is about people may be read by Linli's account alone, whatever the umask is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.operations.doctor.everywhere import private
from app.operations.doctor.report import Level
from app.settings.loading import load_settings
from app.settings.settings import Settings
from app.wiring.private_stores import close_stores, open_paths, private_paths
from app.wiring.run_child import run_settings, wait_until_ready, write_secret
from edge.spool.box_db import BoxDb
from edge.token import make_token, register
from evidence.files import EvidenceFiles
from incidents.store.store import Store
from ingest.shard.dead_letters import DeadLetters
from inventory.inventory import Inventory
from streams.archive.archive import Archive
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.log.sqlite.day_log import DayLog
from system.private_files import OTHERS, close_to_others
from tests.support.linli_run import running, settings_over

PICTURE = "a" * 64


@pytest.fixture(params=[0o000, 0o022, 0o002])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """The umask of whoever starts the program."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def _open(folder: Path) -> list[str]:
    """What in a folder, itself included, others may read, write or enter."""
    everything = [folder, *folder.rglob("*")]
    return sorted(str(path.relative_to(folder.parent)) for path in everything if path.stat().st_mode & OTHERS)


def _settings(folder: Path) -> Settings:
    return load_settings(None, run_settings(folder, "mqtt://127.0.0.1:1", 0, ""))


@pytest.mark.usefixtures("umask")
def test_every_store_makes_its_files_for_the_account_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with closing(DayLog(folder)), closing(SqliteCheckpointStore(folder / "engine.db")):
        Inventory(folder / "config.db").close()
        Store(f"sqlite:///{folder / 'incidents.db'}").close()
        DeadLetters(folder / "dead-letters").close()
        Archive(folder / "archive").close()
        (folder / "box").mkdir(mode=0o700)
        BoxDb(folder / "box" / "box.db").close()
        files = EvidenceFiles(folder / "evidence")
        with files.upload("s1~b1", PICTURE, 0) as part:
            part.append(b"x")
        register(make_token("b1", "s1", folder / "token"), folder)
        write_secret(folder, "tulip")
        assert _open(folder) == []


@pytest.mark.service
@pytest.mark.usefixtures("umask")
def test_a_running_community_makes_everything_for_the_account_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (tmp_path / "logs").mkdir()
    with running(tmp_path, settings_over(folder, mqtt_embedded="amqtt")) as child:
        wait_until_ready(child)
        assert _open(folder) == []
        assert child.stop() == 0, child.tail()
    assert _open(folder) == []


def test_what_an_earlier_version_made_is_closed_at_the_start_and_told_by_doctor(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    settings = _settings(folder)
    with closing(DayLog(folder)), closing(Store(f"sqlite:///{folder / 'incidents.db'}")):
        (folder / "evidence").mkdir()
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        told = list(private(settings))
        assert {line.level for line in told[:-1]} == {Level.FAIL}
        assert any(f"chmod 700 {folder};" in line.remedy for line in told)
        close_stores(settings)
        assert open_paths(settings) == []
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "incidents.db").stat().st_mode & 0o777 == 0o600
        assert folder / "evidence" in set(private_paths(settings))
        assert [line.level for line in private(settings)] == [Level.OK]


def test_a_folder_of_everybody_and_a_link_are_left_as_they_are(tmp_path: Path) -> None:
    shared, link = tmp_path / "shared", tmp_path / "link"
    shared.mkdir()
    shared.chmod(0o1777)
    link.symlink_to(shared)
    assert not close_to_others(shared)
    assert not close_to_others(link)
    assert not close_to_others(tmp_path / "missing")
    assert shared.stat().st_mode & 0o7777 == 0o1777
