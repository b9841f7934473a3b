"""One rule over events in event time, with its deadlines: the least that a rule test needs.

Records of configuration are folded into the site's view before the rule sees them; events of one millisecond go by
source and sequence, before deadlines of the same millisecond, as in the engine. Nothing is late here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import msgspec

from contracts.events import AnyEvent, ConfigurationRecord, Event
from contracts.findings import Fact, Finding, Phase, finding_id
from contracts.places import Place, PlaceKind, PlaceUse
from detectors.core.facts import FACT_VALUES
from detectors.core.rule import MAX_KEYS, MAX_STATE_BYTES, Draft, Outcome, Rule
from detectors.core.site_view import SiteView, apply_record
from tests.detectors.builders import T0

SITE = "s1"
IDS = {"column"}
"""Facts whose texts are ids, and no words to be translated."""


class Decided(msgspec.Struct, frozen=True):
    """A draft with its key and the event time at which it was decided."""

    key: str
    at_ms: int
    draft: Draft

    @property
    def phase(self) -> Phase:
        """The draft's phase."""
        return self.draft.phase

    def fact(self, code: str) -> Any:
        """The value of one of its facts, None when it does not state it."""
        return next((f.value for f in self.draft.facts if f.code == code), None)

    def facts(self) -> dict[str, Fact]:
        """Its facts by code."""
        return {f.code: f for f in self.draft.facts}


class Harness:
    """A rule, a site and what was found. ``feed`` in any order of calls; time never steps back."""

    def __init__(self, rule: Rule[Any], site: SiteView | None = None) -> None:
        self.rule = rule
        self.site = site or SiteView(site_id=SITE)
        self.states: dict[str, Any] = {}
        self.found: list[Decided] = []

    def feed(self, events: Iterable[Event]) -> list[Decided]:
        """Everything found by giving ``events`` in event time, each deadline before the first later event."""
        before = len(self.found)
        for event in sorted(events, key=_order):
            self.until(event.at_ms - 1)
            apply_record(self.site, cast("AnyEvent", event))
            if isinstance(event, self.rule.accepts):
                self._give(event)
        return self.found[before:]

    def give_late(self, event: Event, received: int) -> None:
        """Give an event of the past at once, as the engine does to some rules; it came ``received`` ms after ``T0``."""
        self._give(msgspec.structs.replace(event, received_ms=T0 + received))

    def until(self, at_ms: int) -> list[Decided]:
        """Everything found by letting time pass up to and with ``at_ms``."""
        before = len(self.found)
        while (due := self._next(at_ms)) is not None:
            due_ms, key = due
            outcome = self.rule.on_deadline(self.states[key], due_ms, self.site)
            self._take(key, due_ms, outcome)
            after = self.deadline_ms(key)
            assert after is None or after > due_ms, f"{self.rule.name}: deadline {after} is not after {due_ms}"
        return self.found[before:]

    def deadline_ms(self, key: str) -> int | None:
        """The deadline of a key, None when it has no state or none is set."""
        return self.rule.deadline_ms(self.states[key]) if key in self.states else None

    def _give(self, event: Event) -> None:
        keys = self.rule.keys_of(event, self.site)
        assert list(keys) == sorted(set(keys)), f"keys {keys} are not sorted or not distinct"
        assert len(keys) <= MAX_KEYS
        for key in keys:
            state = self.states[key] if key in self.states else self.rule.initial(key)
            self._take(key, event.at_ms, self.rule.on_event(state, event, self.site))
            deadline_ms = self.deadline_ms(key)
            assert deadline_ms is None or deadline_ms >= event.at_ms or self.rule.instant

    def _take(self, key: str, at_ms: int, outcome: Outcome[Any]) -> None:
        if outcome.state is None:
            self.states.pop(key, None)
        else:
            data = msgspec.msgpack.encode(outcome.state)
            assert len(data) <= MAX_STATE_BYTES, f"{self.rule.name}: state of {len(data)} bytes"
            again = msgspec.msgpack.decode(data, type=self.rule.state_type)
            assert again == outcome.state, "a state must survive a restart"
            self.states[key] = again
        for draft in outcome.drafts:
            assert_words_are_known(draft.facts)
        self.found += [Decided(key, at_ms, draft) for draft in outcome.drafts]

    def _next(self, at_ms: int) -> tuple[int, str] | None:
        due = [(d, key) for key in self.states if (d := self.deadline_ms(key)) is not None and d <= at_ms]
        return min(due, default=None)


def assert_words_are_known(facts: Sequence[Fact]) -> None:
    """Every value that is a word is in the closed set of its code, so that it has its translations."""
    for fact in facts:
        known = fact.code in IDS or not isinstance(fact.value, str) or fact.value in FACT_VALUES.get(fact.code, ())
        assert known, f"detectors/core/facts.py: FACT_VALUES of {fact.code!r} lack {fact.value!r}"


def run(rule: Rule[Any], events: Iterable[Event], until_ms: int | None = None) -> list[Decided]:
    """Everything ``rule`` finds in ``events``, and up to ``until_ms`` after them."""
    harness = Harness(rule)
    harness.feed(events)
    if until_ms is not None:
        harness.until(until_ms)
    return harness.found


def phases(found: Sequence[Decided]) -> list[Phase]:
    """The phases, in order."""
    return [decided.phase for decided in found]


def id_of(rule: Rule[Any], decided: Decided) -> str:
    """The finding_id that the engine gives it."""
    episode = decided.draft.episode
    return finding_id(SITE, rule.name, decided.key, episode.onset_ms, episode.event_id, episode.nth)


def place(place_id: str, use: PlaceUse, kind: PlaceKind = PlaceKind.ZONE, **where: Any) -> Place:
    """A place of the test site."""
    return Place(place_id=place_id, kind=kind, use=use, **where)


def _order(event: Event) -> tuple[int, str, int]:
    number = event.version if isinstance(event, ConfigurationRecord) else event.seq
    return event.at_ms, event.source_id, number or 0


__all__ = ["SITE", "Decided", "Finding", "Harness", "id_of", "phases", "place", "run"]
