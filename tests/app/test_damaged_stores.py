"""A flipped byte or a lost end in any store gives the same answer, or one sentence that names the file and the way out.

Stores are damaged at many places, closed well or killed while their journal holds the newest of it.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from contracts.batch import Batch, encode_batch
from contracts.errors import LinliError, RejectReason
from contracts.events import AnyEvent, Configuration
from contracts.findings import Finding
from contracts.names import DeviceClass
from governance.audit import record
from incidents.intake.intake import Intake
from incidents.store.operator_alarms import AlarmCode, raise_alarm, standing_alarms
from incidents.store.schema import metadata
from incidents.store.store import Store
from ingest.shard.dead_letters import DeadLetters, dead_letter
from inventory.inventory import Inventory
from streams.archive.archive import Archive
from streams.archive.segment import BatchesPart
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.engine.snapshot import SnapshotRow
from streams.log.sqlite.day_log import DayLog
from streams.results.points import Point
from streams.results.spool import PointSpool, SourceBatch
from tests.incidents.builders import RULES, make_directory, make_finding
from tests.ingest.builders import NOW_MS, device, site, smoke
from tests.streams.archive.support import archive_all, next_day
from tests.support.damage import files_of, restore, spoilt
from tests.support.folders import fast_folder

PLACES = 60
WAY_OUT = re.compile(r"restore it or move it away|restore it, or delete it|restore the file from a backup")


def _inventory(folder: Path) -> None:
    inventory = Inventory(folder / "config.db")
    for n in range(6):
        inventory.put([site(), *[device(f"d{n}-{m}", DeviceClass.SENSOR, name=f"sensor {m}") for m in range(9)]])
        inventory.set_followed("log-a/0-1-1", 2 + n)
    inventory.close()


def _read_inventory(folder: Path) -> object:
    inventory = Inventory(folder / "config.db")
    try:
        everything = inventory.changes_after(0, 1_000), inventory.devices(), inventory.sites()
        return everything, inventory.followers(), inventory.state().change
    finally:
        inventory.close()


def _findings() -> list[Finding]:
    return [make_finding(key=f"door-{n}") for n in range(60)]


def _engine(folder: Path) -> None:
    store = SqliteCheckpointStore(folder / "engine.db")
    for finding in _findings():
        store.append_findings([finding])
    rows = [SnapshotRow(site_id=f"s{n}", digest="r1", position=n, data=bytes(range(256)) * 4) for n in range(6)]
    store.save(rows, b"manifest" * 40, "r1")
    store.close()


def _read_engine(folder: Path) -> object:
    store = SqliteCheckpointStore(folder / "engine.db")
    try:
        return store.findings_after(0, 1_000), store.load("r1"), store.rejudges()
    finally:
        store.close()


def _spool(folder: Path) -> None:
    spool = PointSpool(folder / "results.db")
    for n in range(8):
        at_ns = [(NOW_MS + n * 40 + m) * 10**6 for m in range(40)]
        points = [Point("m", (), {"x": 1.0}, at, str(at)) for at in at_ns]
        spool.append([SourceBatch("log/0", "log-a", n, points, {"k": b"state" * 20})], NOW_MS)
    spool.close()


def _read_spool(folder: Path) -> object:
    spool = PointSpool(folder / "results.db")
    try:
        return spool.oldest(10_000), spool.cursor("log/0", "log-a"), spool.state("k")
    finally:
        spool.close()


def _letters(folder: Path) -> None:
    letters = DeadLetters(folder)
    for n in range(60):
        topic = f"linli/v1/s1/gate/g{n % 7}/evt"
        letters.add(dead_letter(RejectReason.TOO_OLD, f"detail {n}", ("s1", "g1"), topic, b"x" * 90, NOW_MS))
    letters.flush(NOW_MS)
    letters.close()


def _read_letters(folder: Path) -> object:
    letters = DeadLetters(folder)
    try:
        return letters.list(1_000)
    finally:
        letters.close()


def _incidents(folder: Path) -> None:
    store = Store(f"sqlite:///{folder / 'incidents.db'}")
    intake = Intake(store, make_directory(), RULES, ["hook"], clock_ms=lambda: NOW_MS)
    for n, finding in enumerate(_findings(), start=1):
        intake.take([(n, finding)])
    for n in range(30):
        with store.write() as connection:
            raise_alarm(connection, AlarmCode.LOG_GAP, f"partition {n}", f"positions {n} to {n + 9}", NOW_MS + n)
            record(connection, "someone", "user.add", f"user {n}", {"n": n}, NOW_MS + n)
    store.close()


def _read_incidents(folder: Path) -> object:
    store = Store(f"sqlite:///{folder / 'incidents.db'}")
    try:
        with store.read() as connection:
            names = sorted(metadata.tables)
            rows = [connection.exec_driver_sql(f"SELECT * FROM {name}").all() for name in names]
            return rows, standing_alarms(connection)
    finally:
        store.close()


DAY = "log-20261118.db"
"""The day of NOW_MS."""


def _records() -> list[Batch]:
    """Forty seconds of a site: its configuration, then a sensor's readings."""
    named = enumerate([site(), *_sensors()], start=1)
    rows = [msgspec.structs.replace(row, received_ms=NOW_MS, version=version) for version, row in named]
    times = range(NOW_MS, NOW_MS + 40_000, 1_000)
    readings = [msgspec.structs.replace(smoke(f"f{at}", at), received_ms=at) for at in times]
    said: list[tuple[AnyEvent, ...]] = [tuple(rows), *((one,) for one in readings)]
    return [Batch(partition=0, watermark_ms=events[-1].received_ms, events=events) for events in said]


def _sensors() -> list[Configuration]:
    return [device(f"smoke-{n}", DeviceClass.SENSOR) for n in range(9)]


def _log(folder: Path) -> None:
    log = DayLog(folder)
    for batch in _records():
        log.append([batch])
    log.close()


def _read_log(folder: Path) -> object:
    log = DayLog(folder)
    try:
        records, position = [], log.begin()
        while found := log.read(position, 100):
            records += [(record.position, record.data) for record in found]
            position = found[-1].position + 1
        return log.identity(), log.last_watermark_ms(), records
    finally:
        log.close()


def _archive(folder: Path) -> None:
    with fast_folder() as other:
        log, archive = DayLog(other), Archive(folder)
        for batch in _records():
            log.append([batch])
        archive_all(archive, log)
        next_day(log, 2)
        log.append([msgspec.structs.replace(_records()[-1], watermark_ms=log.last_watermark_ms() + 1)])
        archive_all(archive, log)
        archive.close()
        log.close()  # this one is on the other folder, and closed all the same


def _read_archive(folder: Path) -> object:
    archive = Archive(folder)
    try:
        sealed = archive.catalogue.segments()
        for segment in sealed:
            archive.verify(segment)
        parts = [[part for part in archive.read(one) if isinstance(part, BatchesPart)] for one in sealed]
        held = [encode_batch(batch) for of_one in parts for part in of_one for batch in part.batches]
        return sealed, held, [list(archive.read_open(head)) for head in archive.catalogue.open_heads()]
    finally:
        archive.close()


STORES: dict[str, tuple[Callable[[Path], None], Callable[[Path], object], str]] = {
    "inventory": (_inventory, _read_inventory, "config.db"),
    "engine": (_engine, _read_engine, "engine.db"),
    "results": (_spool, _read_spool, "results.db"),
    "letters": (_letters, _read_letters, "dead-letters.db"),
    "incidents": (_incidents, _read_incidents, "incidents.db"),
    "log": (_log, _read_log, DAY),
    "archive": (_archive, _read_archive, "archive.db"),
}


def _answer(read: Callable[[Path], object], folder: Path) -> tuple[object, str]:
    """What the store says, or the one sentence that it refuses with."""
    try:
        return read(folder), ""
    except LinliError as error:
        return None, str(error)


@pytest.mark.parametrize("name", STORES)
def test_a_closed_store_that_was_damaged_says_the_same_or_what_is_wrong(tmp_path: Path, name: str) -> None:
    make, read, file = STORES[name]
    make(tmp_path)
    whole = files_of(tmp_path)
    right, _ = _answer(read, tmp_path)
    told = 0
    for what, content in spoilt(whole[file], PLACES):
        restore(tmp_path, whole | {file: content})
        answer, sentence = _answer(read, tmp_path)
        if sentence:
            told += 1
            assert file in sentence, f"{what}: {sentence}"
            assert WAY_OUT.search(sentence), f"{what}: {sentence}"
            assert "\n" not in sentence
        elif content:
            assert answer == right, what
    assert told > PLACES, "hardly anything was noticed"


def test_a_damaged_segment_of_the_archive_is_named_with_the_way_out(tmp_path: Path) -> None:
    _archive(tmp_path)
    right, _ = _answer(_read_archive, tmp_path)
    (segment,) = tmp_path.glob("*/*.seg")
    whole = segment.read_bytes()
    for what, content in spoilt(whole, PLACES):
        segment.write_bytes(content)
        answer, sentence = _answer(_read_archive, tmp_path)
        if content == whole:
            assert answer == right
        else:
            assert segment.name in sentence and WAY_OUT.search(sentence), f"{what}: {sentence}"
            assert "\n" not in sentence


MAKE = """
import os, signal, sys
from pathlib import Path
from tests.app import test_damaged_stores as here
from streams import sqlite_file
import sqlite3
kill = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
make, _, _ = here.STORES[sys.argv[1]]
kept = (here.Inventory, here.SqliteCheckpointStore, here.PointSpool, here.DeadLetters, here.Store, here.DayLog)
for room in (*kept, here.Archive):
    room.close = kill
make(Path(sys.argv[2]))
"""


@pytest.mark.parametrize("name", STORES)
def test_a_journal_that_was_damaged_after_a_kill_loses_nothing_in_silence(tmp_path: Path, name: str) -> None:
    _, read, file = STORES[name]
    root = Path(__file__).resolve().parents[2]
    killed = subprocess.run([sys.executable, "-c", MAKE, name, str(tmp_path)], cwd=root, env=os.environ, check=False)
    assert killed.returncode == -signal.SIGKILL
    whole = files_of(tmp_path)
    journal = f"{file}-wal"
    assert len(whole[journal]) > 10_000
    right, _ = _answer(read, tmp_path)
    assert right is not None
    for what, content in spoilt(whole[journal], PLACES):
        restore(tmp_path, whole | {journal: content})
        answer, sentence = _answer(read, tmp_path)
        assert answer == right or (file in sentence and WAY_OUT.search(sentence)), f"{what}: {sentence}"
