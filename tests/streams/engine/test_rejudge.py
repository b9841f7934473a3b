"""Late and stored events mark windows to judge again; requests come when a drain ends, and once more later."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from contracts.events import (
    AccessAttempted,
    AnyEvent,
    BacklogDrained,
    DeviceReported,
    EnvironmentSampled,
    Event,
    Lane,
    SpoolMark,
)
from contracts.findings import Output, Rejudge
from tests.streams.rules import RULES, Denial, Gathering, Silence, Tailgate
from tests.streams.support import T0, access, batch, engine_of, feed_all, judge, of, passage, seen

HOUR_MS = 3_600_000


def _asked(outputs: list[Output]) -> list[tuple[tuple[str, ...], int, int, int]]:
    return [(r.rules, r.from_ms - T0, r.to_ms - T0, r.position) for r in outputs if isinstance(r, Rejudge)]


def _row(event_id: str, at_ms: int, seq: int, received_ms: int, **more: Any) -> AccessAttempted:
    mark = SpoolMark("box1", "sp1", Lane.BACKLOG, seq)
    return access(event_id, at_ms, "c1", spool=mark, stored=True, received_ms=received_ms, **more)


def _drained(at_ms: int, spool_id: str = "sp1") -> BacklogDrained:
    return of(BacklogDrained, f"drained-{at_ms}", at_ms, "box1", spool_id=spool_id)


def test_a_drains_window_is_its_span_and_due_when_its_source_says_drained() -> None:
    log = [
        batch(60_000, _row("a", 5_000, 1, 60_000), _row("b", 20_000, 2, 60_100)),
        batch(60_200, _row("c", 9_000, 3, 60_150)),
        batch(60_300, _drained(60_250)),
    ]
    assert _asked(judge([Tailgate()], *log)) == [(("tailgate",), 5_000, 20_000, 2)]


def test_without_a_word_a_drain_is_over_ten_seconds_after_its_last_event() -> None:
    log = [
        batch(60_000, _row("a", 5_000, 1, 60_000)),
        batch(69_000, _row("b", 6_000, 2, 69_000)),
        batch(79_000),
        batch(79_001),
    ]
    assert _asked(judge([Tailgate()], *log)) == [(("tailgate",), 5_000, 6_000, 3)]


def test_another_spools_word_ends_nothing() -> None:
    log = [batch(60_000, _row("a", 5_000, 1, 60_000)), batch(60_300, _drained(60_250, "sp2")), batch(70_000)]
    assert judge([Tailgate()], *log) == []


def test_each_rule_is_judged_again_once_more_when_it_has_forgotten_the_window() -> None:
    log = [batch(60_000, _row("a", 50_000, 1, 60_000)), batch(60_300, _drained(60_250))]
    log += [batch(172_000), batch(172_001), batch(9_000_000)]  # 50 s + 2 · 60 s horizon + 2 s bound
    assert _asked(judge([Tailgate()], *log)) == [
        (("tailgate",), 50_000, 50_000, 1),
        (("tailgate",), 50_000, 50_000, 3),
    ]


def test_a_window_already_forgotten_is_judged_once() -> None:
    log = [batch(HOUR_MS, _row("a", 50_000, 1, HOUR_MS)), batch(HOUR_MS + 300, _drained(HOUR_MS + 100))]
    assert len(_asked(judge([Tailgate()], *log, batch(9 * HOUR_MS)))) == 1


def test_strays_wait_until_ten_minutes_after_the_sites_last_request() -> None:
    def stray(n: int, received_ms: int) -> list[Any]:
        newest = passage(f"new{n}", received_ms - 4_000, "c2", place_id=f"door{n}")
        return [
            batch(received_ms, newest),
            batch(None, passage(f"old{n}", received_ms - 9_000, received_ms=received_ms)),
        ]

    log = [*stray(1, 60_000), batch(70_001), *stray(2, 100_000), batch(669_999), batch(670_001)]
    assert [(position, to_ms) for rules, _, to_ms, position in _asked(judge([Tailgate()], *log))] == [
        (2, 51_000),
        (5, 51_000),  # once more, two horizons later
        (6, 91_000),
    ]


def test_receipt_rules_instant_rules_and_unforgetting_ones_are_not_judged_again() -> None:
    stored: list[AnyEvent] = [
        of(DeviceReported, "r", 0, stored=True, seq=1, received_ms=60_000),
        access("a", 0, granted=False, stored=True, received_ms=60_000),
        seen("s", 0, stored=True, received_ms=60_000),
    ]
    outputs = judge([Silence(), Denial(), Gathering()], batch(60_001, *stored), batch(9 * HOUR_MS))
    assert _asked(outputs) == []
    assert len(outputs) == 1  # the denial, at once


def test_only_rules_that_name_a_key_for_the_event_are_asked() -> None:
    class Picky(Tailgate):
        name = "picky"

        def keys_of(self, event: Any, site: Any) -> tuple[str, ...]:
            return () if event.place_id == "door1" else ("k",)

    stored = access("a", 0, stored=True, received_ms=60_000, place_id="door1")
    outputs = judge([Picky(), Tailgate()], batch(60_001, stored), batch(70_001))
    assert _asked(outputs) == [(("tailgate",), 0, 0, 1)]


@pytest.mark.parametrize("stored", [False, True])
def test_late_telemetry_is_only_counted_unless_it_is_stored(*, stored: bool) -> None:
    class Warmth(Tailgate):
        name = "warmth"
        accepts: ClassVar[tuple[type[Event], ...]] = (EnvironmentSampled,)

    log = [
        batch(60_000, of(EnvironmentSampled, "n", 50_000)),
        batch(None, of(EnvironmentSampled, "o", 40_000, received_ms=60_500, stored=stored)),
        batch(80_000),
    ]
    engine = engine_of([Warmth()])
    outputs = feed_all(engine, log)
    assert len(_asked(outputs)) == (1 if stored else 0)
    assert engine.counts.late_telemetry == 1


def test_rules_that_missed_the_same_span_are_asked_together() -> None:
    class Other(Tailgate):
        name = "other"
        horizon_ms: ClassVar[int | None] = 1_000

    outputs = judge([Tailgate(), Other()], batch(60_000, _row("a", 5_000, 1, 60_000)), batch(70_001))
    assert _asked(outputs)[0] == (("other", "tailgate"), 5_000, 5_000, 1)


def test_open_windows_and_second_requests_survive_a_restart() -> None:
    log = [
        batch(60_000, _row("a", 50_000, 1, 60_000)),
        batch(60_300, _drained(60_250)),
        batch(61_000, _row("b", 51_000, 2, 61_000)),
        batch(9_000_000),
    ]
    whole = judge(RULES, *log)
    for at in range(1, 4):
        engine = engine_of(RULES)
        before = feed_all(engine, log[:at])
        again = engine_of(RULES)
        again.restore([engine.snapshot("s1")], engine.manifest())
        assert before + feed_all(again, log[at:]) == whole
    assert len(_asked(whole)) == 4
