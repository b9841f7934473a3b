"""A shard begins to follow the inventory where writers of its partitions came to, in whatever layout they were."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from contracts.batch import Batch
from contracts.events import Configuration
from ingest.pipeline.pipeline import IngestPipeline
from ingest.pipeline.shard_assignment import ShardAssignment
from ingest.settings import ShardSettings
from ingest.shard.dead_letters import DeadLetters
from ingest.shard.followed import followed_before, follower_name
from ingest.shard.housekeeping import Housekeeping
from inventory.inventory import Inventory
from tests.ingest.builders import NOW_MS, site

ALONE = ShardSettings(mqtt_url="mqtt://127.0.0.1:1", log_id="log/a", partitions=24, listen_all=False)


def _shard(index: int, shards: int, **more: object) -> ShardSettings:
    return msgspec.structs.replace(ALONE, index=index, shards=shards, **more)


LAYOUTS: list[tuple[str, dict[str, int], ShardSettings, int]] = [
    ("nobody before", {}, _shard(0, 2), 0),
    ("itself", {"log/a/0-2-24": 7}, _shard(0, 2), 7),
    ("one for all before", {"log/a/0-1-24": 9}, _shard(1, 3), 9),
    ("the slower of two", {"log/a/0-2-24": 9, "log/a/1-2-24": 4}, _shard(0, 1), 4),
    ("only the one that wrote it", {"log/a/0-2-24": 9, "log/a/1-2-24": 4}, _shard(0, 4), 9),
    ("one of two never came", {"log/a/0-2-24": 9}, _shard(0, 1), 0),
    ("one that came later than itself", {"log/a/0-2-24": 5, "log/a/0-1-24": 30}, _shard(0, 2), 30),
    ("one that stopped long ago", {"log/a/0-3-24": 2, "log/a/0-1-24": 30}, _shard(0, 3), 30),
    ("another log", {"log/b/0-1-24": 9, "0-1-24": 9}, _shard(0, 1), 0),
    ("other partitions", {"log/a/0-1-8": 9}, _shard(0, 1), 0),
    ("no layout", {"log/a/x-1-24": 9, "log/a/0-0-24": 9, "log/a/1-24": 9}, _shard(0, 1), 0),
]


@pytest.mark.parametrize(("followers", "settings", "begins"), [x[1:] for x in LAYOUTS], ids=[x[0] for x in LAYOUTS])
def test_a_layout_begins_where_the_others_came_to(
    followers: dict[str, int], settings: ShardSettings, begins: int
) -> None:
    assert followed_before(followers, settings) == begins


SITES = [f"site-{n:02d}" for n in range(16)]


def _started(folder: Path, inventory: Inventory, settings: ShardSettings) -> tuple[Housekeeping, list[Configuration]]:
    house = Housekeeping(settings, inventory, DeadLetters(folder / "dead"), IngestPipeline(settings, "run"))
    return house, house.load()


def _durable(house: Housekeeping, records: list[Configuration]) -> None:
    house.durable([Batch(partition=0, watermark_ms=0, events=tuple(records))])


@pytest.fixture
def inventory(tmp_path: Path) -> Inventory:
    made = Inventory(tmp_path / "config.db")
    made.put([site(site_id) for site_id in SITES])
    return made


@pytest.mark.parametrize("index", [0, 1])
def test_a_shard_appends_its_own_sites_once_and_passes_over_the_others(
    tmp_path: Path, inventory: Inventory, index: int
) -> None:
    settings = _shard(index, 2)
    house, records = _started(tmp_path, inventory, settings)
    owns = ShardAssignment(settings).owns
    assert [record.site_id for record in records] == [site_id for site_id in SITES if owns(site_id)]
    assert 0 < len(records) < len(SITES)
    _durable(house, records[:1])
    assert inventory.followed(follower_name(settings)) < len(SITES)
    _durable(house, records[1:])
    assert inventory.followed(follower_name(settings)) == len(SITES)
    assert _started(tmp_path, inventory, settings)[1] == []


def test_a_shard_keeps_its_place_while_only_others_sites_change(tmp_path: Path, inventory: Inventory) -> None:
    settings = _shard(0, 2, inventory_poll_ms=0)
    house, records = _started(tmp_path, inventory, settings)
    _durable(house, records)
    foreign = next(site_id for site_id in SITES if not ShardAssignment(settings).owns(site_id))
    inventory.put([msgspec.structs.replace(site(foreign), name="other")])
    assert house.changes(NOW_MS) == []
    assert inventory.followed(follower_name(settings)) == len(SITES) + 1


def test_no_layout_skips_what_nobody_has_appended(tmp_path: Path, inventory: Inventory) -> None:
    first, records = _started(tmp_path, inventory, _shard(0, 2))
    _durable(first, records)
    second, others = _started(tmp_path, inventory, _shard(1, 2))
    _durable(second, others[:2])
    appended = {record.site_id for record in [*records, *others[:2]]}
    for index in range(3):
        settings = _shard(index, 3)
        again = {record.site_id for record in _started(tmp_path, inventory, settings)[1]}
        mine = {site_id for site_id in SITES if ShardAssignment(settings).owns(site_id)}
        assert mine - appended <= again <= mine
