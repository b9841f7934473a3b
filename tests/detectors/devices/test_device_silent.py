"""`device_silent`: who is silent, since when, and whom an outage of ingest accuses (nobody)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from contracts.batch import Batch
from contracts.events import AnyEvent, DeviceConfigured, Event, Lane, ObjectLabel, SpoolMark, TrackPhase
from contracts.findings import Finding, Output, Phase, SubjectKind
from contracts.names import DeviceClass
from detectors.devices.device_silent import DeviceSilent
from streams.engine.engine import Engine
from tests.detectors.builders import HOUR, MINUTE, SECOND, T0, Script
from tests.detectors.harness import Harness, phases, run

AFTER = 60 * SECOND


def meter(script: Script, at: int = 0, after: int | None = AFTER, **more: object) -> DeviceConfigured:
    return script.device("meter1", DeviceClass.METER, "room1", at=at, silent_after_ms=after, **more)


def reports(script: Script, *times: int) -> list[Event]:
    return [script.power(at, 10.0) for at in times]


@pytest.mark.parametrize(
    ("heard", "until", "expected"),
    [
        ((), 59_999, []),
        ((), 60_000, [("open", 60_000)]),
        ((10_000,), 69_999, []),
        ((10_000,), 70_000, [("open", 70_000)]),
        ((10_000, 69_999, 129_000), 189_000, [("open", 189_000)]),
        ((10_000, 70_000), 129_999, []),  # heard in the very millisecond it would have been silent
        ((10_000, 80_000), 139_999, [("open", 70_000), ("close", 80_000)]),
        ((10_000, 80_000), 140_000, [("open", 70_000), ("close", 80_000), ("open", 140_000)]),
    ],
)
def test_a_device_is_silent_exactly_when_its_time_is_up(
    heard: tuple[int, ...], until: int, expected: list[tuple[str, int]]
) -> None:
    script = Script()
    found = run(DeviceSilent(), [meter(script), *reports(script, *heard)], T0 + until)
    assert [(str(d.phase), d.at_ms - T0) for d in found] == expected


def test_a_finding_names_the_device_its_place_and_the_reason() -> None:
    script = Script()
    opened, closed = run(DeviceSilent(), [meter(script), *reports(script, 5_000, 100_000)], T0 + 101_000)
    assert (opened.draft.subject.kind, opened.draft.subject.ref) == (SubjectKind.DEVICE, "meter1")
    assert opened.draft.place_id == closed.draft.place_id == "room1"
    assert (opened.fact("silence_reason"), opened.fact("silent_s")) == ("no_message", 60.0)
    assert opened.facts()["silent_s"].limit == 60.0
    assert (closed.fact("ended"), closed.fact("silent_s")) == ("heard", 95.0)
    assert closed.draft.episode.onset_ms == opened.draft.episode.onset_ms == T0 + 65_000


def test_a_last_will_shortens_the_wait_to_its_grace() -> None:
    script = Script()
    events = [meter(script, after=HOUR), script.power(0, 5.0), script.state(10_000, "meter1", "room1", online=False)]
    (opened,) = run(DeviceSilent(), events, T0 + 2 * HOUR)
    assert opened.at_ms == T0 + 40_000
    assert opened.fact("silence_reason") == "offline"


def test_a_device_that_returns_within_the_grace_was_never_silent() -> None:
    script = Script()
    events = [
        meter(script, after=HOUR),
        script.state(10_000, "meter1", "room1", online=False),
        script.state(10_500, "meter1", "room1", online=False),  # a broker repeats a retained will
        script.power(39_000, 5.0),
    ]
    assert run(DeviceSilent(), events, T0 + HOUR) == []


def test_a_camera_proves_itself_and_its_box_but_a_box_only_itself() -> None:
    script = Script()
    seen = script.object(
        30_000,
        ObjectLabel.PERSON,
        TrackPhase.ENTERED,
        spool=SpoolMark(box_id="box1", spool_id="sp", lane=Lane.LIVE, seq=1),
    )
    events = [
        script.device("box1", DeviceClass.EDGE, "hall", silent_after_ms=AFTER),
        script.device("cam1", DeviceClass.CAM, "hall", silent_after_ms=AFTER, box_id="box1"),
        seen,
        script.reported(80_000, "box1", "hall"),
    ]
    found = run(DeviceSilent(), events, T0 + 139_999)
    assert [(d.key, d.at_ms - T0) for d in found] == [("cam1", 90_000)]


def test_an_interruption_of_ingest_accuses_nobody_and_the_wait_begins_anew() -> None:
    script = Script()
    events = [meter(script), *reports(script, 0), script.interrupted(20_000, 200_000)]
    found = run(DeviceSilent(), events, T0 + 400_000)
    assert [(str(d.phase), d.at_ms - T0) for d in found] == [("open", 260_000)]


def test_an_interruption_before_the_last_word_changes_nothing() -> None:
    script = Script()
    events = [meter(script), script.interrupted(5_000, 20_000), *reports(script, 30_000)]
    (opened,) = run(DeviceSilent(), events, T0 + 200_000)
    assert opened.at_ms == T0 + 90_000


@pytest.mark.parametrize("gone", [{"removed": True}, {"after": None}])
def test_a_removed_or_no_longer_judged_device_closes_and_leaves_no_state(gone: dict[str, object]) -> None:
    script = Script()
    harness = Harness(DeviceSilent())
    harness.feed([meter(script), meter(script, at=100_000, **gone)])  # type: ignore[arg-type]
    harness.until(T0 + HOUR)
    assert phases(harness.found) == [Phase.OPEN, Phase.CLOSE]
    assert harness.found[-1].fact("ended") == "removed"
    assert harness.states == {}


def test_a_shorter_period_takes_effect_at_once_but_never_in_the_past() -> None:
    script = Script()
    events = [meter(script, after=HOUR), *reports(script, 0), meter(script, at=10 * MINUTE, after=MINUTE)]
    (opened,) = run(DeviceSilent(), events, T0 + HOUR)
    assert opened.at_ms == T0 + 10 * MINUTE


def test_devices_without_a_period_and_unknown_devices_have_no_state() -> None:
    script = Script()
    harness = Harness(DeviceSilent())
    harness.feed([meter(script, after=None), *reports(script, 1_000), script.power(2_000, 1.0, meter="other")])
    assert harness.states == {}
    assert harness.found == []


# --- device clocks: what counts is receipt ----------------------------------------------------------------------------


@pytest.mark.parametrize("off", [-8 * HOUR, -HOUR, 0])
@pytest.mark.parametrize("steps_back_at", [0, 5])
def test_a_device_with_a_wrong_clock_is_heard_when_it_is_received(off: int, steps_back_at: int) -> None:
    script = Script()
    said: list[AnyEvent] = [meter(script)]
    for n in range(1, 10):
        clock = off if n >= steps_back_at else 0
        said.append(msgspec.structs.replace(script.power(n * 30 * SECOND, 10.0), at_ms=T0 + n * 30 * SECOND + clock))
    harness = EngineHarness(DeviceSilent())
    assert harness.found(said, T0 + 9 * 30 * SECOND + AFTER - 1) == []
    assert harness.found(said, T0 + 9 * 30 * SECOND + AFTER + 1) == [("open", T0 + 9 * 30 * SECOND + AFTER)]


def test_what_was_stored_proves_no_life() -> None:
    script = Script()
    old = msgspec.structs.replace(script.power(30 * SECOND, 10.0), at_ms=T0 - HOUR, stored=True)
    assert EngineHarness(DeviceSilent()).found([meter(script), old], T0 + AFTER + 1) == [("open", T0 + AFTER)]


class EngineHarness:
    """One rule in the engine itself: what its log decides up to a watermark."""

    def __init__(self, rule: DeviceSilent) -> None:
        self._rule = rule

    def found(self, events: Sequence[AnyEvent], until_ms: int) -> list[tuple[str, int]]:
        """Phase and time of each finding, a record an event."""
        engine = Engine([self._rule], partition=0, partitions=1, log_id="log")
        outputs: list[Output] = []
        for position, event in enumerate(events):
            mark_ms = min(event.received_ms - 1, until_ms)
            outputs += engine.feed(Batch(partition=0, watermark_ms=mark_ms, events=(event,)), position)
        bound_ms = self._rule.max_out_of_orderness_ms
        outputs += engine.feed(Batch(partition=0, watermark_ms=until_ms + bound_ms), len(events))
        return [(str(f.phase), f.decided_ms) for f in outputs if isinstance(f, Finding)]
