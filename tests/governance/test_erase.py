"""A reference planted in every store of a running community is in none of them once erased, wherever one looks."""

from __future__ import annotations

import subprocess
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
from sqlalchemy import select

from app.settings.loading import load_settings
from app.wiring.children import linli_arguments
from app.wiring.erasure import open_stores
from app.wiring.log_loading import load_events
from app.wiring.run_child import environment, run_settings
from contracts.batch import Batch
from contracts.durations import DAY_MS
from contracts.erasure import Erasure
from contracts.events import (
    AnyEvent,
    Configuration,
)
from contracts.incidents import AlertAction
from detectors.registry import all_rules
from edge.spool.box_db import BoxDb
from edge.spool.spool import Spool
from evidence.content_range import ContentRange
from evidence.files import EvidenceFiles
from evidence.store import SiteFile, erase_evidence, is_erased
from evidence.uploads import Uploads
from governance.erasing import erase, verify
from governance.erasure_answers import ErasureOutcome, ErasureResult
from governance.retention import LogRetention
from identity.box_credentials import Box
from incidents.alerts.actions import Actions, Command
from incidents.store.schema import incidents
from incidents.store.store import Store
from inventory.inventory import Inventory
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.engine.engine import Engine
from streams.log.sqlite.day_log import DayLog
from streams.runtime.partition_driver import PartitionDriver
from system.clock import wall_ms
from tests.edge.platform import wait_for
from tests.governance.planted import (
    OTHER,
    REF,
    SEEN,
    STILL,
    passage,
    places,
    plant_evidence,
    plant_letter,
    planted_erasure,
    planted_finding,
    planted_records,
    sha_of,
)
from tests.incidents.builders import still
from tests.ingest.builders import wire
from tests.ingest.clients import Devices
from tests.support.community import RunningCommunity, running_community

pytestmark = [pytest.mark.service, pytest.mark.patient, pytest.mark.timeout(280)]


class _Planted:
    """What stood in the folder before `linli run` came: yesterday's log, its snapshots, a finding, stills, a spool."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.yesterday_ms = wall_ms() - DAY_MS
        (folder / "box").mkdir()
        self.box = Spool(BoxDb(folder / "box" / "box.db"), box_id="b1", site_id="s1", place_id="b1", now_ms=1)
        self.box.add(passage("", self.yesterday_ms))
        with closing(Inventory(folder / "config.db")) as inventory:
            inventory.put(planted_records(), now_ms=self.yesterday_ms)
            rows = [row for _, row in inventory.changes_after(0, 100)]
        self._log(rows)
        plant_letter(folder / "dead-letters")
        with closing(Store(f"sqlite:///{folder / 'incidents.db'}")) as store:
            plant_evidence(folder / "evidence", store, STILL)
            plant_evidence(folder / "evidence", store, SEEN)

    def _log(self, rows: list[Configuration]) -> None:
        begun = [msgspec.structs.replace(row, received_ms=self.yesterday_ms) for row in rows]
        seen = passage("y1", self.yesterday_ms + 10_000, evidence=(still(sha_of(SEEN)),))
        events: list[AnyEvent] = [*begun, seen, passage("y2", self.yesterday_ms + 60_000, OTHER)]
        with closing(DayLog(self.folder)) as log, closing(SqliteCheckpointStore(self.folder / "engine.db")) as store:
            load_events(log, events)
            driver = PartitionDriver(log, store, Engine(all_rules(), partition=0, partitions=1, log_id=log.identity()))
            driver.open()
            driver.save()
            store.append_findings([planted_finding(self.yesterday_ms)])


def _speak(community: RunningCommunity) -> None:
    """Today: a passage of theirs, and something that names them where nothing should."""
    with Devices(urlsplit(community.mqtt_url).port or 0) as devices:
        devices.say(passage("t1", wall_ms()))
        devices.send("linli/v1/s1/gate/g1/evt", wire(passage("t2", 1)).replace(b"access_attempted", REF.encode()))
        devices.send(f"mqtt/face/{REF}/Rec", b"{}")
        devices.confirmed()


def _pending(folder: Path) -> list[str]:
    with closing(Inventory(folder / "config.db")) as inventory:
        return [topic.topic for topic in inventory.waiting.current()[1]]


def _subjects(folder: Path) -> list[str]:
    with closing(Store(f"sqlite:///{folder / 'incidents.db'}")) as store, store.read() as connection:
        return list(connection.execute(select(incidents.c.subject_ref)).scalars())


def _linli(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    settings = environment(run_settings(folder, "mqtt://127.0.0.1:1", 0, ""))
    command = linli_arguments(*arguments)
    return subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, timeout=120, check=False)


def _answers(folder: Path, at_ms: int, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Erasure, list[ErasureResult]]]:
    """Return what looking again would say at another time."""
    for name, value in run_settings(folder, "mqtt://127.0.0.1:1", 0, "").items():
        monkeypatch.setenv(name, value)
    with open_stores(load_settings(), lambda: at_ms) as stores:
        return list(verify(stores))


def test_a_reference_is_erased_everywhere_and_ages_out_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = _Planted(tmp_path)
    log_days = {path.name for path in tmp_path.glob("log-*.db")}
    with running_community(tmp_path, []) as community:
        _speak(community)
        wait_for(lambda: _subjects(tmp_path) == [REF], "the incident about them")
        (row,) = community.get("incidents")["incidents"]
        with closing(Store(f"sqlite:///{tmp_path / 'incidents.db'}")) as store:
            said = f"asked {REF}, at home"
            Actions(store).act(
                "op", Command(incident_id=row["incident_id"], action=AlertAction.SEE, version=1, comment=said)
            )
        wait_for(lambda: _pending(tmp_path) == [f"mqtt/face/{REF}/Rec"], "the topic that names them")
        everywhere = {"config.db", "engine.db", "incidents.db", "dead-letters", "segments", "archive/archive.db"}
        everywhere |= log_days | {"box/box.db"}
        wait_for(lambda: everywhere <= places(tmp_path), f"all of {everywhere}")

        done = _linli(tmp_path, "erase", "--site", "s1", "--person", REF)
        assert done.returncode == 0, done.stderr
        answered = dict(line.split(": ", 1) for line in done.stdout.splitlines())
        erased = {store for store, word in answered.items() if word.startswith("erased")}
        assert erased == {"inventory", "findings", "incidents", "evidence", "archive", "dead letters", "pending"}
        assert answered["log"].startswith("ages out by ")
        assert answered["box spools"].startswith("ages out by ")
        left = log_days | {path.name for path in tmp_path.glob("log-*.db")} | {"box/box.db"}
        wait_for(lambda: places(tmp_path) <= left, "the snapshots written anew")
        (again,), (subject,) = community.incidents(), _subjects(tmp_path)
        assert subject.startswith("erased-")
        assert again["history"][0]["comment"] == f"asked {subject}, at home"
        assert [item["state"] for item in again["evidence"]] == ["expired"]
        assert "finding_contradicts" not in str(community.get("health"))
        assert OTHER.encode() in (tmp_path / "config.db").read_bytes() + (tmp_path / "config.db-wal").read_bytes()

    looked = _linli(tmp_path, "erase", "verify")
    assert looked.returncode == 0, looked.stdout + looked.stderr
    assert "log: ages out by" in looked.stdout
    _box_forgets(planted)
    _log_forgets(tmp_path)
    assert places(tmp_path) == set()
    ((_, answers),) = _answers(tmp_path, wall_ms() + 40 * DAY_MS, monkeypatch)
    assert {answer.outcome for answer in answers} == {ErasureOutcome.CLEAN}


def _box_forgets(planted: _Planted) -> None:
    planted.box.drop_older(planted.yesterday_ms + 30 * DAY_MS)
    assert planted.box.counts(0).rows == 1  # what it says of the loss
    planted.box._db.close()


def _log_forgets(folder: Path) -> None:
    """Ten days later."""
    future_ms = wall_ms() + 10 * DAY_MS
    with (
        closing(DayLog(folder)) as log,
        closing(SqliteCheckpointStore(folder / "engine.db")) as engine_store,
        closing(Store(f"sqlite:///{folder / 'incidents.db'}")) as store,
    ):
        log.append([Batch(partition=0, watermark_ms=future_ms)])
        engine = Engine(all_rules(), partition=0, partitions=1, log_id=log.identity())
        driver = PartitionDriver(log, engine_store, engine)
        driver.open()
        driver.save(most_sites=100)
        LogRetention(
            log,
            engine_store,
            store,
            digest=engine.digest,
            days=7,
            max_bytes=0,
            readers={"rules": lambda: engine_store.needed_from(engine.digest)},
            taken=lambda: 1_000_000,
        )(future_ms)
        assert len(log.days()) == 1


def test_evidence_that_was_erased_is_not_taken_again(tmp_path: Path) -> None:
    with closing(Store(f"sqlite:///{tmp_path / 'incidents.db'}")) as store:
        uploads = Uploads(store, EvidenceFiles(tmp_path / "evidence"))
        box = Box(box_id="b1", site_id="s1", token_sha256="")
        with store.write() as connection:
            erase_evidence(connection, [SiteFile("s1", sha_of(STILL))], 1)
        assert not uploads.begin(box, sha_of(STILL), ContentRange(0, len(STILL), len(STILL)))
        assert uploads.begin(box, sha_of(SEEN), ContentRange(0, len(SEEN), len(SEEN)))


def test_an_upload_that_was_under_way_when_its_bytes_were_erased_leaves_nothing(tmp_path: Path) -> None:
    box, size = Box(box_id="b1", site_id="s1", token_sha256=""), len(STILL)
    with closing(Store(f"sqlite:///{tmp_path / 'incidents.db'}")) as store:
        files = EvidenceFiles(tmp_path / "evidence")
        uploads = Uploads(store, files)
        assert uploads.begin(box, sha_of(STILL), ContentRange(0, size, size))
        with files.upload("s1~b1", sha_of(STILL), 0) as part:
            part.append(STILL)
        with store.write() as connection:
            erase_evidence(connection, [SiteFile("s1", sha_of(STILL))], 1)
        assert uploads.end(box, sha_of(STILL), size)
        assert not files.has(sha_of(STILL))
        with files.upload("s1~b1", sha_of(SEEN), 0) as part:
            part.append(SEEN[:100])
        files.remove(sha_of(SEEN))
        assert files.parts("s1~b1") == {}
        with store.read() as connection:
            assert is_erased(connection, SiteFile("s1", sha_of(STILL)))


def test_an_erasure_that_was_killed_before_the_files_went_deletes_them_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _Planted(tmp_path)
    for name, value in run_settings(tmp_path, "mqtt://127.0.0.1:1", 0, "").items():
        monkeypatch.setenv(name, value)

    class Killed(BaseException):
        pass

    def killed(*_arguments: object) -> None:
        raise Killed

    with open_stores(load_settings(), wall_ms) as stores:
        erasure = planted_erasure(tmp_path)
        with monkeypatch.context() as patched:
            patched.setattr(stores.files, "remove", killed)
            with pytest.raises(Killed):
                erase(stores, erasure)
        assert stores.files.has(sha_of(SEEN))
        ((_, answers),) = verify(stores)
        assert [a.outcome for a in answers if a.store == "evidence"] == [ErasureOutcome.STILL_THERE]
        answered = {answer.store: answer.outcome for answer in erase(stores, erasure)}
        assert answered["evidence"] is ErasureOutcome.ERASED
        assert not stores.files.has(sha_of(SEEN))
        again = {answer.store: answer.outcome for answer in erase(stores, erasure)}
        assert set(again.values()) == {ErasureOutcome.CLEAN, ErasureOutcome.AGES_OUT}
