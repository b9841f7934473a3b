"""A reference planted in every store of a running community is in none of them once erased, wherever one looks."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from sqlalchemy import select

from app.children import linli_arguments
from app.erasing import Answer, Outcome, Stores, erase, verify
from app.log_loading import load_events
from app.retention import DAY_MS, LogKeeper
from app.run_child import environment, run_settings
from app.settings import load_settings
from contracts.batch import Batch
from contracts.erasure import Erasure, digest_of
from contracts.events import (
    AccessAttempted,
    AnyEvent,
    Configuration,
    ConsentRecorded,
    Credential,
    EvidenceRef,
    ReferenceKind,
    VehicleRegistered,
)
from contracts.findings import Fact, Finding, Subject, SubjectKind
from contracts.incidents import AlertAction
from contracts.names import DeviceClass
from detectors.registry import all_rules
from edge.box_db import BoxDb
from edge.spool import Spool
from incidents.actions import Actions, Command
from incidents.boxes import Box
from incidents.content_range import ContentRange
from incidents.evidence import erase_evidence, is_erased, settle_evidence
from incidents.evidence_files import EvidenceFiles
from incidents.records import EvidenceState
from incidents.schema import incidents
from incidents.store import Store, wall_ms
from incidents.uploads import Uploads
from ingest.dead_letters import DeadLetters
from ingest.inventory import Inventory
from streams.archive.archive import Archive
from streams.daylog import DayLog
from streams.drivers.embedded import EmbeddedDriver
from streams.engine import Engine
from streams.engine_store import EngineStore
from tests.edge.platform import wait_for
from tests.incidents.builders import make_finding, still
from tests.ingest.builders import device, site, wire
from tests.ingest.clients import Devices
from tests.support.community import RunningCommunity, running_community

pytestmark = [pytest.mark.service, pytest.mark.patient, pytest.mark.timeout(280)]

REF = "pr-7f3a9c1e5d"
OTHER = "pr-of-a-neighbour"
PATIENCE_S = 60
STILL, SEEN = b"a still of an incident" * 50, b"a still of a passage" * 50


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _access(event_id: str, at_ms: int, ref: str = REF, evidence: tuple[EvidenceRef, ...] = ()) -> AccessAttempted:
    return AccessAttempted(
        event_id=event_id,
        site_id="s1",
        source_id="g1",
        place_id="door-1",
        at_ms=at_ms,
        received_ms=at_ms,
        credential=Credential.FACE,
        granted=True,
        person_ref=ref,
        evidence=evidence,
    )


def _records() -> list[Configuration]:
    base: dict[str, Any] = {
        "event_id": "",
        "site_id": "s1",
        "source_id": "config",
        "place_id": "s1",
        "at_ms": 1,
        "version": 0,
    }
    return [
        site(),
        device("g1", DeviceClass.GATE, place_id="door-1"),
        ConsentRecorded(**base, subject_ref=REF, purpose="absence", granted=True),
        VehicleRegistered(**base, vehicle_id="bike-1", owner_refs=(REF, OTHER)),
    ]


class _Planted:
    """What stood in the folder before `linli run` came: yesterday's log, its snapshots, a finding, stills, a spool."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.yesterday_ms = time.time_ns() // 1_000_000 - DAY_MS
        (folder / "box").mkdir()
        self.box = Spool(BoxDb(folder / "box" / "box.db"), box_id="b1", site_id="s1", place_id="b1", now_ms=1)
        self.box.add(_access("", self.yesterday_ms))
        with closing(Inventory(folder / "config.db")) as inventory:
            inventory.put(_records(), now_ms=self.yesterday_ms)
            rows = [row for _, row in inventory.changes_after(0, 100)]
        self._log(rows)
        self._evidence(STILL)
        self._evidence(SEEN)

    def _log(self, rows: list[Configuration]) -> None:
        begun = [msgspec.structs.replace(row, received_ms=self.yesterday_ms) for row in rows]
        seen = _access("y1", self.yesterday_ms + 10_000, evidence=(still(_sha(SEEN)),))
        events: list[AnyEvent] = [*begun, seen, _access("y2", self.yesterday_ms + 60_000, OTHER)]
        with closing(DayLog(self.folder)) as log, closing(EngineStore(self.folder / "engine.db")) as store:
            load_events(log, events)
            driver = EmbeddedDriver(log, store, Engine(all_rules(), partition=0, partitions=1, log_id=log.identity()))
            driver.open()
            driver.save()
            store.append_findings([self._finding()])

    def _finding(self) -> Finding:
        return make_finding(
            rule="presence",
            key=f"gate/{REF}",
            onset_ms=self.yesterday_ms,
            subject=Subject(SubjectKind.PERSON, REF),
            place_id="door-1",
            facts=(Fact(code="listed", value=REF),),
            evidence=(still(_sha(STILL)),),
        )

    def _evidence(self, data: bytes) -> None:
        files = EvidenceFiles(self.folder / "evidence")
        with files.upload("b1", _sha(data), 0) as part:
            part.append(data)
        files.finish("b1", _sha(data))
        with closing(Store(f"sqlite:///{self.folder / 'incidents.db'}")) as store, store.write() as connection:
            now_ms = time.time_ns() // 1_000_000
            settle_evidence(
                connection, _sha(data), EvidenceState.PRESENT, now_ms, box_id="b1", size_bytes=len(data), reason=""
            )


def _speak(community: RunningCommunity) -> None:
    """Today: a passage of theirs, and something that names them where nothing should."""
    with Devices(urlsplit(community.mqtt_url).port or 0) as devices:
        devices.say(_access("t1", time.time_ns() // 1_000_000))
        devices.send("linli/v1/s1/gate/g1/evt", wire(_access("t2", 1)).replace(b"access_attempted", REF.encode()))
        devices.confirmed()


def _places(folder: Path) -> set[str]:
    """Every place where the reference can be read: raw bytes of any file, and what is compressed or sealed in them."""
    found = {_name(folder, path) for path in folder.rglob("*") if path.is_file() and _holds(path.read_bytes())}
    for path in folder.rglob("*.db"):
        if path.name != "mosquitto.db" and any(_holds(blob) for blob in _inflated(path)):
            found.add(_name(folder, path))
    with closing(DeadLetters(folder / "dead-letters")) as letters:
        if _holds(msgspec.json.encode(letters.list(1_000))):
            found.add("dead-letters")
    with closing(Archive(folder / "archive")) as archive:
        parts = [part for segment in archive.catalogue.segments() for part in archive.read(segment)]
        if _holds(msgspec.json.encode(parts)):
            found.add("segments")
        parts = [part for head in archive.catalogue.open_heads() for part in archive.read_open(head)]
        if _holds(msgspec.json.encode(parts)):
            found.add("open days")
    return found


def _subjects(folder: Path) -> list[str]:
    with closing(Store(f"sqlite:///{folder / 'incidents.db'}")) as store, store.read() as connection:
        return list(connection.execute(select(incidents.c.subject_ref)).scalars())


def _holds(data: bytes) -> bool:
    return REF.encode() in data


def _name(folder: Path, path: Path) -> str:
    return str(path.relative_to(folder)).removesuffix("-wal").removesuffix("-shm")


def _inflated(path: Path) -> Iterator[bytes]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in db.execute(f"SELECT * FROM {table}"):
                for cell in row:
                    if isinstance(cell, bytes) and cell[:1] == b"\x78":
                        yield zlib.decompress(cell)


def _linli(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    settings = environment(run_settings(folder, "mqtt://127.0.0.1:1", 0, ""))
    command = linli_arguments(*arguments)
    return subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, timeout=120, check=False)


def _answers(folder: Path, at_ms: int, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Erasure, list[Answer]]]:
    """What looking again would say at another time."""
    for name, value in run_settings(folder, "mqtt://127.0.0.1:1", 0, "").items():
        monkeypatch.setenv(name, value)
    with ExitStack() as opened:
        return list(verify(Stores(load_settings(), opened, lambda: at_ms)))


def test_a_reference_planted_everywhere_is_erased_everywhere_and_the_log_lets_go_of_it_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = _Planted(tmp_path)
    log_days = {path.name for path in tmp_path.glob("log-*.db")}
    with running_community(tmp_path, []) as community:
        _speak(community)
        wait_for(lambda: _subjects(tmp_path) == [REF], PATIENCE_S, "the incident about them")
        (row,) = community.get("incidents")["incidents"]
        with closing(Store(f"sqlite:///{tmp_path / 'incidents.db'}")) as store:
            said = f"asked {REF}, at home"
            Actions(store).act(
                "op", Command(incident_id=row["incident_id"], action=AlertAction.SEE, version=1, comment=said)
            )
        everywhere = {"config.db", "engine.db", "incidents.db", "dead-letters", "segments", "archive/archive.db"}
        everywhere |= log_days | {"box/box.db"}
        wait_for(lambda: everywhere <= _places(tmp_path), PATIENCE_S, f"all of {everywhere}")

        done = _linli(tmp_path, "erase", "--site", "s1", "--person", REF)
        assert done.returncode == 0, done.stderr
        answered = dict(line.split(": ", 1) for line in done.stdout.splitlines())
        erased = {store for store, word in answered.items() if word.startswith("erased")}
        assert erased == {"inventory", "findings", "incidents", "evidence", "archive", "dead letters"}
        assert answered["log"].startswith("ages out by ")
        assert answered["box spools"].startswith("ages out by ")
        left = log_days | {path.name for path in tmp_path.glob("log-*.db")} | {"box/box.db"}
        wait_for(lambda: _places(tmp_path) <= left, PATIENCE_S, "the snapshots written anew")
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
    assert _places(tmp_path) == set()
    ((_, answers),) = _answers(tmp_path, time.time_ns() // 1_000_000 + 40 * DAY_MS, monkeypatch)
    assert {answer.outcome for answer in answers} == {Outcome.CLEAN}


def _box_forgets(planted: _Planted) -> None:
    planted.box.drop_older(planted.yesterday_ms + 30 * DAY_MS)
    assert planted.box.counts(0).rows == 1  # what it says of the loss
    planted.box._db.close()


def _log_forgets(folder: Path) -> None:
    """Ten days later."""
    future_ms = time.time_ns() // 1_000_000 + 10 * DAY_MS
    with (
        closing(DayLog(folder)) as log,
        closing(EngineStore(folder / "engine.db")) as engine_store,
        closing(Store(f"sqlite:///{folder / 'incidents.db'}")) as store,
    ):
        log.append([Batch(partition=0, watermark_ms=future_ms)])
        engine = Engine(all_rules(), partition=0, partitions=1, log_id=log.identity())
        driver = EmbeddedDriver(log, engine_store, engine)
        driver.open()
        driver.save(most_sites=100)
        LogKeeper(
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
            erase_evidence(connection, [_sha(STILL)], 1)
        assert not uploads.begin(box, _sha(STILL), ContentRange(0, len(STILL), len(STILL)))
        assert uploads.begin(box, _sha(SEEN), ContentRange(0, len(SEEN), len(SEEN)))


def test_an_upload_that_was_under_way_when_its_bytes_were_erased_leaves_nothing(tmp_path: Path) -> None:
    box, size = Box(box_id="b1", site_id="s1", token_sha256=""), len(STILL)
    with closing(Store(f"sqlite:///{tmp_path / 'incidents.db'}")) as store:
        files = EvidenceFiles(tmp_path / "evidence")
        uploads = Uploads(store, files)
        assert uploads.begin(box, _sha(STILL), ContentRange(0, size, size))
        with files.upload("b1", _sha(STILL), 0) as part:
            part.append(STILL)
        with store.write() as connection:
            erase_evidence(connection, [_sha(STILL)], 1)
        assert uploads.end(box, _sha(STILL), size)
        assert not files.has(_sha(STILL))
        with files.upload("b1", _sha(SEEN), 0) as part:
            part.append(SEEN[:100])
        files.remove(_sha(SEEN))
        assert files.part_bytes("b1") == 0
        with store.read() as connection:
            assert is_erased(connection, _sha(STILL))


def test_an_erasure_that_was_killed_before_the_files_went_deletes_them_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _Planted(tmp_path)
    for name, value in run_settings(tmp_path, "mqtt://127.0.0.1:1", 0, "").items():
        monkeypatch.setenv(name, value)
    erasure = Erasure("s1", ReferenceKind.PERSON, digest_of("s1", ReferenceKind.PERSON, REF), wall_ms())

    class Killed(BaseException):
        pass

    def killed(*_arguments: object) -> None:
        raise Killed

    with ExitStack() as opened:
        stores = Stores(load_settings(), opened, wall_ms)
        with monkeypatch.context() as patched:
            patched.setattr(stores.files, "remove", killed)
            with pytest.raises(Killed):
                erase(stores, erasure)
        assert stores.files.has(_sha(SEEN))
        ((_, answers),) = verify(stores)
        assert [a.outcome for a in answers if a.store == "evidence"] == [Outcome.STILL_THERE]
        answered = {answer.store: answer.outcome for answer in erase(stores, erasure)}
        assert answered["evidence"] is Outcome.ERASED
        assert not stores.files.has(_sha(SEEN))
        again = {answer.store: answer.outcome for answer in erase(stores, erasure)}
        assert set(again.values()) == {Outcome.CLEAN, Outcome.AGES_OUT}
