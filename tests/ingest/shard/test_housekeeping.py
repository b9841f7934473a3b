"""What a shard notices of devices stands in the inventory's tables, across its restarts, until it is right again."""

from __future__ import annotations

from pathlib import Path

from contracts.events import EnvironmentSampled
from contracts.names import partition_of
from ingest.pipeline.device_notices import STANDS_MS
from ingest.pipeline.pipeline import Accepted, Arrival, IngestPipeline, Refused
from ingest.settings import ShardSettings
from ingest.shard.dead_letters import DeadLetters
from ingest.shard.housekeeping import PENDING_MS, Housekeeping
from inventory.inventory import Inventory
from tests.ingest.builders import NOW_MS, community, smoke, wire

TOPIC = "linli/v1/s1/sensor/smoke-1/evt"


class _Life:
    """One life of a shard's housekeeping over the same stores."""

    def __init__(self, inventory: Inventory, letters: DeadLetters, index: int = 0, shards: int = 1) -> None:
        settings = ShardSettings(
            mqtt_url="mqtt://x", log_id="log", partitions=2, index=index, shards=shards, listen_all=shards == 1
        )
        self.pipeline = IngestPipeline(settings, "run")
        self.house = Housekeeping(settings, inventory, letters, self.pipeline)
        self.house.load()

    def take(self, payload: bytes, now_ms: int, *, force: bool = True) -> type:
        arrival = Arrival(TOPIC, payload, 1, 7, retain=False, connection=1)
        outcome = self.pipeline.take(arrival, None, now_ms, timely=True)
        self.house.tick(now_ms, force=force)
        return type(outcome)


def test_a_notice_outlives_the_shard_and_ends_with_a_message_that_can_be_read(tmp_path: Path) -> None:
    inventory, letters = Inventory(tmp_path / "config.db"), DeadLetters(tmp_path / "letters")
    inventory.put(community())
    assert _Life(inventory, letters).take(b"rubbish", NOW_MS) is Refused
    (notice,) = inventory.notices.current()
    assert (notice.device_id, notice.code.value, notice.life_safety) == ("smoke-1", "unreadable", True)
    again = _Life(inventory, letters)
    again.house.tick(NOW_MS + 1, force=True)
    assert inventory.notices.current() == [notice]
    assert again.take(wire(smoke()), NOW_MS + 2) is Accepted
    assert inventory.notices.current() == [notice]
    again.house.tick(NOW_MS + STANDS_MS, force=True)
    assert inventory.notices.current() == []


def test_a_wrong_clock_is_told_at_the_next_look_and_a_measured_one_within_a_minute(tmp_path: Path) -> None:
    inventory = Inventory(tmp_path / "config.db")
    inventory.put(community())
    life = _Life(inventory, DeadLetters(tmp_path / "letters"))
    life.house.tick(NOW_MS)
    for second in range(1, 70):
        assert life.take(wire(_smoke_at(second)), NOW_MS + second * 1_000, force=False) is Accepted
    assert inventory.clocks.of_devices() == []
    for second in range(70, 125):
        life.house.tick(NOW_MS + second * 1_000)
    (clock,) = inventory.clocks.of_devices()
    assert (clock.speaker, clock.fault, clock.measured_ms > 0) == ("smoke-1", "", True)
    told = _seconds_until_told(life, inventory, wire(smoke(at_ms=11_000, event_id="boot", alarm=False)), faulty=True)
    assert told <= PENDING_MS // 1_000
    assert _seconds_until_told(life, inventory, wire(_smoke_at(300)), faulty=False) <= PENDING_MS // 1_000


def _smoke_at(second: int) -> EnvironmentSampled:
    return smoke(event_id=f"e{second}", at_ms=NOW_MS + second * 1_000, alarm=False, temperature_c=20.0 + second % 7)


def _seconds_until_told(life: _Life, inventory: Inventory, payload: bytes, *, faulty: bool) -> int:
    """Take a message at the 300th second, and look each second until the clock is told as it is now."""
    life.take(payload, NOW_MS + 300_000, force=False)
    for second in range(1, 100):
        life.house.tick(NOW_MS + (300 + second) * 1_000)
        if bool(inventory.clocks.wrong_ones()) == faulty:
            return second
    raise AssertionError("never told")


def test_an_alarm_that_was_lost_between_two_looks_is_kept_all_the_same(tmp_path: Path) -> None:
    inventory = Inventory(tmp_path / "config.db")
    inventory.put(community())
    life = _Life(inventory, DeadLetters(tmp_path / "letters"))
    life.house.tick(NOW_MS, force=True)
    assert life.take(b"rubbish", NOW_MS + 1_000, force=False) is Refused
    assert life.take(wire(smoke(alarm=False, temperature_c=21.0)), NOW_MS + 2_000, force=False) is Accepted
    told = []
    for second in range(3, 8_000):
        life.house.tick(NOW_MS + second * 1_000)
        told.append(len(inventory.notices.current()))
    assert sum(told) * 1_000 >= STANDS_MS
    assert told[-1] == 0


def test_a_notice_of_another_layout_is_taken_over_by_who_owns_the_site(tmp_path: Path) -> None:
    inventory, letters = Inventory(tmp_path / "config.db"), DeadLetters(tmp_path / "letters")
    inventory.put(community())
    _Life(inventory, letters).take(b"rubbish", NOW_MS)
    (notice,) = inventory.notices.current()
    owner = partition_of("s1", 2)
    stranger = _Life(inventory, letters, 1 - owner, 2)
    stranger.house.tick(NOW_MS + 1, force=True)
    assert inventory.notices.current() == [notice]
    assert _Life(inventory, letters, owner, 2).take(wire(smoke()), NOW_MS + STANDS_MS) is Accepted
    assert inventory.notices.current() == []
