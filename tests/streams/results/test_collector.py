"""Sources into the spool: whatever dies between reading and keeping, every point is there, and once."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.batch import Batch
from contracts.errors import LogBroken, Transient
from contracts.findings import Finding
from streams.log.port import LogReader, LogRecord
from streams.log.sqlite.day_log import DayLog
from streams.results.collector import (
    READ_RECORDS,
    FindingsSource,
    LogSource,
    PointCollector,
    PointSource,
    first_position,
)
from streams.results.points import Point
from streams.results.sender import ResultsAlarm, ResultsSender
from streams.results.spool import PointSpool, SourceBatch
from tests.incidents.builders import make_finding
from tests.streams.results.factories import FindingsList, Keeping, Kept, T, batch, meter_book, sample
from tests.support.folders import fast_folder

DAY_S = 86_400.0


@pytest.fixture
def folder() -> Iterator[Path]:
    with fast_folder() as path:
        yield path


class Died(BaseException):
    """The process dies here."""


class Dying(PointSpool):
    """A spool whose next steps die as planned: before they are kept, or right after."""

    def __init__(self, path: Path, plan: list[str]) -> None:
        super().__init__(path)
        self._plan = plan

    def append(self, steps: Sequence[SourceBatch], now_ms: int) -> int:
        fate = self._plan.pop(0) if self._plan else "ok"
        if fate == "before":
            raise Died
        dropped = super().append(steps, now_ms)
        if fate == "after":
            raise Died
        return dropped


class Told:
    """What the operators were told."""

    def __init__(self) -> None:
        self.alarms: list[tuple[ResultsAlarm, str]] = []

    def __call__(self, alarm: ResultsAlarm, detail: str) -> None:
        self.alarms.append((alarm, detail))


def _log(folder: Path, batches: Sequence[Batch]) -> DayLog:
    log = DayLog(folder)
    if log.end() == 0:
        for one in batches:
            log.append([one])
    return log


def _sources(log: LogReader, findings: Sequence[Finding], told: Told) -> list[PointSource]:
    return [LogSource(log, meter_book(), lambda: T, told), FindingsSource(FindingsList(findings), lambda: T, told)]


def _findings(count: int) -> list[Finding]:
    return [make_finding(key=f"door-{n}", onset_ms=T + n // 3) for n in range(count)]


def _batches(count: int) -> list[Batch]:
    return [batch(n * 7.0, sample(n * 7.0, float(n))) for n in range(count)]


def _drained(spool: PointSpool) -> Kept:
    target = Keeping()
    sender = ResultsSender(spool, target, lambda: T, Told())
    while sender.step():
        pass
    return target.points


@settings(max_examples=8, deadline=None)
@given(st.lists(st.sampled_from(["ok", "before", "after"]), max_size=8))
def test_killed_at_any_step_everything_is_there_once(plan: list[str]) -> None:
    with fast_folder() as folder:
        log = _log(folder / "log", _batches(200))
        clean = PointSpool(folder / "clean.db")
        _run(PointCollector(clean, _sources(log, _findings(520), Told()), lambda: T, Told()))
        target = Keeping()
        while True:
            spool = Dying(folder / "spool.db", plan)
            collector = PointCollector(spool, _sources(log, _findings(520), Told()), lambda: T, Told())
            sender = ResultsSender(spool, target, lambda: T, Told())
            try:
                while collector.step():
                    sender.step()
                while sender.step():
                    pass
                break
            except Died:
                pass
            finally:
                spool.close()
        assert target.points == _drained(clean)
        clean.close()
        log.close()


def _run(collector: PointCollector) -> None:
    while collector.step():
        pass


def test_a_source_that_is_away_holds_up_no_other(folder: Path) -> None:
    class Away:
        name = "away"

        def step(self, spool: PointSpool) -> SourceBatch | None:
            raise Transient("no answer")

    spool = PointSpool(folder / "spool.db")
    collector = PointCollector(
        spool, [Away(), FindingsSource(FindingsList(_findings(3)), lambda: T, Told())], lambda: T, Told()
    )
    assert not collector.step()  # nobody has more
    assert spool.depth().points == 3
    spool.close()


def test_a_round_of_all_sources_is_one_transaction(folder: Path) -> None:
    log = _log(folder / "log", _batches(20))
    spool = PointSpool(folder / "spool.db")
    statements: list[str] = []
    spool._db.set_trace_callback(statements.append)
    _run(PointCollector(spool, _sources(log, _findings(3), Told()), lambda: T, Told()))
    spool._db.set_trace_callback(None)
    assert [s for s in statements if s in {"COMMIT", "ROLLBACK"}] == ["COMMIT"]
    assert (spool.cursor("log/0", log.identity()), spool.cursor("findings/0", "list")) == (20, 3)
    spool.close()
    log.close()


def test_a_source_is_asked_again_at_once_only_while_one_has_more_than_a_page(folder: Path) -> None:
    spool, log = PointSpool(folder / "spool.db"), _log(folder / "log", _batches(READ_RECORDS + 5))
    collector = PointCollector(spool, _sources(log, _findings(3), Told()), lambda: T, Told())
    assert [collector.step() for _ in range(3)] == [True, False, False]
    assert spool.cursor("log/0", log.identity()) == READ_RECORDS + 5
    spool.close()
    log.close()


def test_a_round_that_was_not_kept_is_read_again_and_nothing_is_counted_twice(folder: Path) -> None:
    class Full(PointSpool):
        """Has no room at first for every other round."""

        rounds = 0

        def append(self, steps: Sequence[SourceBatch], now_ms: int) -> int:
            self.rounds += 1
            if self.rounds % 2:
                raise Transient("the disk is full")
            return super().append(steps, now_ms)

    log = _log(folder / "log", _batches(300))
    clean, full = PointSpool(folder / "clean.db"), Full(folder / "full.db")
    _run(PointCollector(clean, _sources(log, _findings(520), Told()), lambda: T, Told()))
    collector = PointCollector(full, _sources(log, _findings(520), Told()), lambda: T, Told())
    while full.cursor("log/0", log.identity()) != 300 or full.cursor("findings/0", "list") != 520:
        collector.step()
    assert full.rounds > 2
    assert _drained(full) == _drained(clean)
    for spool in (clean, full):
        spool.close()
    log.close()


def test_what_the_log_no_longer_holds_is_declared(folder: Path) -> None:
    log = _log(folder / "log", [batch(0.0, sample(0, 1)), batch(DAY_S), batch(2 * DAY_S)])
    told, spool = Told(), PointSpool(folder / "spool.db")
    spool.append([SourceBatch("log/0", log.identity(), 0)], T)
    log.drop_before(2)
    _run(PointCollector(spool, [LogSource(log, meter_book(), lambda: T, told)], lambda: T, told))
    losses = [p for p in _points(spool) if p.measurement == "losses"]
    assert [(dict(p.tags)["cause"], p.fields["n"]) for p in losses] == [("log", 2)]
    assert [alarm for alarm, _ in told.alarms] == [ResultsAlarm.DROPPED]
    assert spool.cursor("log/0", log.identity()) == 3
    spool.close()
    log.close()


def test_findings_that_were_gone_before_they_were_read_are_declared(folder: Path) -> None:
    class Retained(FindingsList):
        """Holds only those above 4."""

        def findings_after(self, n: int, limit: int) -> list[tuple[int, Finding]]:
            if n < 4:
                raise LogBroken("offset is gone")
            return super().findings_after(n, limit)

    told, spool = Told(), PointSpool(folder / "spool.db")
    spool.append([SourceBatch("findings/0", "list", 1)], T)
    source = FindingsSource(Retained(_findings(6)), lambda: T, told, begin=lambda: 4)
    _run(PointCollector(spool, [source], lambda: T, told))
    assert [p.fields["n"] for p in _points(spool) if p.measurement == "losses"] == [3]
    assert len([p for p in _points(spool) if p.measurement == "findings"]) == 2
    assert [alarm for alarm, _ in told.alarms] == [ResultsAlarm.DROPPED]
    spool.close()


def test_a_source_that_contradicts_itself_is_said_and_keeps_its_place(folder: Path) -> None:
    class Truncated(FindingsList):
        def findings_after(self, n: int, limit: int) -> list[tuple[int, Finding]]:
            raise LogBroken("offset 9 lies beyond the end")

    told, spool = Told(), PointSpool(folder / "spool.db")
    spool.append([SourceBatch("findings/0", "list", 9)], T)
    _run(PointCollector(spool, [FindingsSource(Truncated([]), lambda: T, told)], lambda: T, told))
    assert told.alarms == [(ResultsAlarm.DROPPED, "findings/0: offset 9 lies beyond the end")]
    assert spool.cursor("findings/0", "list") == 9
    spool.close()


def test_a_log_read_for_the_first_time_begins_where_it_is_told_and_nothing_is_missed(folder: Path) -> None:
    log = _log(folder / "log", [batch(n * 100.0, sample(n * 100.0, 1)) for n in range(40)])
    assert [first_position(log, T + ms) for ms in (0, 41, 100_000, 250_000, 10**9)] == [0, 1, 1, 3, 40]
    assert first_position(log, 0) == 0
    told, spool = Told(), PointSpool(folder / "spool.db")
    source = LogSource(log, meter_book(), lambda: T, told, since_ms=T + 10**9)
    _run(PointCollector(spool, [source], lambda: T, told))
    log.append([batch(4_000.0, sample(4_000.0, 1)), batch(4_100.0)])
    _run(PointCollector(spool, [source], lambda: T, told))
    assert {p.fields["n"] for p in _points(spool) if p.measurement == "hops"} == {1}
    assert told.alarms == []
    spool.close()
    log.close()


def test_a_record_that_cannot_be_read_is_passed_over(folder: Path) -> None:
    class Broken:
        def identity(self) -> str:
            return "broken"

        def begin(self) -> int:
            return 0

        def end(self) -> int:
            return 2

        def read(self, position: int, limit: int) -> list[LogRecord]:
            return [LogRecord(n, b"rubbish") for n in range(position, 2)]

    spool = PointSpool(folder / "spool.db")
    _run(PointCollector(spool, [LogSource(Broken(), meter_book(), lambda: T, Told())], lambda: T, Told()))
    assert spool.cursor("log/0", "broken") == 2
    spool.close()


def test_the_thread_reads_what_is_there_and_ends(folder: Path) -> None:
    spool, stop = PointSpool(folder / "spool.db"), threading.Event()
    collector = PointCollector(
        spool, [FindingsSource(FindingsList(_findings(1_200)), lambda: T, Told())], lambda: T, Told()
    )
    stop.set()
    collector.run(stop)
    assert spool.depth().points == 1_200
    spool.close()


def _points(spool: PointSpool) -> list[Point]:
    return [p for chunk in spool.oldest(10**9) for p in chunk.points]
