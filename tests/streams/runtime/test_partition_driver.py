"""A partition's driver: whatever is delivered, in whatever order, the findings are the clean run's."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.batch import encode_batch
from contracts.errors import LogBroken, Permanent
from contracts.events import Event
from contracts.names import partition_of
from detectors.core.rule import Outcome, Rule
from detectors.core.site_view import SiteView
from streams.checkpoints.driver_alarms import DriverAlarm
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.engine.engine import Engine
from streams.engine.manifest import decode_manifest
from streams.log.sqlite.day_log import DayLog
from streams.runtime.partition_driver import PartitionDriver, PartitionStopped
from tests.streams.damage import damage_tables
from tests.streams.histories import history
from tests.streams.memory import MemoryCheckpointStore, MemoryLog
from tests.streams.rules import Count, Denial, small_rules
from tests.streams.support import access, batch, by_site, engine_of, feed_all, findings, judge

RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def driver_of(
    log: MemoryLog, keep: MemoryCheckpointStore, alarms: list[tuple[DriverAlarm, str]] | None = None
) -> PartitionDriver:
    """A driver with the small rules, opened; its clock stands still."""
    told = [] if alarms is None else alarms
    driver = PartitionDriver(
        log, keep, engine_of(small_rules()), on_alarm=lambda *alarm: told.append(alarm), monotonic_s=lambda: 0.0
    )
    driver.open()
    return driver


def deliver(driver: PartitionDriver, log: MemoryLog, position: int) -> None:
    """Return what a stream library hands over: the record is in the log by then."""
    log.visible = max(log.visible, position + 1)
    driver.deliver(position, log.records[position])


class Life:
    """A worker's turn at the partition: deliveries as a stream library makes them after rebalances, and saves."""

    def __init__(self, log: MemoryLog, keep: MemoryCheckpointStore, rng: random.Random) -> None:
        self._log, self._rng = log, rng
        self._driver = driver_of(log, keep)

    def live(self, turns: int) -> None:
        """So many deliveries, catch-ups and saves, in any order."""
        acts: list[Callable[[], object]] = [self._next, self._next, self._next, self._repeat, self._jump]
        acts += [self._driver.catch_up, lambda: self._driver.save(self._rng.randrange(1, 4))]
        for _ in range(turns):
            self._rng.choice(acts)()

    def finish(self) -> None:
        """The log has grown to its full length, and nothing was delivered for a while."""
        self._log.visible = len(self._log.records)
        self._driver.catch_up()

    def _next(self) -> None:
        self._at(self._driver.position)

    def _repeat(self) -> None:
        self._at(self._rng.randrange(self._driver.position + 1))

    def _jump(self) -> None:
        self._at(self._driver.position + self._rng.randrange(1, 9))

    def _at(self, position: int) -> None:
        if position < len(self._log.records):
            deliver(self._driver, self._log, position)


@RELAXED
@given(st.integers(0, 2**32))
def test_deliveries_in_any_order_restarts_and_zombies_give_the_clean_runs_findings(seed: int) -> None:
    rng = random.Random(seed)
    batches = history(seed, 90)
    log, keep = MemoryLog(batches), MemoryCheckpointStore()
    lives: list[Life] = []
    for _ in range(rng.randrange(1, 6)):
        lives.append(Life(log, keep, rng))
        lives[-1].live(rng.randrange(20))
        rng.choice(lives).live(rng.randrange(6))  # one that was thought dead goes on for a while
        keep.put_old_things_back(rng)
    Life(log, keep, rng).finish()
    assert by_site(keep.outputs) == by_site(judge(small_rules(), *batches))
    assert keep.contradictions == []


@RELAXED
@given(st.integers(0, 2**32))
def test_a_drain_at_any_moment_leaves_nothing_to_be_decided_again(seed: int) -> None:
    rng = random.Random(seed)
    batches = history(seed, 60)
    log, keep = MemoryLog(batches, rng.randrange(1, len(batches))), MemoryCheckpointStore()
    driver_of(log, keep).drain()
    drained = decode_manifest(keep.kept_manifests[engine_of(small_rules()).digest])
    assert (drained.drained, drained.through, drained.position) == (True, log.visible - 1, log.visible - 1)
    log.reads.clear()
    Life(log, keep, rng).finish()
    assert by_site(keep.outputs) == by_site(judge(small_rules(), *batches))
    assert [n for n in log.reads if n < drained.position] == []


def _log(records: int, visible: int | None = None) -> MemoryLog:
    """One finding a record."""
    batches = [batch(n * 1_000 + 500, access(f"a{n}", n * 1_000, granted=False)) for n in range(records)]
    return MemoryLog(batches, records if visible is None else visible)


def _found(keep: MemoryCheckpointStore) -> list[str | None]:
    return [finding.onset_event_id for finding in findings(keep.outputs)]


def test_a_jump_is_filled_from_the_log_with_exactly_the_missing_positions() -> None:
    log, keep = _log(9, visible=2), MemoryCheckpointStore()
    driver = driver_of(log, keep)
    log.reads.clear()
    deliver(driver, log, 6)
    assert log.reads == [2, 3, 4, 5]
    assert _found(keep) == [f"a{n}" for n in range(7)]
    assert (driver.counts.filled, driver.counts.repeats) == (4, 0)


def test_what_was_fed_is_skipped_however_often_it_is_delivered_again() -> None:
    log, keep = _log(4), MemoryCheckpointStore()
    driver = driver_of(log, keep)
    for position in (3, 0, 0, 2):
        deliver(driver, log, position)
    assert (driver.position, driver.counts.repeats, len(_found(keep))) == (4, 4, 4)


def test_records_that_are_gone_before_a_jump_are_a_loud_gap_and_the_rest_is_judged() -> None:
    alarms: list[tuple[DriverAlarm, str]] = []
    log, keep = _log(9, visible=2), MemoryCheckpointStore()
    driver = driver_of(log, keep, alarms)
    log.gone = 4
    deliver(driver, log, 6)
    assert alarms == [(DriverAlarm.LOG_GAP, "positions 2 to 3 are no longer in the log")]
    assert _found(keep) == ["a0", "a1", "a4", "a5", "a6"]


def test_what_stays_out_is_found_by_looking_at_the_logs_end() -> None:
    log, keep = _log(5, visible=2), MemoryCheckpointStore()
    driver = driver_of(log, keep)
    assert driver.catch_up() == 0
    log.visible = 5
    assert driver.catch_up() == 3
    assert len(_found(keep)) == 5


def test_a_log_cut_below_what_was_fed_is_loud_though_deliveries_look_like_repeats() -> None:
    log, keep = _log(6), MemoryCheckpointStore()
    driver = driver_of(log, keep)
    log.visible = 3
    deliver(driver, log, 2)
    with pytest.raises(LogBroken, match="log_replaced: the log ends at position 3, but 6 was reached before"):
        driver.catch_up()
    with pytest.raises(LogBroken, match="log_replaced: position 5 is not the record"):
        driver.save()


def test_a_log_cut_below_its_snapshots_is_loud_on_opening() -> None:
    log, keep = _log(6), MemoryCheckpointStore()
    driver_of(log, keep).save()
    log.visible = 3
    with pytest.raises(LogBroken, match="log_replaced"):
        driver_of(log, keep)


def test_a_snapshot_waits_for_the_findings_it_covers() -> None:
    log, keep = _log(1), MemoryCheckpointStore()
    driver_of(log, keep).save()
    assert keep.writes == ["finding", "settle", f"save {engine_of(small_rules()).digest}"]


class Greedy(Denial):
    """Needs more memory than there is for one event: the one error of a rule that is no finding."""

    def on_event(self, state: Count, event: Event, site: SiteView) -> Outcome[Count]:
        if event.event_id == "a0":
            raise MemoryError("no room for a0")
        return super().on_event(state, event, site)


class Machine:
    """The real log and store of one machine, opened anew for each life, as a process that ended does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._opened: list[DayLog | SqliteCheckpointStore] = []
        log = self.log()
        log.append([batch(n * 1_000 + 500, access(f"a{n}", n * 1_000, granted=False)) for n in range(3)])

    def log(self) -> DayLog:
        self._opened.append(log := DayLog(self.folder))
        return log

    def store(self) -> SqliteCheckpointStore:
        self._opened.append(store := SqliteCheckpointStore(self.folder / "engine.db"))
        return store

    def driver(self, rule: Rule[Any]) -> PartitionDriver:
        log = self.log()
        return PartitionDriver(log, self.store(), Engine([rule], partition=0, partitions=1, log_id=log.identity()))

    def found(self) -> list[str]:
        return [found.onset_event_id or found.rule for _, found in self.store().findings_after(0, 99)]

    def end(self) -> None:
        """Close everything, as the end of a process does."""
        for opened in self._opened:
            opened.close()
        self._opened.clear()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    made.end()


def test_three_uncaught_errors_stop_the_partition_until_it_is_skipped(machine: Machine) -> None:
    for times in range(3):
        with pytest.raises(MemoryError):
            machine.driver(Greedy()).open()
        machine.end()
        ((position, (failed, detail)),) = machine.store().failure_details().items()
        assert (position, failed, detail.startswith("MemoryError at ")) == (0, times + 1, True)
        assert "a0" not in detail  # the event may name a person
        assert machine.found() == []
    with pytest.raises(PartitionStopped, match=r"feeding position 0 failed 3 times.*linli streams retry 0"):
        machine.driver(Greedy()).open()
    machine.store().skip(0)
    machine.driver(Greedy()).open()
    assert machine.found() == ["batch_unreadable", "a1", "a2"]


def test_a_newer_version_that_digests_the_record_loses_nothing_of_it(machine: Machine) -> None:
    for _ in range(3):
        with pytest.raises(MemoryError):
            machine.driver(Greedy()).open()
    assert machine.store().forget_failure(0)
    machine.driver(Denial()).open()
    assert machine.found() == ["a0", "a1", "a2"]


def test_a_damaged_store_blames_no_record_and_nothing_is_lost_once_it_is_back(machine: Machine) -> None:
    machine.store()
    machine.end()
    file, intact = machine.folder / "engine.db", (machine.folder / "engine.db").read_bytes()
    damage_tables(file, "findings")
    for _ in range(3):
        with pytest.raises(Permanent, match=r"engine\.db is damaged.*restore it or move it away"):
            machine.driver(Denial()).open()
        assert machine.store().failures() == {}
        machine.end()
    file.write_bytes(intact)
    machine.driver(Denial()).open()
    assert machine.found() == ["a0", "a1", "a2"]


@pytest.mark.parametrize("poison", ["another partition's batch", "another partition's site", "no batch"])
def test_a_record_that_does_not_belong_here_is_a_finding_and_all_others_are_judged(poison: str) -> None:
    home = partition_of("s1", 2)
    away = next(site_id for site_id in ("s2", "s3", "s4") if partition_of(site_id, 2) != home)
    batches = [batch(n * 10_000, access(f"a{n}", n * 10_000, granted=False), partition=home) for n in range(6)]
    bad = {
        "another partition's batch": encode_batch(msgspec.structs.replace(batches[3], partition=1 - home)),
        "another partition's site": encode_batch(
            batch(1, access("x", 1), access("y", 1, site_id=away), partition=home)
        ),
        "no batch": b"nothing of ours",
    }
    log, keep = MemoryLog(batches, visible=7), MemoryCheckpointStore()
    log.records.insert(3, bad[poison])
    engine = engine_of(small_rules(), partition=home, partitions=2)
    PartitionDriver(log, keep, engine, monotonic_s=lambda: 0.0).open()
    found = findings(keep.outputs)
    assert [(finding.rule, finding.key) for finding in found if finding.site_id != "s1"] == [("batch_unreadable", "3")]
    clean = engine_of(small_rules(), partition=home, partitions=2)
    expected = findings(feed_all(clean, batches))
    assert by_site(finding for finding in found if finding.site_id == "s1") == by_site(expected)
    assert len(expected) > 3
    assert engine.next_position == 7
