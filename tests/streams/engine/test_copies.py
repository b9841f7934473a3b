"""Copies of events that the deduplicator no longer remembers reach no rule that waits."""

from __future__ import annotations

import msgspec

from contracts.events import AccessAttempted, Event
from detectors.core.rule import Outcome
from detectors.core.site_view import SiteView
from tests.streams.rules import Count, Denial, Tailgate
from tests.streams.support import T0, access, bare, batch, engine_of, feed_all, findings, judge, passage

MORE = 80  # than the ids of a source that are remembered


class Counting(Tailgate):
    """Counts the grants that it is given."""

    def __init__(self) -> None:
        self.met = 0

    def on_event(self, state: Count, event: Event, site: SiteView) -> Outcome[Count]:
        self.met += isinstance(event, AccessAttempted)
        return Outcome(None)


def test_two_copies_that_wait_in_one_buffer_are_one_event() -> None:
    crowd, rule = batch(None, *(access(f"g{n}", 1_000 + n) for n in range(MORE))), Counting()
    judge([rule], crowd, crowd, batch(90_000))
    assert rule.met == MORE


def test_a_grant_that_waits_twice_lets_in_one_person() -> None:
    crowd = batch(None, *(access(f"g{n}", 1_000 + n, place_id="door") for n in range(MORE)))
    people = batch(90_000, *(passage(f"p{n}", 1_200 + n, place_id="door") for n in range(MORE + 1)))
    once, twice = judge([Tailgate()], crowd, people), judge([Tailgate()], crowd, crowd, people)
    assert [bare(found) for found in findings(twice)] == [bare(found) for found in findings(once)]
    assert len(findings(once)) == 1


def test_a_copy_of_what_was_released_last_is_given_to_no_rule_that_waits() -> None:
    crowd, rule = [access(f"g{n}", 1_000 + n) for n in range(MORE)], Counting()
    again = [msgspec.structs.replace(event, received_ms=T0 + 9_500) for event in crowd]
    judge([rule], batch(9_000, *crowd), batch(10_000, *again), batch(90_000))
    assert rule.met == MORE


def test_that_holds_after_a_restart_in_between() -> None:
    crowd, rule = [access(f"g{n}", 1_000 + n) for n in range(MORE)], Counting()
    first = engine_of([rule])
    feed_all(first, [batch(9_000, *crowd)])
    second = engine_of([rule])
    second.restore([first.snapshot("s1")], first.manifest())
    feed_all(second, [batch(10_000, *crowd), batch(90_000)])
    assert rule.met == MORE


def test_what_says_something_else_under_one_id_at_one_time_reaches_the_rules() -> None:
    """Its device gives every event one id; an alarm must not be taken for the word before it."""
    words = [access("same", 1_000, granted=True), access("other", 1_000), access("same", 1_000, granted=False)]
    more = [access(f"m{n}", 2_000 + n) for n in range(MORE)]
    late = batch(90_000, msgspec.structs.replace(words[2], received_ms=T0 + 9_500))
    assert len(findings(judge([Denial()], batch(None, *words[:2], *more), late))) == 1
