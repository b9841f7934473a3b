"""The engine releases in event time, dedupes, and keeps late events away from rules that wait."""

from __future__ import annotations

from typing import ClassVar

import pytest

from contracts.batch import Batch
from contracts.errors import ConfigurationError, LogBroken
from contracts.events import (
    AccessAttempted,
    AnyEvent,
    BacklogDrained,
    DoorState,
    EnvironmentSampled,
    Event,
    IngestInterrupted,
    Lane,
    PowerSampled,
    SpoolMark,
)
from contracts.findings import Finding, Phase, Rejudge, finding_id
from detectors.core.site_view import SiteView
from streams.engine.snapshot import decode_row
from tests.streams.rules import RULES, Denial, Gathering, Held, Silence, Tailgate
from tests.streams.support import (
    FAR_MS,
    T0,
    access,
    batch,
    device,
    door,
    engine_of,
    feed_all,
    findings,
    judge,
    of,
    passage,
    reported,
    seen,
    threshold,
)

OPEN, CLOSED = DoorState.OPEN, DoorState.CLOSED


def test_a_watermark_releases_only_what_lies_before_it_less_the_bound() -> None:
    engine = engine_of([Denial()])
    denied = access("e1", 1_000, granted=False)
    assert engine.feed(batch(1_000, denied), 0) == []
    found = findings(engine.feed(batch(1_001), 1))
    assert [(f.rule, f.phase, f.onset_ms, f.position, f.number) for f in found] == [
        ("denial", Phase.OPEN, T0 + 1_000, 1, 0)
    ]
    assert engine.feed(batch(FAR_MS - T0), 2) == []


def test_a_finding_says_who_decided_it_when_and_when_it_was_due() -> None:
    (found,) = findings(judge([Denial()], batch(5_000, access("e1", 1_000, granted=False, received_ms=1_300))))
    assert found == Finding(
        finding_id=finding_id("s1", "denial", "d1", T0 + 1_000, "e1", 0),
        open_id=finding_id("s1", "denial", "d1", T0 + 1_000, "e1", 0),
        nth=0,
        site_id="s1",
        rule="denial",
        key="d1",
        phase=Phase.OPEN,
        subject=found.subject,
        place_id="p-d1",
        onset_ms=T0 + 1_000,
        onset_event_id="e1",
        decided_ms=T0 + 1_000,
        due_ms=T0 + 1_300,
        severity=found.severity,
    )


def test_a_watermark_of_0_releases_nothing_and_a_lower_one_only_what_it_brings() -> None:
    engine = engine_of([Held()])
    assert engine.feed(batch(None, door("e1", 0, state=OPEN)), 0) == []
    assert engine.feed(batch(20_000), 1) == []
    assert len(engine.feed(batch(30_201), 2)) == 1
    assert engine.feed(batch(None, door("e2", 40_000, state=CLOSED)), 3) == []
    (closed,) = findings(engine.feed(batch(40_201), 4))
    assert (closed.phase, closed.nth, closed.open_id) == (Phase.CLOSE, 1, finding_id("s1", "held", "d1", T0, "e1", 0))


def test_a_deadline_is_due_after_its_bound_and_names_the_deadline_as_its_time() -> None:
    outputs = judge([Held()], batch(0, door("e1", 0, state=OPEN)), batch(30_200), batch(30_201))
    (held,) = findings(outputs)
    assert (held.position, held.decided_ms, held.due_ms) == (2, T0 + 30_000, T0 + 30_200)


def test_events_go_before_deadlines_of_the_same_millisecond() -> None:
    log = batch(60_000, door("e1", 0, state=OPEN), door("e2", 30_000, state=CLOSED))
    assert judge([Held()], log) == []


def test_two_sources_reach_a_fusion_rule_in_event_time_whatever_their_arrival() -> None:
    forth: list[AnyEvent] = [passage("p1", 100, place_id="door1"), access("a1", 50, place_id="door1")]
    assert judge([Tailgate()], batch(60_000, *forth)) == []
    assert judge([Tailgate()], batch(None, forth[0]), batch(60_000, forth[1])) == []
    (alone,) = findings(judge([Tailgate()], batch(60_000, forth[0])))
    assert (alone.rule, alone.key, alone.decided_ms) == ("tailgate", "door1", T0 + 3_100)


def test_an_event_of_several_keys_reaches_each_once() -> None:
    found = findings(judge([Gathering()], batch(60_000, *[seen(f"e{n}", n) for n in range(10)])))
    assert [f.key for f in found] == ["label/bicycle", "zone/p-c1"]
    assert [f.number for f in found] == [0, 1]


def test_the_classes_of_a_site_release_in_one_order_of_time() -> None:
    events: list[AnyEvent] = [access("a1", 9_000, granted=False), *[seen(f"e{n}", n) for n in range(10)]]
    assert [f.rule for f in findings(judge(RULES, batch(60_000, *events)))] == ["gathering", "gathering", "denial"]


# --- duplicates -------------------------------------------------------------------------------------------------------


def test_an_id_seen_before_is_dropped_within_and_between_batches() -> None:
    denied = access("e1", 1_000, granted=False)
    engine = engine_of([Denial()])
    assert len(feed_all(engine, [batch(None, denied, denied), batch(9_000, denied), batch(10_000, denied)])) == 1
    assert engine.counts.duplicates == 3


def test_a_spool_row_is_dropped_up_to_its_lanes_high_water_mark() -> None:
    def row(event_id: str, lane: Lane, seq: int, spool_id: str = "sp1") -> AccessAttempted:
        mark = SpoolMark("box1", spool_id, lane, seq)
        return access(event_id, 1_000 + seq, "c1", granted=False, spool=mark)

    rows = [row("a", Lane.LIVE, 1), row("b", Lane.LIVE, 2), row("a", Lane.LIVE, 1), row("b", Lane.LIVE, 2)]
    rows += [row("c", Lane.LIVE, 5), row("d", Lane.BACKLOG, 1), row("a2", Lane.LIVE, 1, "sp2"), row("c", Lane.LIVE, 5)]
    found = findings(judge([Denial()], batch(9_000, *rows)))
    assert [f.onset_event_id for f in found] == ["a", "a2", "d", "b", "c"]


def test_a_configuration_record_is_applied_once_by_its_version() -> None:
    log = [
        batch(None, threshold(2, 0, "held", "held_ms", 5_000), threshold(1, 0, "held", "held_ms", 90_000)),
        batch(None, threshold(2, 10, "held", "held_ms", 70_000), door("e1", 1_000, state=OPEN)),
        batch(6_201),
    ]
    (held,) = findings(judge([Held()], *log))
    assert (held.onset_ms, held.decided_ms, held.config_version) == (T0 + 1_000, T0 + 6_000, 2)


def test_records_of_one_millisecond_are_folded_in_order_of_version() -> None:
    records = [threshold(n, 0, "held", "held_ms", 1_000 * n) for n in range(1, 12)]
    (held,) = findings(judge([Held()], batch(60_000, *records, door("e1", 1, state=OPEN))))
    assert (held.decided_ms, held.config_version) == (T0 + 11_001, 11)


# --- configuration and interruptions ----------------------------------------------------------------------------------


def test_a_device_never_heard_from_is_silent_after_its_record() -> None:
    (silent,) = findings(judge([Silence()], batch(None, device(1, 0, "d9")), batch(60_001)))
    assert (silent.key, silent.onset_ms, silent.onset_event_id, silent.nth) == ("d9", T0 + 60_000, None, 0)


def test_an_interruption_of_ingest_reaches_the_site_view_of_every_class() -> None:
    gap = of(IngestInterrupted, "i1", 50_000, "ingest", from_ms=T0 + 10_000, to_ms=T0 + 50_000)
    assert judge([Silence()], batch(None, device(1, 0, "d9")), batch(60_001, gap)) == []


# --- late events ------------------------------------------------------------------------------------------------------


def test_a_late_event_reaches_instant_rules_at_once_and_flagged_and_no_other_rule() -> None:
    log = [
        batch(10_000, access("e1", 5_000, place_id="door1", received_ms=5_000)),
        batch(None, access("e0", 4_000, granted=False, place_id="door1", received_ms=10_500)),
    ]
    outputs = judge([Denial(), Tailgate()], *log)
    (late,) = findings(outputs)
    assert (late.rule, late.late_by_ms, late.position, late.due_ms) == ("denial", 6_500, 1, T0 + 10_500)
    assert outputs == [late]


def test_lateness_is_judged_by_what_was_released_never_by_a_watermark() -> None:
    log = [batch(90_000), batch(90_500, passage("p1", 1_000, place_id="door1", received_ms=90_400))]
    (found,) = findings(judge([Tailgate()], *log))
    assert (found.onset_event_id, found.late_by_ms) == ("p1", 0)


def test_up_to_200_ms_another_sources_release_makes_nobody_late() -> None:
    log = [
        batch(5_000, door("a1", 4_000, "d1", state=OPEN)),
        batch(90_000, door("b1", 1_000, "d2", state=OPEN), door("a0", 1_000, "d1", state=CLOSED, received_ms=5_100)),
    ]
    outputs = judge([Held()], *log)
    assert [(f.key, f.onset_event_id) for f in findings(outputs)] == [("d2", "b1"), ("d1", "a1")]
    assert [(r.rules, r.from_ms) for r in outputs if isinstance(r, Rejudge)] == [(("held",), T0 + 1_000)]


def test_a_fired_deadline_makes_late_the_source_whose_event_last_changed_its_key() -> None:
    opened = batch(31_000, door("a1", 0, "d1", state=OPEN))
    late = batch(None, door("a2", 20_000, "d1", state=CLOSED, received_ms=31_100))
    other = batch(None, door("b1", 20_000, "d2", state=OPEN, received_ms=31_100))
    engine = engine_of([Held()])
    assert [f.phase for f in findings(feed_all(engine, [opened, late, other]))] == [Phase.OPEN]
    assert engine.counts.late == 1
    assert [f.key for f in findings(engine.feed(batch(50_201), 3))] == ["d2"]


def test_a_stored_event_is_treated_as_late_even_when_nothing_was_released() -> None:
    stored = door("e1", 0, state=OPEN, stored=True, received_ms=40_000)
    outputs = judge([Held()], batch(40_100, stored), batch(50_001))
    assert [type(output) for output in outputs] == [Rejudge]


def test_a_record_that_comes_late_is_folded_at_once_and_not_lost() -> None:
    engine = engine_of([Held()])
    engine.feed(batch(None, threshold(1, 5_000, "held", "held_ms", 90_000)), 0)
    engine.feed(batch(9_000), 1)
    engine.feed(batch(9_000, threshold(2, 1_000, "held", "held_ms", 1_000), door("e1", 9_000, state=OPEN)), 2)
    (held,) = findings(engine.feed(batch(20_000), 3))
    assert (held.decided_ms, held.config_version) == (T0 + 10_000, 2)


# --- positions --------------------------------------------------------------------------------------------------------


def test_a_position_fed_before_is_skipped_and_a_gap_is_refused() -> None:
    engine = engine_of([Denial()])
    denied = access("e1", 1_000, granted=False)
    assert len(engine.feed(batch(2_000, denied), 0)) == 1
    assert engine.feed(batch(9_000, access("e2", 3_000, granted=False)), 0) == []
    with pytest.raises(LogBroken, match="positions 1 to 1 are missing"):
        engine.feed(batch(9_000), 2)
    with pytest.raises(LogBroken, match="positions 1 to 4 are missing"):
        engine.unreadable(5, "rubbish")
    assert engine.next_position == 1
    assert engine.feed(batch(9_000), 1) == []


def test_what_retention_took_is_skipped_only_on_purpose() -> None:
    engine = engine_of([Denial()])
    engine.skip_to(7)
    assert len(engine.feed(batch(2_000, access("e1", 1_000, granted=False)), 7)) == 1
    with pytest.raises(LogBroken, match="cannot go back"):
        engine.skip_to(3)


def test_an_undecodable_record_is_a_finding_and_the_position_advances() -> None:
    engine = engine_of([Denial()])
    (found,) = findings(engine.unreadable(0, "not a batch"))
    assert (found.rule, found.site_id, found.key, found.position) == ("batch_unreadable", "partition-0", "0", 0)
    assert engine.unreadable(0, "not a batch") == []
    assert engine.next_position == 1
    assert engine.changed_sites() == []


def test_a_record_of_another_partition_or_site_is_refused() -> None:
    engine = engine_of([Denial()])
    with pytest.raises(LogBroken, match="holds partition 3"):
        engine.feed(Batch(partition=3, watermark_ms=0), 0)
    elsewhere = engine_of([Denial()], partition=1, partitions=2)
    with pytest.raises(LogBroken, match="does not live in partition 1"):
        elsewhere.feed(batch(None, access("e1", 0, site_id="s2"), partition=1), 0)


def test_two_rules_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="two rules are called 'denial'"):
        engine_of([Denial(), Denial()])


def test_the_order_in_which_rules_are_given_plays_no_part() -> None:
    log = [batch(90_000, *[seen(f"e{n}", n) for n in range(20)], access("a", 5, granted=False), device(1, 0, "d2"))]
    assert judge(RULES, *log) == judge(RULES[::-1], *log)
    assert engine_of(RULES).digest == engine_of(RULES[::-1]).digest != engine_of(RULES[1:]).digest


def test_kinds_that_no_rule_takes_leave_no_trace() -> None:
    engine = engine_of([Held()])
    engine.feed(batch(None, of(PowerSampled, "w", 0, power_w=1.0), reported("r", 0)), 0)
    assert (engine.changed_sites(), engine.site_ids()) == ([], [])
    engine.feed(batch(None, of(BacklogDrained, "b", 0, "box1", spool_id="sp1")), 1)
    assert engine.site_ids() == ["s1"]


class HeldAtPlace(Held):
    """A single key for all doors of a place: two sources may change it."""

    name = "held_at_place"

    def keys_of(self, event: Event, site: SiteView) -> tuple[str, ...]:
        return (event.place_id,)


@pytest.mark.parametrize(
    ("second", "late_source"),
    [
        ([door("b1", 10, "d2", state=OPEN, place_id="x")], "d1"),  # says what is known: nothing changes
        ([door("b0", 5, "d2", state=CLOSED, place_id="x"), door("b1", 10, "d2", state=OPEN, place_id="x")], "d2"),
    ],
)
def test_the_source_that_last_changed_the_key_is_late_behind_its_deadline(
    second: list[AnyEvent], late_source: str
) -> None:
    for source_id in ("d1", "d2"):
        engine = engine_of([HeldAtPlace()])
        feed_all(engine, [batch(31_000, door("a1", 0, "d1", state=OPEN, place_id="x"), *second)])
        engine.feed(batch(None, door("z", 20_000, source_id, state=OPEN, place_id="x", received_ms=31_100)), 1)
        assert engine.counts.late == (source_id == late_source)


def test_readings_without_a_number_leave_no_mark_but_an_alarm_does() -> None:
    readings = [of(EnvironmentSampled, "r", 0), of(EnvironmentSampled, "r", 0)]
    alarms = [of(EnvironmentSampled, "a", 1, alarm=True), of(EnvironmentSampled, "a", 1, alarm=True)]

    class Warmth(Denial):
        accepts: ClassVar[tuple[type[Event], ...]] = (EnvironmentSampled,)

    engine = engine_of([Warmth()])
    engine.feed(batch(None, *readings, *alarms), 0)
    assert (engine.counts.events, engine.counts.duplicates) == (4, 1)
    assert decode_row(engine.snapshot("s1")).dedup.marks.keys() == {"d1"}
    assert len(decode_row(engine.snapshot("s1")).dedup.marks["d1"].ids) == 8
