"""The log's time steps, forward or back: what the rules find does not change, and is told on the time that holds."""

from __future__ import annotations

import zlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.batch import Batch
from contracts.event_times import move, restamp
from contracts.events import AnyEvent, ClockStepped, event_header
from contracts.events.identity import own_time_ms
from contracts.findings import Finding, Output
from contracts.names import DeviceClass
from detectors.registry import all_rules
from streams.engine import snapshot
from streams.engine.deduplicator import Deduplicator
from streams.engine.engine import Engine
from streams.engine.snapshot import SiteRow, decode_row
from tests.detectors.builders import HOUR, MINUTE, SECOND, T0, Script

DAY = 24 * HOUR
SHIFTS = [-60 * DAY, -DAY, -5 * HOUR, -1_000, 1_000, 5 * HOUR, 60 * DAY]


def _batches() -> list[Batch]:
    """Half an hour at a door and in a room: strangers, a silence that ends, smoke that ends, a visitor expected."""
    script = Script()
    said: list[AnyEvent] = [
        script.device("gate1", DeviceClass.GATE, "door1", silent_after_ms=2 * MINUTE),
        script.device("cam1", DeviceClass.CAM, "door1"),
        script.device("meter1", DeviceClass.METER, "room1", silent_after_ms=3 * MINUTE),
        script.device("smoke1", DeviceClass.SENSOR, "room1"),
        script.visitors("visit1", from_ms=T0 + 20 * MINUTE, to_ms=T0 + 25 * MINUTE, party_size=2),
    ]
    for minute in range(30):
        at = minute * MINUTE
        said += [script.reported(at, "gate1"), script.access(at + 5 * SECOND), script.passage(at + 8 * SECOND, minute)]
        if minute % 4 == 0:
            said.append(script.passage(at + 11 * SECOND, 100 + minute))
        if not 8 < minute < 15:
            said.append(script.power(at + 20 * SECOND, 10.0))
        said.append(script.environment(at + 30 * SECOND, sensor="smoke1", alarm=10 <= minute < 14))
    said.sort(key=lambda event: event.received_ms)
    return [Batch(partition=0, watermark_ms=event.received_ms, events=(event,)) for event in said] + [
        Batch(partition=0, watermark_ms=T0 + 40 * MINUTE)
    ]


def _shifted(batches: list[Batch], at: int, by_ms: int) -> list[Batch]:
    """The same log of a writer whose clock was put right, or wrong, before the record ``at``."""
    moved = [
        Batch(
            partition=0,
            watermark_ms=batch.watermark_ms + by_ms,
            events=tuple(move(event, by_ms) for event in batch.events),
        )
        for batch in batches[at:]
    ]
    first = batches[at - 1].watermark_ms + by_ms
    step = _step(first, by_ms, f"shift-{len(batches)}-{at}")
    return [*batches[:at], Batch(partition=0, watermark_ms=first, events=(step,)), *moved]


def _step(at_ms: int, by_ms: int, event_id: str = "shift") -> ClockStepped:
    header = event_header("s1", "ingest", "s1", at_ms, event_id)
    return ClockStepped(**header, received_ms=at_ms, step_ms=by_ms, shift_ms=by_ms)


def _engine() -> Engine:
    return Engine(all_rules(), partition=0, partitions=1, log_id="log")


def _found(batches: list[Batch], restart_at: int | None = None) -> list[Finding]:
    engine, outputs = _engine(), list[Output]()
    for position, batch in enumerate(batches):
        if position == restart_at:
            rows = [engine.snapshot(site_id) for site_id in engine.site_ids()]
            manifest, engine = engine.manifest(), _engine()
            assert engine.restore(rows, manifest) == position
        outputs += engine.feed(batch, position)
    return [output for output in outputs if isinstance(output, Finding)]


def _told(found: list[Finding]) -> list[tuple[object, ...]]:
    return [(f.finding_id, f.rule, f.key, f.phase, f.verified, f.late_by_ms, f.facts) for f in found]


STILL = _batches()
WITHOUT = _found(STILL)
BEFORE_THE_VISIT = 100
"""A visit that was announced for the true time is judged by it once the clock is right."""


def test_the_example_has_something_of_everything() -> None:
    assert {finding.rule for finding in WITHOUT} == {"device_silent", "smoke_or_heat", "stranger_entry"}
    assert {finding.verified for finding in WITHOUT} == {True, False}


@pytest.mark.parametrize("by_ms", SHIFTS)
def test_what_is_found_is_the_same_and_told_on_the_time_that_holds(by_ms: int) -> None:
    for at in range(6, BEFORE_THE_VISIT, 7):
        found = _found(_visits_stay(_shifted(STILL, at, by_ms), by_ms, at))
        assert _told(found) == _told(WITHOUT)
        for one, other in zip(found, WITHOUT, strict=True):
            after = one.position >= at
            assert one.decided_ms == other.decided_ms + (by_ms if after else 0)


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_any_steps_and_any_restarts_give_the_same(data: st.DataObject) -> None:
    batches = STILL
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(6, BEFORE_THE_VISIT))
        by_ms = data.draw(st.sampled_from(SHIFTS))
        batches = _visits_stay(_shifted(batches, at, by_ms), by_ms, at)
    restart_at = data.draw(st.integers(1, len(batches) - 1))
    found = _found(batches, restart_at)
    assert _told(found) == _told(WITHOUT)
    assert found == _found(batches)


def _visits_stay(batches: list[Batch], by_ms: int, at: int) -> list[Batch]:
    """The visit was announced on the true clock, which is the one after the step."""
    return [
        msgspec.structs.replace(batch, events=tuple(_visit(event, by_ms) for event in batch.events))
        if n < at
        else batch
        for n, batch in enumerate(batches)
    ]


def _visit(event: AnyEvent, by_ms: int) -> AnyEvent:
    if event.__class__.__name__ != "VisitorRegistered":
        return event
    return msgspec.structs.replace(event, from_ms=event.from_ms + by_ms, to_ms=event.to_ms + by_ms)  # type: ignore[union-attr]


def test_a_step_that_moves_nothing_leaves_no_trace() -> None:
    header = event_header("s9", "ingest", "s9", T0, "step")
    engine = _engine()
    engine.feed(Batch(partition=0, watermark_ms=T0, events=(ClockStepped(**header, step_ms=5_000),)), 0)
    assert engine.site_ids() == []


def test_a_step_that_was_appended_twice_counts_once() -> None:
    log = _shifted(STILL, 40, -DAY)
    assert _told(_found([*log[:41], log[40], *log[41:]])) == _told(_found(log))


# --- what comes again -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_ms", SHIFTS)
@pytest.mark.parametrize("restarts", [False, True])
def test_a_message_that_comes_again_over_a_step_is_the_same_one(by_ms: int, *, restarts: bool) -> None:
    said = Script().access(0)  # by a clock that is right
    wrong_ms = said.at_ms - by_ms
    taken = msgspec.structs.replace(said, at_ms=wrong_ms, received_ms=wrong_ms, device_at_ms=said.at_ms, untrusted=True)
    again = msgspec.structs.replace(said, received_ms=said.at_ms + 9 * SECOND)
    engine = _engine()
    engine.feed(Batch(partition=0, watermark_ms=wrong_ms, events=(taken,)), 0)
    engine.feed(Batch(partition=0, watermark_ms=said.at_ms, events=(_step(said.at_ms, by_ms),)), 1)
    if restarts:
        rows, manifest, engine = [engine.snapshot("s1")], engine.manifest(), _engine()
        assert engine.restore(rows, manifest) == 2
    engine.feed(Batch(partition=0, watermark_ms=again.received_ms, events=(again,)), 2)
    assert (engine.counts.duplicates, engine.counts.ids_reused) == (1, 0)


def test_what_waits_for_the_log_is_known_again_although_its_time_moved() -> None:
    said = Script().access(0)
    moved = restamp(said, -DAY)
    assert (moved.at_ms, moved.received_ms) == (said.at_ms - DAY, said.received_ms - DAY)
    assert own_time_ms(moved) == own_time_ms(said) == own_time_ms(restamp(moved, 5 * HOUR))
    step = _step(T0, DAY)
    assert restamp(step, DAY).device_at_ms is None


def test_a_removed_device_is_remembered_as_long_whatever_the_clock_does() -> None:
    marks, script = Deduplicator(), Script()
    said = script.access(0)
    assert marks.take(said) is said
    removed = msgspec.structs.replace(script.device("gate1", DeviceClass.GATE, "door1"), removed=True, at_ms=T0)
    assert marks.take(removed) is removed
    marks.shift(60 * DAY)
    assert marks.row().removed == {"gate1": T0 + 60 * DAY}


def test_a_row_of_a_shifted_site_has_a_schema_that_older_programs_refuse() -> None:
    engine = _engine()
    for position, batch in enumerate(_shifted(STILL, 40, -DAY)):
        engine.feed(batch, position)
    row = engine.snapshot("s1")
    assert msgspec.msgpack.decode(zlib.decompress(row.data))[0] == 3
    assert decode_row(row).offset_ms == -DAY


def test_a_shifted_site_with_a_long_buffer_comes_back_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = _engine()
    for position, batch in enumerate(_shifted(STILL, 40, -DAY)[:60]):
        engine.feed(batch, position)
    plain = decode_row(engine.snapshot("s1"))
    monkeypatch.setattr(snapshot, "SHARED_FROM", 1)
    folded = engine.snapshot("s1")
    assert len(msgspec.msgpack.decode(zlib.decompress(folded.data))) == len(SiteRow.__struct_fields__) + 2
    assert msgspec.msgpack.decode(zlib.decompress(folded.data))[-2] is not None
    assert decode_row(folded) == plain
