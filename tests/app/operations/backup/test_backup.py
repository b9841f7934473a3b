"""A backup of a machine at work: its stores agree, nobody else reads it, and a damaged one is refused as a whole."""

from __future__ import annotations

import itertools
import os
import shutil
import sqlite3
import stat
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

from app.operations.backup import making, snapshots
from app.operations.backup.making import make_backup
from app.operations.backup.manifest import FORMAT, MANIFEST, BackupManifest, decode_manifest, encode_manifest
from app.operations.backup.places import Stored, databases, days
from app.operations.backup.restoring import restore_backup
from app.settings.loading import load_settings
from app.settings.settings import Settings
from app.wiring.rule_facts import finding_facts
from contracts.batch import Batch
from contracts.errors import ConfigurationError, LinliError, Permanent
from contracts.events import SiteConfigured
from detectors.registry import all_rules
from evidence.files import EvidenceFiles
from incidents.intake.intake import Intake
from incidents.intake.relays import FindingsRelay
from incidents.store.operator_alarms import AlarmCode, raise_alarm
from incidents.store.schema import findings, sessions
from incidents.store.store import Store
from inventory.inventory import Inventory
from simulator.generate import SimulationRequest, World, generate
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.engine.batching import batches_of
from streams.engine.engine import Engine
from streams.log.sqlite.day_log import DayLog
from streams.runtime.partition_driver import PartitionDriver
from tests.incidents.builders import make_directory
from tests.ingest.builders import NOW_MS, site
from tests.support.folders import fast_folder

RECORDS, AT_ONCE = 300, 6
"""The simulated day in so many records, and how many of them go by between two steps of a backup."""


def settings_of(folder: Path) -> Settings:
    """A machine whose stores all lie in ``folder``."""
    return load_settings(None, {"LINLI_LOG_URL": f"sqlite:///{folder}"})


def named(name: str) -> SiteConfigured:
    """A site under another name."""
    return msgspec.structs.replace(site(), name=name)


@pytest.fixture(scope="module")
def world() -> World:
    return generate(SimulationRequest(seed=5, days=1, sites=1))


@pytest.fixture
def fast() -> Iterator[Path]:
    with fast_folder() as folder:
        yield folder


class Machine:
    """The stores of a machine, each with the thread that works on it."""

    def __init__(self, folder: Path) -> None:
        self.log, self.store = DayLog(folder), SqliteCheckpointStore(folder / "engine.db")
        self.incidents = Store(f"sqlite:///{folder / 'incidents.db'}", synchronous="OFF")
        self.inventory = Inventory(folder / "config.db")
        intake = Intake(self.incidents, make_directory(), finding_facts(), [], source=self.store.identity())
        self.relay = FindingsRelay(self.store, intake)
        engine = Engine(all_rules(), partition=0, partitions=1, log_id=self.log.identity())
        self.driver = PartitionDriver(self.log, self.store, engine, on_findings=self.relay.wake)
        self.driver.open()

    def catch_up(self) -> set[tuple[str, str]]:
        """Judge and take everything; (finding, incident) of all."""
        self.driver.catch_up()
        while self.relay.step():
            pass
        with self.incidents.read() as connection:
            return {(row.finding_id, row.incident_id) for row in connection.execute(select(findings))}

    def close(self) -> None:
        for one in (self.log, self.store, self.incidents, self.inventory):
            one.close()


class Working(Machine):
    """A machine that goes on a little whenever it is told to, from ingest to incidents."""

    def __init__(self, folder: Path, batches: list[Batch]) -> None:
        super().__init__(folder)
        self._left = iter(batches)

    def work(self, records: int, *, configures: bool = False) -> None:
        """Take so many records all the way."""
        for batch in itertools.islice(self._left, records):
            self.log.append([batch])
            self.inventory.set_followed("log", self.log.end())
        while self.driver.step() or self.relay.step():
            pass
        self.driver.save()
        if configures:
            self.inventory.put([named(f"Court {self.log.end()}")])

    def followed(self) -> int:
        """How far the inventory believes to be followed into the log."""
        return max([0, *self.inventory.followers().values()])


def test_a_backup_of_a_machine_at_work_goes_on_as_if_nothing_had_been(
    fast: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = list(batches_of(world.events, 1, max_events=max(1, len(world.events) // RECORDS)))
    clean, machine = _clean(fast / "clean", batches), Working(fast / "data", batches)
    machine.work(RECORDS // 3, configures=True)
    hold, copy_of = snapshots._hold, snapshots.copy_of

    def holds(one: Stored, opened: ExitStack) -> snapshots.Held:
        machine.work(AT_ONCE)
        return hold(one, opened)

    def copies(one: snapshots.Held, target: Path) -> None:
        machine.work(AT_ONCE, configures=True)
        copy_of(one, target)

    monkeypatch.setattr(snapshots, "_hold", holds)
    monkeypatch.setattr(making, "copy_of", copies)
    make_backup(settings_of(fast / "data"), fast / "backup", NOW_MS)
    ends = machine.log.end()
    machine.close()
    restore_backup(settings_of(fast / "again"), fast / "backup")
    again = Working(fast / "again", [])
    assert RECORDS // 3 < again.log.end() < ends
    assert again.followed() <= again.log.end()
    again.log.append(batches[again.log.end() :])
    assert again.catch_up() == clean
    again.close()


def _clean(folder: Path, batches: list[Batch]) -> set[tuple[str, str]]:
    machine = Machine(folder)
    machine.log.append(batches)
    found = machine.catch_up()
    machine.close()
    assert found
    return found


# --- a small machine --------------------------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A machine with a little of everything."""
    folder = tmp_path / "data"
    machine = Machine(folder)
    machine.inventory.put([site()])
    machine.close()
    (folder / "boxes.jsonl").write_text('{"box_id": "b1"}\n', encoding="utf-8")
    (folder / "first-password").write_text("secret\n", encoding="utf-8")
    EvidenceFiles(folder / "evidence")
    (folder / "evidence" / "present").mkdir(exist_ok=True)
    (folder / "evidence" / "present" / "a.bin").write_bytes(b"x" * 5_000)
    return folder


def _content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("name", ["backup", "backup.tar"])
def test_it_comes_back_whole_and_nobody_else_may_read_it(data: Path, tmp_path: Path, name: str) -> None:
    target, old = tmp_path / name, os.umask(0)
    try:
        manifest = make_backup(settings_of(data), target, NOW_MS)
        restore_backup(settings_of(tmp_path / "again"), target)
    finally:
        os.umask(old)
    for path in [target, *target.rglob("*"), tmp_path / "again", *(tmp_path / "again").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    came = _content(tmp_path / "again")
    assert came["boxes.jsonl"] == (data / "boxes.jsonl").read_bytes()
    assert came["evidence/present/a.bin"] == b"x" * 5_000
    assert came["evidence/evidence.key"] == (data / "evidence" / "evidence.key").read_bytes()
    assert "first-password" not in came
    assert {"incidents.db", "engine.db", "config.db"} <= came.keys()
    assert len(manifest.files) == len(came)
    assert {path.name for path in tmp_path.iterdir()} == {"data", name, "again"}
    machine = Machine(tmp_path / "again")
    assert [one.site_id for one in machine.inventory.sites()] == ["s1"]
    machine.close()


def test_who_was_logged_in_is_not_after_it_was_put_back(data: Path, tmp_path: Path) -> None:
    store = Store(f"sqlite:///{data / 'incidents.db'}")
    row = {column.name: 1 if "ms" in column.name else "x" for column in sessions.columns}
    with store.write() as connection:
        connection.execute(sessions.insert(), row)
    store.close()
    make_backup(settings_of(data), tmp_path / "backup", NOW_MS)
    restore_backup(settings_of(tmp_path / "again"), tmp_path / "backup")
    again = Store(f"sqlite:///{tmp_path / 'again' / 'incidents.db'}")
    with again.read() as connection:
        assert connection.execute(select(sessions)).all() == []
    again.close()


@pytest.mark.parametrize("packed", [False, True])
def test_a_flipped_or_lost_byte_anywhere_is_refused_or_changes_nothing(
    data: Path, tmp_path: Path, packed: bool
) -> None:
    target = tmp_path / ("backup.tar" if packed else "backup")
    make_backup(settings_of(data), target, NOW_MS)
    restore_backup(settings_of(tmp_path / "right"), target)
    right = _content(tmp_path / "right")
    refused = 0
    for n, (path, spoil) in enumerate(_spoilt(target, tmp_path / "spoilt")):
        spoil()
        again = tmp_path / f"again-{n}"
        if said := _refused(again, path):
            refused += 1
            assert str(path) in said and "take another backup" in said, said
            assert not again.exists()
        else:
            assert packed, path  # between two files of a tar lies padding that says nothing
            assert _content(again) == right
            shutil.rmtree(again)
    assert refused > 20


def _refused(again: Path, source: Path) -> str:
    """Return why the backup is not put back; empty when it is."""
    try:
        restore_backup(settings_of(again), source)
    except Permanent as error:
        return str(error)
    return ""


def _spoilt(target: Path, place: Path) -> Iterator[tuple[Path, Callable[[], None]]]:
    """The backup again and again, each time with a byte flipped or the end of a file lost."""
    files = [target] if target.is_file() else sorted(path for path in target.rglob("*") if path.is_file())
    for file in files:
        size = file.stat().st_size
        steps = 24 if target.is_file() else 4
        for at in [*(size * n // steps for n in range(steps)), size - 1]:
            for cut in (False, True):
                shutil.rmtree(place, ignore_errors=True)
                place.mkdir()
                copied = place / target.name
                (shutil.copyfile if target.is_file() else shutil.copytree)(target, copied)
                path = copied if target.is_file() else copied / file.relative_to(target)
                yield copied, lambda path=path, at=at, cut=cut: _spoil(path, at, cut)  # type: ignore[misc]


def _spoil(path: Path, at: int, cut: bool) -> None:
    content = bytearray(path.read_bytes())
    if cut:
        del content[at:]
    else:
        content[at] ^= 0x41
    path.write_bytes(content)


def test_a_file_more_or_less_and_a_link_are_refused(data: Path, tmp_path: Path) -> None:
    make_backup(settings_of(data), tmp_path / "backup", NOW_MS)
    changes: list[Callable[[Path], object]] = [
        lambda folder: (folder / "boxes.jsonl").unlink(),
        lambda folder: (folder / "log" / "log-20200101.db").write_bytes(b"x"),
        lambda folder: (folder / "extra").symlink_to("/etc/passwd"),
        lambda folder: (folder / MANIFEST).unlink(),
    ]
    for change in changes:
        shutil.rmtree(tmp_path / "spoilt", ignore_errors=True)
        shutil.copytree(tmp_path / "backup", tmp_path / "spoilt")
        change(tmp_path / "spoilt")
        with pytest.raises(Permanent, match=r"no whole backup|no backup"):
            restore_backup(settings_of(tmp_path / "again"), tmp_path / "spoilt")
        assert not (tmp_path / "again").exists()


def test_a_tar_that_leads_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        tar.add(__file__, "../evil")
    with pytest.raises(Permanent, match="no backup"):
        restore_backup(settings_of(tmp_path / "again"), tmp_path / "evil.tar")
    assert {path.name for path in tmp_path.iterdir()} == {"evil.tar"}


def test_nothing_is_put_over_what_is_there(data: Path, tmp_path: Path) -> None:
    make_backup(settings_of(data), tmp_path / "backup", NOW_MS)
    before = _content(data)
    with pytest.raises(ConfigurationError, match="is not empty"):
        restore_backup(settings_of(data), tmp_path / "backup")
    with pytest.raises(ConfigurationError, match="never written over"):
        make_backup(settings_of(data), tmp_path / "backup", NOW_MS)
    assert _content(data) == before


def test_stores_in_other_places_come_back_to_theirs_and_must_not_be_there(data: Path, tmp_path: Path) -> None:
    elsewhere = {
        "LINLI_LOG_URL": f"sqlite:///{tmp_path / 'log'}",
        "LINLI_INCIDENTS_URL": f"sqlite:///{tmp_path / 'db' / 'cases.db'}",
        "LINLI_EVIDENCE_FOLDER": str(tmp_path / "pictures"),
    }
    make_backup(settings_of(data), tmp_path / "backup", NOW_MS)
    settings = load_settings(None, elsewhere)
    restore_backup(settings, tmp_path / "backup")
    assert (tmp_path / "pictures" / "present" / "a.bin").read_bytes() == b"x" * 5_000
    Store(settings.incidents.url).close()
    shutil.rmtree(tmp_path / "log")
    with pytest.raises(ConfigurationError, match="is there already"):
        restore_backup(settings, tmp_path / "backup")
    assert not (tmp_path / "log").exists()


def test_a_damaged_store_is_no_backup(data: Path, tmp_path: Path) -> None:
    path = data / "incidents.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 3 + 64] = b"\xff" * 64
    path.write_bytes(content)
    with pytest.raises(Permanent, match=r"incidents\.db is damaged"):
        make_backup(settings_of(data), tmp_path / "backup", NOW_MS)
    assert {one.name for one in tmp_path.iterdir()} == {"data"}


def test_a_store_with_a_row_that_a_disk_changed_is_no_backup(data: Path, tmp_path: Path) -> None:
    path = data / "incidents.db"
    with closing(Store(f"sqlite:///{path}")) as store, store.write() as connection:
        raise_alarm(connection, AlarmCode.LOG_GAP, "log", "positions 3 to 9", 1)
    path.write_bytes(path.read_bytes().replace(b"positions 3 to 9", b"positions 3 to 7"))
    with pytest.raises(Permanent, match=r"incidents\.db is damaged: the rows of its table alarms"):
        make_backup(settings_of(data), tmp_path / "backup", NOW_MS)
    assert {one.name for one in tmp_path.iterdir()} == {"data"}


def test_a_full_disk_leaves_nothing_behind(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(making, "replace_durably", full)
    with pytest.raises(Permanent, match="No space left on device"):
        make_backup(settings_of(data), tmp_path / "backup", NOW_MS)
    assert {one.name for one in tmp_path.iterdir()} == {"data"}


def test_an_inventory_that_is_written_in_between_is_held_anew(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes = iter(range(3))

    def listed(settings: Settings) -> list[Stored]:
        if next(writes, None) is not None:
            inventory = Inventory(data / "config.db")
            inventory.put([named(f"Court {len(inventory.changes_after(0, 100))}")])
            inventory.close()
        return days(settings)

    monkeypatch.setattr(snapshots, "days", listed)
    with snapshots.held(settings_of(data)) as stores:
        (held,) = [one for one in stores if one.name == "config.db"]
        assert held.connection.execute("SELECT count(*) FROM changes").fetchone() == (4,)


def test_who_reads_is_held_before_what_it_reads_and_the_inventory_before_the_log(data: Path) -> None:
    order = [one.name for one in databases(settings_of(data))]
    places = [order.index(name) for name in ("results.db", "incidents.db", "log/engine.db", "config.db")]
    assert places == sorted(places)
    assert not [name for name in order if name.startswith("log/log-")]  # the days come after all of them


def test_a_district_and_a_machine_that_never_ran_are_refused(tmp_path: Path) -> None:
    for environ in (
        {"LINLI_LOG_URL": "kafka://k:1"},
        {"LINLI_LOG_URL": f"sqlite:///{tmp_path}", "LINLI_INCIDENTS_URL": "postgresql://u@h/d"},
    ):
        with pytest.raises(ConfigurationError, match="pg_dump"):
            make_backup(load_settings(None, environ), tmp_path / "backup", NOW_MS)
    with pytest.raises(ConfigurationError, match="is not there"):
        make_backup(settings_of(tmp_path / "nowhere"), tmp_path / "backup", NOW_MS)


def test_a_backup_of_a_newer_program_says_so() -> None:
    newer = encode_manifest(BackupManifest(format=FORMAT + 1, made_ms=1, program="9", files=()))
    with pytest.raises(LinliError, match="use the newer program"):
        decode_manifest(newer, "b")
