"""One id with two contents ends nothing: the first stands, an alarm names both. And no rule of ours says such a thing.

Each story is a log as devices, boxes and people made it, judged by all rules over the real stores of one machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from contracts.batch import Batch
from contracts.events import (
    CONFIG_SOURCE,
    AnyEvent,
    DeviceConfigured,
    EnvironmentSampled,
    Event,
    IngestInterrupted,
    Lane,
    ObjectFell,
    ObjectLabel,
    ObjectObserved,
    Origin,
    SpoolMark,
    TagSeen,
    ThresholdConfigured,
    TrackPhase,
)
from contracts.findings import Finding, Phase, content_of
from contracts.names import DeviceClass
from detectors.core.rule import Episode, Outcome, Rule
from detectors.core.site_view import SiteView
from detectors.registry import all_rules
from streams.checkpoints.driver_alarms import DriverAlarm
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.engine.engine import Engine
from streams.log.sqlite.day_log import DayLog
from streams.runtime.partition_driver import PartitionDriver
from tests.streams.rules import Count, Denial, Naughty, draft
from tests.streams.support import T0, access, batch, engine_of, findings, judge
from tests.support.folders import fast_folder

MINUTE, HOUR = 60_000, 3_600_000


class Machine:
    """A log, a store and the drivers that one after the other work on them."""

    def __init__(self, folder: Path) -> None:
        self.log = DayLog(folder)
        self.store = SqliteCheckpointStore(folder / "engine.db")
        self.alarms: list[tuple[DriverAlarm, str]] = []

    def write(self, watermark_ms: int | None, *events: AnyEvent) -> None:
        """Append a record; its watermark is at ``T0 + watermark_ms``, None says nothing."""
        self.log.append([batch(watermark_ms, *events)])

    def start(self, rules: Sequence[Rule[Any]] | None = None, **how: Any) -> PartitionDriver:
        """Open the partition, as after a start, and judge the log to its end."""
        engine = Engine(all_rules() if rules is None else rules, partition=0, partitions=1, log_id=self.log.identity())
        driver = PartitionDriver(self.log, self.store, engine, on_alarm=lambda *told: self.alarms.append(told), **how)
        driver.open()
        return driver

    def found(self) -> list[Finding]:
        """Return what is kept, in order."""
        return [finding for _, finding in self.store.findings_after(0, 100_000)]


@pytest.fixture
def machine() -> Iterator[Machine]:
    with fast_folder() as folder:
        opened = Machine(folder)
        yield opened
        opened.store.close()
        opened.log.close()


# --- what happens when one id comes with two contents -----------------------------------------------------------------


class Wavering(Denial):
    """Says how many denials it has met: another content each time it meets the same one."""

    def on_event(self, state: Count, event: Event, site: SiteView) -> Outcome[Count]:
        told = draft(Episode(T0, "first"), Phase.OPEN, event.place_id, n=state.n)
        return Outcome(msgspec.structs.replace(state, n=state.n + 1), (told,))


@pytest.mark.parametrize("records", [1, 2])
def test_the_first_stands_an_alarm_names_both_and_the_rest_is_judged(machine: Machine, records: int) -> None:
    denials = [access(f"a{n}", n, granted=False) for n in range(2)]
    for end in range(records):
        machine.write(end + 1 if records == 2 else 2, *denials[end : end + 1 if records == 2 else None])
    machine.write(5_000, access("b", 4_000, "d2", granted=False))
    for _ in range(2):
        machine.alarms.clear()
        machine.start([Wavering(), Naughty()])
        first, other = machine.found()
        assert (first.facts[0].value, first.key, other.key) == (0.0, "d1", "d2")
        ((alarm, detail),) = [told for told in machine.alarms if first.finding_id in told[1]]
        assert alarm is DriverAlarm.FINDING_CONTRADICTS
        where = f"position 0 (rule version 1) and position {records - 1} (rule version 1)"
        assert f"{where} differ in decided_ms, facts (n)" in detail
    assert machine.store.failures() == {}


def test_versions_due_time_position_and_lateness_are_no_content(machine: Machine) -> None:
    (told,) = findings(judge([Denial()], batch(9_000, access("a", 0, granted=False))))
    changes: dict[str, Any] = {"due_ms": T0 + 9, "rule_version": 7, "position": 8, "number": 3, "late_by_ms": 6}
    again = msgspec.structs.replace(told, verified=False, config_version=5, **changes)
    assert content_of(again) == content_of(told)
    heard: list[object] = []
    machine.store.on_contradiction = heard.append
    assert machine.store.append_findings([told, again]) == 1
    assert (machine.found(), heard) == ([told], [])


def test_what_an_older_program_kept_with_more_content_is_known_again(machine: Machine) -> None:
    (told,) = findings(judge([Denial()], batch(9_000, access("a", 0, granted=False))))
    machine.store.append_findings([told])
    machine.store._db.execute("UPDATE findings SET content = x'00'")  # its digest was over due time and versions too
    heard: list[object] = []
    machine.store.on_contradiction = heard.append
    assert machine.store.append_findings([msgspec.structs.replace(told, due_ms=told.due_ms + 1)]) == 0
    assert heard == []


# --- the ways in which one of our rules contradicted itself -----------------------------------------------------------


def configured(version: int, at_ms: int, device_id: str, kind: DeviceClass, **more: Any) -> DeviceConfigured:
    return DeviceConfigured(
        event_id=f"c{version}",
        site_id="s1",
        source_id=CONFIG_SOURCE,
        place_id="p1",
        at_ms=T0 + at_ms,
        received_ms=T0 + at_ms,
        version=version,
        device_id=device_id,
        device_class=kind,
        **more,
    )


def fall(name: str, at_ms: int, received_ms: int, source_id: str = "cam1", **more: Any) -> ObjectFell:
    return ObjectFell(
        event_id=name,
        site_id="s1",
        source_id=source_id,
        place_id="p1",
        at_ms=T0 + at_ms,
        received_ms=T0 + received_ms,
        track_id=7,
        started_ms=T0 + at_ms - 900,
        duration_ms=900,
        calibrated=True,
        drop_m=20.0,
        **more,
    )


def heat(name: str, at_ms: int, received_ms: int | None = None, **more: Any) -> EnvironmentSampled:
    return EnvironmentSampled(
        event_id=name,
        site_id="s1",
        source_id="heat1",
        place_id="p1",
        at_ms=T0 + at_ms,
        received_ms=T0 + (at_ms if received_ms is None else received_ms),
        **more,
    )


def a_power_cut(machine: Machine) -> None:
    """The server is back after five minutes, the box after 22, with the clock of the cut."""
    rows = iter(range(1, 9))

    def seen(source_id: str, at_ms: int, received_ms: int) -> ObjectObserved:
        number = next(rows)
        return ObjectObserved(
            event_id=f"sp-{number}",
            site_id="s1",
            source_id=source_id,
            place_id="p1",
            at_ms=T0 + at_ms,
            received_ms=T0 + received_ms,
            spool=SpoolMark(box_id="box1", spool_id="sp", lane=Lane.LIVE, seq=number),
            label=ObjectLabel.PERSON,
            phase=TrackPhase.PRESENT,
            track_id=1,
            score=0.9,
        )

    machine.write(
        -4 * MINUTE,
        configured(1, -5 * MINUTE, "box1", DeviceClass.EDGE, silent_after_ms=15 * MINUTE),
        configured(2, -5 * MINUTE, "cam1", DeviceClass.CAM, box_id="box1", silent_after_ms=HOUR),
        configured(3, -5 * MINUTE, "cam2", DeviceClass.CAM, box_id="box1", silent_after_ms=HOUR),
    )
    machine.write(0, seen("cam2", -1_000, -950), seen("cam1", -500, -450))
    outage = IngestInterrupted(
        event_id="i1",
        site_id="s1",
        source_id="ingest",
        place_id="s1",
        at_ms=T0 + 5 * MINUTE,
        received_ms=T0 + 5 * MINUTE,
        from_ms=T0,
        to_ms=T0 + 5 * MINUTE,
    )
    machine.write(5 * MINUTE, outage)
    for minute in range(6, 23):
        machine.write(minute * MINUTE)
    machine.write(22 * MINUTE, seen("cam2", 2_000, 22 * MINUTE + 100))
    machine.write(22 * MINUTE + 500)
    machine.write(22 * MINUTE + 1_000)


def a_box_taken_out_and_put_back(machine: Machine) -> None:
    """It sends its row again, since it never saw that it was taken."""
    mark = SpoolMark(box_id="box1", spool_id="sp", lane=Lane.LIVE, seq=7)
    machine.write(
        0, configured(1, -9, "box1", DeviceClass.EDGE), configured(2, -8, "cam1", DeviceClass.CAM, box_id="box1")
    )
    machine.write(1_000, fall("sp-7", 500, 510, spool=mark))
    machine.write(
        MINUTE,
        configured(3, MINUTE, "box1", DeviceClass.EDGE, removed=True),
        configured(4, MINUTE + 1, "box1", DeviceClass.EDGE),
    )
    machine.write(MINUTE + 1_000, fall("sp-7", 500, MINUTE + 500, spool=mark))


def more_falls_again_than_are_remembered(machine: Machine) -> None:
    """A camera that speaks for itself; ingest had crashed before it acknowledged anything."""
    for received_ms in (20_000, 25_000):
        machine.write(None, *(fall(f"f{n}", n * 100, received_ms) for n in range(130)))
    machine.write(30_000)


def falls_again_under_another_number(machine: Machine) -> None:
    """Meanwhile a person has set how far a fall must be."""
    machine.write(20_000, *(fall(f"f{n}", n * 100, 19_000) for n in range(70)))
    higher = ThresholdConfigured(
        event_id="c1",
        site_id="s1",
        source_id=CONFIG_SOURCE,
        place_id="s1",
        at_ms=T0 + 21_000,
        received_ms=T0 + 21_000,
        version=1,
        rule="high_altitude_throw",
        name="min_drop_m",
        value=50.0,
    )
    machine.write(22_000, higher)
    machine.write(30_000, *(fall(f"f{n}", n * 100, 25_000) for n in range(70)))


def a_contact_that_chatters(machine: Machine) -> None:
    """An alarm every other minute for hours; then its messages come again."""
    states = [heat(f"x{n}", n * 70_000, seq=n, alarm=n % 2 == 0) for n in range(300)]
    end_ms = 300 * 70_000
    machine.write(end_ms, *states)
    again = [msgspec.structs.replace(state, received_ms=T0 + end_ms + MINUTE) for state in states]
    machine.write(end_ms + 2 * MINUTE, *again)


def an_alarm_again_after_two_days(machine: Machine) -> None:
    """A reading rises, alarms, is clear; a broker that was away for long brings 65 messages of then again."""
    then = [heat(f"x{n}", n * 30_000, seq=n, temperature_c=20.0 + 12.0 * min(n, 5)) for n in range(6)]
    then += [heat(f"x{n}", n * 30_000, seq=n, temperature_c=21.0) for n in range(6, 100)]
    machine.write(2 * HOUR, *then)
    machine.write(48 * HOUR)
    machine.write(49 * HOUR, *(msgspec.structs.replace(one, received_ms=T0 + 48 * HOUR) for one in then))
    machine.write(90 * HOUR)


STORIES: list[tuple[Callable[[Machine], None], str, list[str]]] = [
    (a_power_cut, "device_silent", ["open", "close"]),
    (a_box_taken_out_and_put_back, "high_altitude_throw", ["open"]),
    (more_falls_again_than_are_remembered, "high_altitude_throw", ["open"] * 130),
    (falls_again_under_another_number, "high_altitude_throw", ["open"] * 70),
    (a_contact_that_chatters, "smoke_or_heat", ["open", "close"] * 150),
    (an_alarm_again_after_two_days, "smoke_or_heat", ["open", "update", "close"]),
]


@pytest.mark.parametrize(("story", "rule", "phases"), STORIES, ids=[story[0].__name__ for story in STORIES])
def test_no_rule_of_ours_contradicts_itself(
    machine: Machine, story: Callable[[Machine], None], rule: str, phases: list[str]
) -> None:
    story(machine)
    driver = machine.start()
    assert machine.alarms == []
    assert [finding.phase.value for finding in machine.found() if finding.rule == rule] == phases
    assert driver.position == machine.log.end()


def test_a_cut_that_was_accepted_repeats_what_was_decided(machine: Machine) -> None:
    """Power was lost after the finding was kept and before any row was; then a new version starts."""

    def rules(version: int) -> list[Any]:
        class Renewed(Denial):
            pass

        Renewed.version = version
        return [Renewed(), Naughty()]

    machine.write(1_000, access("a", 500, granted=False))
    machine.start(rules(1)).save()
    machine.write(2_000, access("b", 1_500, granted=False))
    machine.start(rules(1))
    machine.write(3_000, access("c", 2_500, granted=False))
    machine.start(rules(2), accept_cut=True)
    assert [alarm for alarm, _ in machine.alarms] == [DriverAlarm.CUT_ACCEPTED]
    assert [(found.onset_event_id, found.rule_version) for found in machine.found()] == [("a", 1), ("b", 1), ("c", 2)]


# --- what the engine says of rules that fail --------------------------------------------------------------------------


class FailsForTwo(Naughty):
    """Fails for two keys that agree in their first eighty characters."""

    accepts: ClassVar[tuple[type[Event], ...]] = (TagSeen,)

    def keys_of(self, event: Event, site: SiteView) -> tuple[str, ...]:
        return ("x" * 78 + "-a", "x" * 78 + "-b")

    def on_event(self, state: Count, event: Event, site: SiteView) -> Outcome[Count]:
        raise ValueError("boom")


def test_two_keys_that_begin_alike_are_two_failures() -> None:
    event = TagSeen(event_id="t", site_id="s1", source_id="r", place_id="p", at_ms=T0, received_ms=T0, tag_id="t")
    failed = findings(judge([FailsForTwo()], batch(1_000, event)))
    assert len({finding.finding_id for finding in failed}) == 2
    assert {finding.key for finding in failed} == {("naughty/" + "x" * 78)[:80]}


class FailsLater(Naughty):
    """Instant: any word sets the same deadline, which fails otherwise each time."""

    instant: ClassVar[bool] = True

    def on_event(self, state: Count, event: Event, site: SiteView) -> Outcome[Count]:
        return Outcome(Count(n=state.n + 1, at_ms=T0 + MINUTE))

    def on_deadline(self, state: Count, due_ms: int, site: SiteView) -> Outcome[Count]:
        raise (ValueError if state.n == 1 else KeyError)("boom")


def test_a_deadline_that_fails_twice_at_one_moment_is_one_failure(machine: Machine) -> None:
    machine.write(2 * MINUTE, access("a", 0))
    machine.write(3 * MINUTE, access("b", 1, received_ms=2 * MINUTE, origin=Origin.DRILL))
    machine.start([FailsLater()])
    assert ([found.rule for found in machine.found()], machine.alarms) == (["rule_failed"], [])


def test_a_record_that_cannot_be_read_is_one_finding_whatever_is_said_of_it() -> None:
    engine = engine_of([Denial()])
    (first,) = findings(engine.unreadable(0, "kind nobody knows"))
    (again,) = findings(engine_of([Denial()]).unreadable(0, "skipped by hand"))
    assert (first.finding_id, content_of(first)) == (again.finding_id, content_of(again))


def test_a_reading_that_is_said_twice_rises_no_more() -> None:
    """The append was retried: the whole record is in the log twice."""
    first = Batch(partition=0, watermark_ms=0, events=(heat("a", -380_000, temperature_c=21.0),))
    second = Batch(partition=0, watermark_ms=0, events=(heat("b", -100_000, temperature_c=31.0),))
    hot = Batch(partition=0, watermark_ms=0, events=(heat("c", 0, temperature_c=61.0),))
    end = batch(MINUTE)
    once, twice = judge(all_rules(), first, second, hot, end), judge(all_rules(), first, second, hot, hot, end)
    assert [(found.phase, found.facts) for found in findings(twice)] == [
        (found.phase, found.facts) for found in findings(once)
    ]
    assert [found.phase for found in findings(once)] == [Phase.OPEN]
