"""What an inventory says reaches the engine, whatever happened to the store: rows erased, lost, put back."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from contracts.batch import Batch
from contracts.configuration_rows import row_key
from contracts.durations import DAY_MS
from contracts.erasure import digest_of
from contracts.events import Configuration, ReferenceErased, ReferenceKind, VisitorRegistered
from contracts.names import DeviceClass
from detectors.core.site_view import SiteView
from detectors.registry import all_rules
from ingest.pipeline.pipeline import IngestPipeline
from ingest.settings import ShardSettings
from ingest.shard.dead_letters import DeadLetters
from ingest.shard.housekeeping import Housekeeping
from inventory.inventory import Inventory
from streams.engine.engine import Engine
from streams.engine.snapshot import decode_row
from tests.ingest.builders import NOW_MS, device, site

SETTINGS = ShardSettings(mqtt_url="mqtt://127.0.0.1:1", log_id="log-a", inventory_poll_ms=0)


class _Site:
    """A shard's follower in front of an engine, over the ``config.db`` of a folder; site s1."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.engine = Engine(all_rules(), partition=0, partitions=1, log_id="log-a")
        self.now_ms = NOW_MS
        self.open()

    @property
    def path(self) -> Path:
        return self.folder / "config.db"

    def open(self) -> None:
        """Start ingest anew: everything it knew without its files is gone."""
        self.inventory = Inventory(self.path)
        pipeline = IngestPipeline(SETTINGS, "run")
        self.house = Housekeeping(SETTINGS, self.inventory, DeadLetters(self.folder / "dead"), pipeline)
        self._append(self.house.load())

    def put(self, *records: Configuration) -> list[Configuration]:
        """Write records; what the log was given for it. The clock stands still between two of them."""
        self.inventory.put(records, now_ms=NOW_MS)
        return self.follow()

    def follow(self) -> list[Configuration]:
        self.now_ms += 1_000
        return self._append(self.house.changes(self.now_ms))

    def restart(self) -> None:
        self.inventory.close()
        self.open()

    def view(self) -> SiteView:
        """What rules see, as a snapshot keeps it."""
        row = decode_row(self.engine.snapshot("s1"))
        assert len(row.views) == 1, "every group of rules is at the same configuration"
        return row.views[0]

    def _append(self, records: list[Configuration]) -> list[Configuration]:
        events = tuple(msgspec.structs.replace(r, at_ms=self.now_ms, received_ms=self.now_ms) for r in records)
        batch = Batch(partition=0, watermark_ms=self.now_ms + 10_000, events=events)
        self.engine.feed(batch, self.engine.next_position)
        self.house.durable([batch])
        self.now_ms += 20_000
        return records


@pytest.fixture
def here(tmp_path: Path) -> _Site:
    made = _Site(tmp_path)
    made.put(site(), device("g1", DeviceClass.GATE))
    return made


def _visitor(registration_id: str) -> VisitorRegistered:
    common = msgspec.structs.asdict(site())
    del common["name"], common["time_zone"]
    fields = {"registration_id": registration_id, "host_place_id": "s1", "from_ms": NOW_MS}
    fields["to_ms"] = NOW_MS + 30 * DAY_MS
    return VisitorRegistered(**(common | fields))


def _erased(registration_id: str) -> ReferenceErased:
    common = msgspec.structs.asdict(site())
    del common["name"], common["time_zone"]
    digest = digest_of("s1", ReferenceKind.VISITOR, registration_id)
    return ReferenceErased(**common, reference=ReferenceKind.VISITOR, digest=digest, before_ms=NOW_MS + 30 * DAY_MS)


def _without(inventory: Inventory, registration_id: str) -> int:
    return inventory.rewrite("s1", lambda record: None if row_key(record) == registration_id else record)


def test_an_erasure_of_what_was_registered_last_reaches_the_engine(here: _Site) -> None:
    here.put(_visitor("v1"))
    assert list(here.view().visitors) == ["v1"]
    assert _without(here.inventory, "v1") == 1
    assert here.put(_erased("v1"))
    assert here.view().visitors == {}


def test_numbers_of_erased_rows_are_not_given_again_after_a_restart(here: _Site) -> None:
    here.put(_visitor("v1"))
    before = here.inventory.state()
    _without(here.inventory, "v1")
    here.restart()
    after = here.inventory.state()
    assert (after.identity, after.change) == (before.identity, before.change)
    (erasure,) = here.put(_erased("v1"))
    assert (here.inventory.state().change, erasure.version) == (before.change + 1, 4)


@pytest.mark.parametrize("known", [1, 300])
def test_a_store_that_was_lost_and_entered_again_is_followed(here: _Site, known: int) -> None:
    for n in range(known):
        here.put(device(f"old-{n}", DeviceClass.SENSOR))
    here.inventory.close()
    here.path.unlink()
    here.open()
    here.put(site(), device("smoke9", DeviceClass.SENSOR))
    assert "smoke9" in here.view().devices
    here.put(device("smoke9", DeviceClass.SENSOR, removed=True))
    here.put(device("smoke9", DeviceClass.SENSOR))
    assert "smoke9" in here.view().devices


def _copy(here: _Site) -> Path:
    """A backup, made while nobody writes."""
    here.inventory.close()
    kept = here.folder / "backup.db"
    shutil.copy(here.path, kept)
    here.open()
    return kept


def _put_back(here: _Site, backup: Path) -> None:
    here.inventory.close()
    for path in here.folder.glob("config.db*"):
        path.unlink()
    shutil.copy(backup, here.path)
    here.open()


@pytest.mark.parametrize("lost", [1, 2, 25])
def test_what_is_entered_after_a_backup_was_put_back_reaches_the_engine(here: _Site, lost: int) -> None:
    backup = _copy(here)
    for n in range(lost):
        here.put(device("smoke9", DeviceClass.SENSOR, silent_after_ms=60_000 + n))
    here.put(device("smoke9", DeviceClass.SENSOR, removed=True))
    _put_back(here, backup)
    here.put(device("smoke9", DeviceClass.SENSOR, silent_after_ms=60_000))
    assert here.view().devices["smoke9"].silent_after_ms == 60_000
    here.put(_visitor("v1"))
    _without(here.inventory, "v1")
    here.put(_erased("v1"))
    assert here.view().visitors == {}


def test_a_backup_of_long_ago_begins_anew_and_reaches_the_engine_whole(here: _Site) -> None:
    backup = _copy(here)
    for n in range(200):
        here.put(device("smoke9", DeviceClass.SENSOR, silent_after_ms=60_000 + n))
    here.put(device("g1", DeviceClass.GATE, removed=True))
    _put_back(here, backup)
    here.put(device("smoke9", DeviceClass.SENSOR, silent_after_ms=90_000))
    assert here.inventory.begin_anew(actor="monitor", now_ms=NOW_MS) == 3
    here.follow()
    assert here.view().devices["smoke9"].silent_after_ms == 90_000
    assert "g1" in here.view().devices


def test_what_is_appended_again_is_taken_once_whatever_the_store_is_called(here: _Site) -> None:
    before, duplicates = here.view(), here.engine.counts.duplicates
    records = [record for _, record in here.inventory.changes_after(0, 100)]
    here._append(records)
    assert here.view() == before
    assert here.engine.counts.duplicates - duplicates == len(records)


def test_a_store_put_back_under_a_running_shard_is_read_again(here: _Site, tmp_path: Path) -> None:
    backup = _copy(here)
    here.put(device("smoke9", DeviceClass.SENSOR))
    shutil.copy(backup, tmp_path / "other.db")
    here.house._inventory = Inventory(tmp_path / "other.db")
    here.house._inventory.put([device("smoke8", DeviceClass.SENSOR)])
    here.follow()
    assert "smoke8" in here.view().devices
