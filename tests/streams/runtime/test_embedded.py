"""The embedded driver: what it keeps when, what it is loud about, and that a store in trouble loses nothing."""

from __future__ import annotations

import doctest
import itertools
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from contracts.batch import Batch
from contracts.errors import LogBroken, Permanent, Transient
from contracts.findings import Finding, Output
from streams.checkpoints.driver_alarms import DriverAlarm
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.engine.engine import Engine
from streams.engine.manifest import decode_manifest
from streams.log.sqlite.day_log import DayLog
from streams.runtime import snapshot_schedule
from streams.runtime.embedded import EmbeddedDriver
from streams.runtime.partition_driver import PartitionDriver
from streams.runtime.snapshot_schedule import old_rows
from tests.streams.rules import RULES, small_rules
from tests.streams.support import access, batch, by_site, judge

DAY_MS = 86_400_000


def denials(numbers: Sequence[int], site_id: str = "s1", day: int = 0) -> Batch:
    """A record in which card ``n`` is refused, for every n; each is one finding at once."""
    at_ms = day * DAY_MS + max(numbers) * 1_000
    return batch(at_ms + 500, *(access(f"{site_id}-{n}", at_ms, granted=False, site_id=site_id) for n in numbers))


class Bench:
    """A log and a store in one folder, drivers over them, and a clock that moves when told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = DayLog(folder)
        self.store = SqliteCheckpointStore(folder / "engine.db")
        self.alarms: list[tuple[DriverAlarm, str]] = []
        self.alarmed = threading.Event()
        self.told = 0
        self.kept = threading.Event()
        self.now_s = 0.0

    def driver(self, engine: Engine | None = None) -> PartitionDriver:
        """A new one, as after a start; not opened."""
        return PartitionDriver(
            self.log,
            self.store,
            engine or Engine(RULES, partition=0, partitions=1, log_id=self.log.identity()),
            on_findings=self._on_findings,
            on_alarm=self._on_alarm,
            monotonic_s=lambda: self.now_s,
        )

    def reopen(self) -> None:
        """Close and open the files, as a restart does."""
        self.close()
        self.log = DayLog(self.folder)
        self.store = SqliteCheckpointStore(self.folder / "engine.db")

    def close(self) -> None:
        """Close the files."""
        self.log.close()
        self.store.close()

    def findings(self) -> list[Finding]:
        """Everything kept."""
        return [finding for _, finding in self.store.findings_after(0, 1_000)]

    def rows(self, digest: str) -> dict[str, int]:
        """Which row of each site is kept."""
        return {row.site_id: row.position for row in self.store.load(digest)[0]}

    def _on_alarm(self, alarm: DriverAlarm, detail: str) -> None:
        self.alarms.append((alarm, detail))
        self.alarmed.set()

    def _on_findings(self) -> None:
        self.told += 1
        self.kept.set()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


class FailsAt(Engine):
    """An engine with a defect at one position."""

    def __init__(self, log_id: str, position: int) -> None:
        super().__init__(RULES, partition=0, partitions=1, log_id=log_id)
        self._fails_at = position

    def feed(self, batch: Batch, position: int) -> list[Output]:
        if position == self._fails_at:
            raise ZeroDivisionError(f"position {position}")
        return super().feed(batch, position)


def test_what_the_log_holds_is_judged_on_opening_and_told_once_it_is_kept(bench: Bench) -> None:
    records = [denials([1]), denials([2, 3])]
    bench.log.append(records)
    driver = bench.driver()
    driver.open()
    assert by_site(bench.findings()) == by_site(judge(RULES, *records))
    assert (driver.position, bench.told, driver.step(), bench.alarms) == (2, 1, 0, [])


def test_a_restart_goes_on_behind_its_snapshots_and_decides_nothing_again(bench: Bench) -> None:
    bench.log.append([denials([1]), denials([2])])
    first = bench.driver()
    first.open()
    first.save()
    bench.reopen()
    bench.log.append([denials([3])])
    second = bench.driver()
    second.open()
    assert (len(bench.findings()), second.position, bench.alarms) == (3, 3, [])
    assert bench.told == 2


def test_a_start_without_records_keeps_nothing_and_the_next_can_read_the_log(bench: Bench) -> None:
    driver = bench.driver()
    driver.open()
    driver.save()
    assert bench.store.load(_digest()) == ([], None)
    bench.reopen()
    bench.driver().open()
    bench.log.append([denials([1])])
    bench.driver().open()
    assert (len(bench.findings()), bench.alarms) == (1, [])


def test_another_log_in_the_same_folder_is_loud(bench: Bench) -> None:
    bench.log.append([denials([1])])
    first = bench.driver()
    first.open()
    first.save()
    for file in bench.folder.glob("log-*"):
        file.unlink()
    bench.reopen()
    bench.log.append([denials([1]), denials([2])])
    with pytest.raises(LogBroken, match="log_replaced: snapshots are of log"):
        bench.driver().open()
    assert len(bench.findings()) == 1


@pytest.mark.parametrize("position", [0, 1])
def test_another_record_where_a_snapshot_rests_is_loud(bench: Bench, position: int) -> None:
    bench.log.append([denials([1]), denials([2])])
    first = bench.driver()
    first.step(position + 1)
    first.save()
    bench.close()
    _replace_record(bench.folder, position, with_that_of=1 - position)
    bench.reopen()
    with pytest.raises(LogBroken, match=f"log_replaced: position {position} is not the record that snapshots rest on"):
        bench.driver().open()


def test_a_restart_that_reads_nothing_new_still_knows_the_record_it_rests_on(bench: Bench) -> None:
    bench.log.append([denials([1])])
    for _ in range(2):
        driver = bench.driver()
        driver.open()
        driver.save()
    manifest = bench.store.load(_digest())[1]
    assert manifest is not None and decode_manifest(manifest).record_hash != b""


def test_records_that_retention_took_before_they_were_judged_are_a_loud_gap(bench: Bench) -> None:
    bench.log.append([denials([1])])
    first = bench.driver()
    first.open()
    first.save()
    for day in range(1, 4):
        bench.log.append([denials([1 + day], day=day)])
    bench.log.drop_before(3)
    assert bench.log.begin() == 3
    second = bench.driver()
    second.open()
    assert bench.alarms == [(DriverAlarm.LOG_GAP, "positions 1 to 2 are no longer in the log")]
    assert [finding.onset_event_id for finding in bench.findings()] == ["s1-1", "s1-4"]


def test_three_uncaught_errors_at_one_position_stop_loudly_until_it_is_skipped(bench: Bench) -> None:
    bench.log.append([denials([1]), denials([2]), denials([3])])
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            bench.driver(FailsAt(bench.log.identity(), 1)).open()
    for _ in range(2):
        with pytest.raises(LogBroken, match=r"feeding position 1 failed 3 times.*linli streams skip 1"):
            bench.driver().open()
    assert bench.store.failures() == {1: 3}
    bench.store.skip(1)
    driver = bench.driver(FailsAt(bench.log.identity(), 1))
    driver.open()
    assert driver.position == 3
    assert [f.onset_event_id for f in bench.findings() if f.rule == "denial"] == ["s1-1", "s1-3"]
    assert [(f.rule, f.key) for f in bench.findings() if f.rule != "denial"] == [("batch_unreadable", "1")]


def test_a_process_killed_from_outside_counts_as_no_failure(bench: Bench) -> None:
    bench.log.append([denials([1])])
    for _ in range(5):
        bench.driver().open()
    assert bench.store.failures() == {}


def test_a_record_that_is_no_batch_is_a_finding_and_the_rest_goes_on(bench: Bench) -> None:
    bench.log.append([denials([1]), denials([2]), denials([3])])
    bench.close()
    _write_body(bench.folder, 1, b"\xff\x00 rubbish")
    bench.reopen()
    driver = bench.driver()
    driver.open()
    kept = bench.findings()
    assert [(f.rule, f.onset_event_id) for f in kept] == [
        ("denial", "s1-1"),
        ("batch_unreadable", None),
        ("denial", "s1-3"),
    ]
    assert (kept[1].key, driver.position, bench.alarms) == ("1", 3, [])


def test_a_store_that_cannot_be_written_now_loses_nothing(bench: Bench) -> None:
    records = [denials([1]), denials([2])]
    driver = bench.driver()
    driver.open()
    bench.log.append(records)
    with _locked(bench):
        with pytest.raises(Transient):
            driver.step()
        with pytest.raises(Transient):
            driver.save()
        assert (bench.findings(), bench.told) == ([], 0)
    driver.step()
    assert by_site(bench.findings()) == by_site(judge(RULES, *records))
    assert bench.told == 1


def test_while_the_store_cannot_be_written_it_says_so_and_goes_on_trying(bench: Bench) -> None:
    stop = threading.Event()
    driver = bench.driver()
    driver.open()
    embedded = EmbeddedDriver(driver)
    bench.log.append([denials([1])])
    thread = threading.Thread(target=embedded.run, args=(stop,))
    try:
        with _locked(bench):
            thread.start()
            assert bench.alarmed.wait(60)
            assert not bench.kept.is_set()
        assert bench.kept.wait(60)
    finally:
        stop.set()
        thread.join(60)
    assert (len(bench.findings()), bench.told, bench.rows(_digest())) == (1, 1, {"s1": 0})
    assert {alarm for alarm, _ in bench.alarms} == {DriverAlarm.STORE_BLOCKED}


def test_changed_sites_are_saved_oldest_change_first_and_the_bound_holds(bench: Bench) -> None:
    bench.log.append([denials([1], "s3"), denials([1], "s1"), denials([1], "s2"), denials([2], "s3")])
    driver = bench.driver()
    driver.open()
    driver.save(most_sites=2)
    assert bench.rows(_digest()) == {"s3": 3, "s1": 3}
    driver.save(most_sites=2)
    assert bench.rows(_digest()) == {"s3": 3, "s1": 3, "s2": 3}


def test_a_quiet_sites_row_is_renewed_hourly_so_retention_never_overtakes_it(bench: Bench) -> None:
    bench.log.append([denials([1], "quiet")])
    driver = bench.driver()
    driver.open()
    driver.save()
    quiet: list[tuple[float, int]] = [(0.0, 0)]
    for n in range(1, 145):  # two hours of snapshot_schedule, in which only another site says anything
        bench.now_s = n * 50.0
        bench.log.append([denials([n], "busy")])
        driver.step()
        driver.save()
        at = bench.rows(_digest())["quiet"]
        if at != quiet[-1][1]:
            quiet.append((bench.now_s, at))
    gaps_s = [later[0] - earlier[0] for earlier, later in itertools.pairwise(quiet)]
    assert 2 <= len(gaps_s) <= 6  # and no more often than that: it costs writing
    assert max(gaps_s) <= 3_600.0


def test_the_driver_judges_what_comes_and_saves_every_site_when_it_is_stopped(bench: Bench) -> None:
    stop = threading.Event()
    driver = bench.driver()
    driver.open()
    embedded = EmbeddedDriver(driver)
    thread = threading.Thread(target=embedded.run, args=(stop,))
    thread.start()
    bench.log.append([denials([1], "s1"), denials([2], "s2")])
    embedded.wake()
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
    assert (len(bench.findings()), bench.rows(_digest())) == (2, {"s1": 1, "s2": 1})
    manifest = bench.store.load(_digest())[1]
    assert manifest is not None and decode_manifest(manifest).drained


def test_a_new_version_goes_on_only_where_the_old_one_ended_in_order(bench: Bench) -> None:
    newer = small_rules()
    bench.log.append([denials([1])])
    old = bench.driver()
    old.open()
    old.save()
    with pytest.raises(Permanent, match="have not drained"):
        bench.driver(Engine(newer, partition=0, partitions=1, log_id=bench.log.identity())).open()
    stop = threading.Event()
    stop.set()
    EmbeddedDriver(old).run(stop)
    bench.log.append([denials([2])])
    bench.driver(Engine(newer, partition=0, partitions=1, log_id=bench.log.identity())).open()
    assert [finding.onset_event_id for finding in bench.findings()] == ["s1-1", "s1-2"]


@pytest.mark.parametrize(
    ("kept_s", "now_s", "turn_s", "expected"),
    [
        ({}, 10.0, 10.0, ["a"]),  # all of unknown age: a few each turn
        ({}, 10.0, 1_000.0, ["a", "b", "c"]),  # a long turn takes more
        ({}, 10.0, 99_999.0, ["a", "b", "c", "d"]),
        ({"a": 0.0, "b": 0.0, "c": 0.0, "d": 0.0}, 1_799.0, 99_999.0, []),
        ({"a": 900.0, "b": 0.0, "c": 0.0, "d": 900.0}, 1_800.0, 450.0, ["b"]),
    ],
)
def test_which_rows_are_old(kept_s: dict[str, float], now_s: float, turn_s: float, expected: list[str]) -> None:
    assert old_rows(["a", "b", "c", "d"], kept_s, now_s=now_s, turn_s=turn_s) == expected


def test_the_examples_in_docstrings_hold() -> None:
    result = doctest.testmod(snapshot_schedule)
    assert result.attempted > 0
    assert result.failed == 0


@contextmanager
def _locked(bench: Bench) -> Iterator[None]:
    """Another program holds the write lock of ``engine.db``; the store waits for nobody meanwhile."""
    bench.store._db.execute("PRAGMA busy_timeout = 1")
    other = sqlite3.connect(bench.folder / "engine.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def _digest() -> str:
    return Engine(RULES, partition=0, partitions=1, log_id="any").digest


def _write_body(folder: Path, position: int, body: bytes) -> None:
    (file,) = folder.glob("log-????????.db")
    db = sqlite3.connect(file)
    db.execute("UPDATE records SET body = ?, checksum = NULL WHERE position = ?", (body, position))  # as it once was
    db.commit()
    db.close()


def _replace_record(folder: Path, position: int, with_that_of: int) -> None:
    (file,) = folder.glob("log-????????.db")
    db = sqlite3.connect(file)
    (body,) = db.execute("SELECT body FROM records WHERE position = ?", (with_that_of,)).fetchone()
    db.close()
    _write_body(folder, position, body)
