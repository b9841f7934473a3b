"""What counts as sent again: the same message, and nothing else. A device whose ids repeat hides no alarm."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from contracts.batch import Batch
from contracts.events import (
    AnyEvent,
    DeviceConfigured,
    EnvironmentSampled,
    Event,
    IngestInterrupted,
    Lane,
    ObjectFell,
    RowsDropped,
    SpoolMark,
)
from contracts.events.identity import IN_FLIGHT, KEYED, SETTLED, content_marks, is_same_message, told_apart
from contracts.findings import Finding, Phase
from contracts.names import DeviceClass
from detectors.registry import all_rules
from ingest.pipeline.clock_rules import ClockRules
from streams.engine.deduplicator import MAX_IDS, Deduplicator, DedupRow
from streams.engine.snapshot import SnapshotRow, decode_row, encode_row
from tests.streams.rules import Denial
from tests.streams.support import T0, access, batch, device, engine_of, feed_all, findings, of

DAY_MS = 86_400_000
HOUR_MS = 3_600_000


def smoke(event_id: str, at_ms: int, *, alarm: bool = True, **more: Any) -> EnvironmentSampled:
    """What a smoke sensor says."""
    return of(EnvironmentSampled, event_id, at_ms, "smoke1", alarm=alarm, **more)


def fires(*events: AnyEvent) -> list[Finding]:
    """Onsets that the real rules find, each event in a batch that releases it."""
    engine = engine_of(all_rules())
    log = [Batch(partition=0, watermark_ms=event.received_ms + 5_000, events=(event,)) for event in events]
    found = findings(feed_all(engine, log))
    return [finding for finding in found if finding.rule == "smoke_or_heat" and finding.phase is Phase.OPEN]


def duplicates(*events: AnyEvent) -> tuple[int, int]:
    """How many were dropped as sent again, and how many were judged under an id of their own."""
    engine = engine_of(all_rules())
    engine.feed(batch(None, *events), 0)
    return engine.counts.duplicates, engine.counts.ids_reused


# --- ids that repeat --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("heartbeats", [0, 5, 60, 63, 64, 80])
def test_a_counter_that_begins_again_at_boot_hides_no_fire(heartbeats: int) -> None:
    lived = [smoke(f"smoke1-{n}", n * 6 * HOUR_MS, alarm=False, seq=n) for n in range(heartbeats)]
    boot_ms = heartbeats * 6 * HOUR_MS + 60_000
    again = [smoke(f"smoke1-{n}", boot_ms + n * 10_000, alarm=n == 2, seq=n) for n in range(3)]
    (fire,) = fires(*lived, *again)
    assert fire.onset_ms == again[2].at_ms


def test_a_device_that_calls_every_alarm_the_same_is_heard_each_time() -> None:
    said = [
        smoke("ALARM", 0),
        smoke("x1", 600_000, alarm=False),
        smoke("ALARM", 5 * HOUR_MS),
        smoke("x2", 6 * HOUR_MS, alarm=False),
        smoke("ALARM", 9 * HOUR_MS),
    ]
    assert [fire.onset_ms - T0 for fire in fires(*said)] == [0, 5 * HOUR_MS, 9 * HOUR_MS]


def test_another_content_under_one_id_and_time_is_no_duplicate_and_counted() -> None:
    assert duplicates(smoke("x", 0, alarm=False, seq=1), smoke("x", 0, seq=1)) == (0, 1)
    assert duplicates(smoke("x", 0, alarm=False, seq=1), smoke("x", 0, alarm=False, seq=2)) == (0, 1)
    assert duplicates(access("x", 0, person_ref="p1"), access("x", 0, person_ref="p2")) == (0, 1)
    assert duplicates(access("x", 0), smoke("x", 0)) == (0, 0), "ids are each device's own"


def test_each_content_of_one_id_is_itself_recognised_when_it_comes_again() -> None:
    said = [smoke("x", n, seq=n) for n in range(5)]
    assert duplicates(*said, *said, *reversed(said)) == (10, 4)


def test_two_events_of_one_id_and_time_give_findings_of_two_ids() -> None:
    log = [batch(9_000, *[access("x", 1_000, granted=False, person_ref=f"p{n}") for n in range(3)])]
    found = findings(feed_all(engine_of([Denial()]), log))
    assert len({finding.finding_id for finding in found}) == len(found) == 3
    ids = [finding.onset_event_id for finding in found]
    assert ids[0] == "x"
    assert all(event_id is not None and event_id.startswith("x~") for event_id in ids[1:])


def test_an_id_as_long_as_any_may_be_is_told_apart_too() -> None:
    long = "i" * 80
    (_, second) = findings(
        feed_all(
            engine_of([Denial()]),
            [batch(9_000, *[access(long, 1_000, granted=False, person_ref=f"p{n}") for n in range(2)])],
        )
    )
    assert second.onset_event_id is not None
    assert len(second.onset_event_id) == 80


# --- the same message again -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("later_ms", [0, 5_000, 3 * DAY_MS])
def test_the_same_bytes_again_are_dropped_however_much_later(later_ms: int) -> None:
    first = smoke("a1", 0, received_ms=200)
    assert duplicates(first, msgspec.structs.replace(first, received_ms=first.received_ms + later_ms)) == (1, 0)


FALL: dict[str, Any] = {"track_id": 1, "duration_ms": 500, "calibrated": True, "drop_m": 20.0}
GONE: dict[str, Any] = {"spool_id": "sp", "lane": Lane.LIVE, "from_seq": 1, "to_seq": 3}

SAID: tuple[Event, ...] = (
    smoke("a1", -90_000, received_ms=0),
    access("g1", -90_000, received_ms=0),
    of(ObjectFell, "f1", -90_000, "cam1", **FALL, started_ms=T0 - 90_500, received_ms=0),
    of(RowsDropped, "r1", -90_000, "box1", **GONE, from_ms=T0 - 99_000, to_ms=T0 - 95_000, received_ms=0),
)


@pytest.mark.parametrize("said", SAID, ids=lambda event: type(event).__name__)
def test_a_message_is_itself_whatever_ingest_has_learnt_of_its_clock(said: Event) -> None:
    clocks = ClockRules()
    for n in range(9):  # a minute and more: the clock is 90 s behind
        clocks.apply(msgspec.structs.replace(said, at_ms=T0 + n * 10_000 - 90_000), T0 + n * 10_000)
    first, again = ClockRules().apply(said, T0), clocks.apply(said, T0 + 100_000)
    assert first != msgspec.structs.replace(again, received_ms=first.received_ms)
    assert content_marks(first) == content_marks(again)


def test_every_field_that_all_events_have_is_said_by_the_device_or_settled_by_ingest() -> None:
    """Who adds a field decides: what a second delivery of the same bytes may carry otherwise is settled."""
    said = {field.name for field in msgspec.structs.fields(Event)} - SETTLED - KEYED
    assert said == {"seq", "origin", "model", "evidence"}


@pytest.mark.parametrize(
    ("name", "other"),
    [("seq", 4), ("origin", "drill"), ("model", "m"), ("track_id", 2), ("started_ms", T0 - 91_000)],
)
def test_whatever_the_device_says_otherwise_makes_another_message(name: str, other: object) -> None:
    example = SAID[2]
    assert content_marks(msgspec.structs.replace(example, **{name: other})) != content_marks(example)


def test_a_device_that_never_knew_the_time_is_dropped_for_a_minute_and_no_longer() -> None:
    """Its counter and its clock begin again at boot, so its second fire is said in the very same bytes."""
    first = smoke("smoke1-1", 0, seq=1, device_at_ms=5_000)

    def at(later_ms: int) -> EnvironmentSampled:
        return msgspec.structs.replace(first, at_ms=first.at_ms + later_ms, received_ms=first.received_ms + later_ms)

    assert [duplicates(first, at(ms))[0] for ms in (0, 1_000, 59_999, 120_000, DAY_MS)] == [1, 1, 1, 0, 0]
    cleared = smoke("smoke1-2", 90_000, seq=2, alarm=False, device_at_ms=95_000)
    assert len(fires(first, cleared, at(DAY_MS))) == 2


def received(own_ms: int, *at_ms: int, timely: bool = True) -> list[EnvironmentSampled]:
    """One alarm in the same bytes, as ingest takes it each time: after ``T0`` by the device's clock, and by receipt."""
    clocks = ClockRules()
    said = smoke("ALARM", own_ms, received_ms=0)
    return [clocks.apply(said, T0 + later_ms, timely=timely) for later_ms in at_ms]


@pytest.mark.parametrize("own_ms", [-1_000, -20 * HOUR_MS, 8 * HOUR_MS])
def test_an_alarm_of_a_clock_that_stands_still_is_heard_again_after_hours(own_ms: int) -> None:
    hours = [0, 5, 9, 12, 30, 33, 80]
    assert duplicates(*received(own_ms, *(n * HOUR_MS for n in hours))) == (0, len(hours) - 1)


@pytest.mark.parametrize("own_ms", [-1_000, -15 * HOUR_MS, 8 * HOUR_MS])
@pytest.mark.parametrize("first_ms", [0, 5 * HOUR_MS])
def test_an_alarm_that_is_sent_again_within_minutes_is_one(first_ms: int, own_ms: int) -> None:
    times = [first_ms + minutes * 60_000 for minutes in (0, 1, 10, 30, 59)]
    assert duplicates(*received(own_ms, *times)) == (4, 0)


@pytest.mark.parametrize("away_ms", [60_000, 5 * HOUR_MS, 3 * DAY_MS, 29 * DAY_MS])
def test_an_alarm_that_the_broker_gives_again_after_an_outage_is_one(away_ms: int) -> None:
    (first,), (again,) = received(-200, 0), received(-200, away_ms, timely=False)
    assert duplicates(first, again) == (1, 0)


def test_what_is_no_alarm_is_the_same_message_after_hours_too() -> None:
    clocks, said = ClockRules(), access("a1", 0, granted=True, received_ms=0)
    assert duplicates(*[clocks.apply(said, T0 + n * HOUR_MS) for n in (0, 5, 9)]) == (2, 0)


def test_two_deliveries_are_the_same_message_in_either_order() -> None:
    first, again = received(-1_000, 5 * HOUR_MS, 6 * HOUR_MS - 1)
    assert is_same_message(first, again)
    assert is_same_message(again, first)
    never_set = [
        msgspec.structs.replace(smoke("a", 0, device_at_ms=5_000), received_ms=T0 + n) for n in (59_000, 61_000)
    ]
    assert is_same_message(*never_set)
    assert is_same_message(*reversed(never_set))


def test_what_was_stored_long_ago_is_itself_though_a_day_has_passed() -> None:
    old = smoke("a1", -2 * DAY_MS, received_ms=0, stored=True)
    assert duplicates(old, msgspec.structs.replace(old, received_ms=T0 + HOUR_MS)) == (1, 0)


# --- how much is remembered -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sources", [1, 3, 200])
def test_all_that_may_be_in_flight_at_the_broker_is_remembered_whole(sources: int) -> None:
    said = [access(f"e{n}", n, f"d{n % sources}", granted=False) for n in range(IN_FLIGHT)]
    engine = engine_of([Denial()])
    feed_all(engine, [batch(None, *said[n : n + 512]) for n in range(0, IN_FLIGHT, 512)])
    feed_all(engine, [batch(None, *said[n : n + 512]) for n in range(0, IN_FLIGHT, 512)])
    assert (engine.counts.duplicates, engine.counts.ids_reused) == (IN_FLIGHT, 0)


def test_the_last_64_of_a_quiet_source_are_remembered_however_loud_the_site_is() -> None:
    quiet = [access(f"q{n}", n, "quiet") for n in range(MAX_IDS + 1)]
    loud = [access(f"l{n}", n, f"loud{n % 7}") for n in range(2 * IN_FLIGHT)]
    marks = Deduplicator()
    assert all(marks.take(event) is event for event in (*quiet, *loud))
    assert [marks.take(event) for event in quiet[1:]] == [None] * MAX_IDS
    assert marks.take(quiet[0]) is quiet[0]


def test_marks_of_5800_devices_take_little_memory() -> None:
    marks = Deduplicator()
    for n in range(64 * 300):
        assert marks.take(access(f"d{n % 300}-{n}", n, f"d{n % 300}")) is not None
    row = marks.row()
    assert sum(len(each.ids) for each in row.marks.values()) == 8 * 64 * 300
    assert len(row.recent) == IN_FLIGHT
    taken = [source.taken for source in marks._sources.values()]
    each = [sys.getsizeof(t) + sum(sys.getsizeof(k) + sys.getsizeof(v) for k, v in t.items()) for t in taken]
    assert max(each) * 5_800 < 69 * 1024 * 1024


def test_a_source_that_was_loud_gives_back_what_it_took() -> None:
    marks = Deduplicator()
    for source in ("a", "b", "c"):
        for n in range(IN_FLIGHT):
            marks.take(access(f"{source}{n}", n, source))
    kept = {source: len(each.contents) // 4 for source, each in marks.row().marks.items()}
    assert kept == {"a": MAX_IDS, "b": MAX_IDS, "c": IN_FLIGHT}


# --- devices that are removed -----------------------------------------------------------------------------------------


def fell(received_ms: int) -> ObjectFell:
    """One row of a box, unacknowledged."""
    mark = SpoolMark("box1", "sp1", Lane.LIVE, 7)
    return of(ObjectFell, "sp-7", 500, "cam1", **FALL, started_ms=T0, spool=mark, received_ms=received_ms)


def box(version: int, at_ms: int, **more: Any) -> DeviceConfigured:
    """The box's record."""
    return device(version, at_ms, "box1", device_class=DeviceClass.EDGE, **more)


def test_a_device_that_was_removed_and_put_back_is_not_taken_twice() -> None:
    said = (access("e1", 0, "box1"), fell(510))
    marks = Deduplicator()
    for event in (box(1, 0), *said, box(2, 1_000, removed=True), box(3, 2_000)):
        assert marks.take(event) is event
    assert [marks.take(event) for event in (said[0], fell(3_000))] == [None, None]


def test_a_removed_device_is_forgotten_when_nothing_of_it_can_come_any_more() -> None:
    marks = Deduplicator()
    for event in (box(1, 0), access("e1", 0, "box1"), fell(510), box(2, 1_000, removed=True)):
        assert marks.take(event) is event
    for n in range(IN_FLIGHT):
        marks.take(access(f"o{n}", n, "other"))
    marks.take(device(3, 32 * DAY_MS, "other", removed=True))
    row = marks.row()
    assert (list(row.marks), list(row.lanes), row.removed) == (["other"], [], {"other": T0 + 32 * DAY_MS})


# --- snapshots --------------------------------------------------------------------------------------------------------


def said_by_many(count: int) -> list[AnyEvent]:
    """Events of which some come again, and some ids too."""
    return [access(f"e{n % 97}", n // 3, f"d{n % 11}", person_ref=f"p{n % 5}") for n in range(count)]


@pytest.mark.parametrize("cut", [0, 1, 500, 4_500, 9_000])
def test_marks_from_a_snapshot_go_on_as_if_they_had_never_been_saved(cut: int) -> None:
    events = said_by_many(9_000)
    marks, saved = Deduplicator(), Deduplicator()
    for event in events[:cut]:
        assert (marks.take(event) is None) == (saved.take(event) is None)
    saved = Deduplicator(msgspec.msgpack.decode(msgspec.msgpack.encode(saved.row()), type=DedupRow))
    assert [marks.take(event) for event in events[cut:]] == [saved.take(event) for event in events[cut:]]
    assert marks.row() == saved.row()


def of_an_earlier_version(row: SnapshotRow, events: Sequence[Event]) -> SnapshotRow:
    """The row as it was kept before contents were remembered: ids of 8 bytes, and nothing of what was said."""
    content = decode_row(row)
    ids: dict[str, bytes] = {}
    for event in events:
        mark = hashlib.blake2b(event.event_id.encode(), digest_size=8).digest()
        ids[event.source_id] = ids.get(event.source_id, b"") + mark
    dedup = msgspec.convert([content.dedup.config_version, ids, content.dedup.lanes], DedupRow, builtin_types=(bytes,))
    return encode_row(msgspec.structs.replace(content, dedup=dedup), row.digest)


def test_what_was_in_flight_during_an_upgrade_is_dropped_and_what_is_new_is_judged() -> None:
    said = [access(f"e{n}", n * 1_000, granted=False) for n in range(60)]
    before = engine_of([Denial()])
    told = findings(feed_all(before, [batch(40_000, *said)]))
    old = of_an_earlier_version(before.snapshot("s1"), said)
    after = engine_of([Denial()])
    start = after.restore([old], before.manifest())
    again = [msgspec.structs.replace(event, received_ms=event.received_ms + 90_000) for event in said]
    assert findings(after.feed(batch(None, *again), start)) == []
    assert after.counts.duplicates == 60
    new = access("e3", 120_000, granted=False)  # its counter began again
    found = findings(after.feed(batch(200_000, new), start + 1))
    assert [finding.onset_ms - T0 for finding in found] == [*range(40_000, 60_000, 1_000), 120_000]
    assert {finding.finding_id for finding in told}.isdisjoint(finding.finding_id for finding in found)


def test_marks_of_an_earlier_version_age_with_what_is_new() -> None:
    said = [access(f"e{n}", n) for n in range(64)]
    engine = engine_of([Denial()])
    engine.feed(batch(None, *said), 0)
    old = decode_row(of_an_earlier_version(engine.snapshot("s1"), said))
    marks = Deduplicator(old.dedup, T0 + 63)
    for n in range(64):
        marks.take(access(f"new{n}", 1_000 + n))
    assert marks.row().ids == {}


def test_contents_of_other_fields_than_ours_say_nothing_and_ids_still_do() -> None:
    marks = Deduplicator()
    said = [access(f"e{n}", n) for n in range(10)]
    for event in said:
        marks.take(event)
    row = msgspec.structs.replace(marks.row(), content_schema=1)
    other = Deduplicator(row, newest_ms=T0 + 9)
    assert [other.take(event) for event in said] == [None] * 10
    later = access("e3", 60_000)
    taken = other.take(later)
    assert taken is not None
    assert taken.event_id == told_apart("e3", content_marks(later)[0])


def test_what_ingest_says_of_itself_is_recognised_too() -> None:
    gap = of(IngestInterrupted, "run1-gap", 0, "ingest", from_ms=T0, to_ms=T0 + 5_000)
    assert duplicates(gap, gap) == (1, 0)
