"""Small rules for the engine's tests: one of each kind that the engine treats differently, and one that misbehaves."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from contracts.events import (
    AccessAttempted,
    ConfigurationRecord,
    DeviceConfigured,
    DeviceReported,
    DoorChanged,
    DoorState,
    Event,
    ObjectObserved,
    PassageObserved,
)
from contracts.findings import Fact, Phase, Severity, Subject, SubjectKind
from contracts.rules import RuleFacts, Threshold
from detectors.core.rule import Draft, Episode, Outcome
from detectors.core.site_view import SiteView

HELD = Threshold("held", "held_ms", 30_000, 1_000, 3_600_000, "ms", "how long a door may be open")
HELD_MS = 30_000
GRANT_MS = 3_000
SILENT_MS = 60_000


class Count(msgspec.Struct, frozen=True):
    """A schema number, a number and the running episode."""

    v: int = 1
    n: int = 0
    at_ms: int | None = None
    episode: Episode | None = None
    pad: str = ""


def draft(episode: Episode, phase: Phase, ref: str, **facts: float) -> Draft:
    """A finding about the place ``ref`` with ``facts`` as numbers."""
    listed = tuple(Fact(code=code, value=value) for code, value in facts.items())
    return Draft(episode=episode, phase=phase, subject=Subject(SubjectKind.PLACE, ref), place_id=ref, facts=listed)


class _Base:
    version: ClassVar[int] = 1
    horizon_ms: ClassVar[int | None] = 60_000
    instant: ClassVar[bool] = False
    receipt: ClassVar[bool] = False
    max_out_of_orderness_ms: ClassVar[int] = 0
    facts: ClassVar[RuleFacts] = RuleFacts(severity=Severity.INFO)
    state_type = Count

    def initial(self, key: str) -> Count:
        return Count()

    def deadline_ms(self, state: Count) -> int | None:
        return None

    def on_deadline(self, state: Count, due_ms: int, site: SiteView) -> Outcome[Count]:
        raise AssertionError("this rule has no deadlines")


class Denial(_Base):
    """Instant: every denial is a finding. It counts them, so an event taken twice shows."""

    name: ClassVar[str] = "denial"
    accepts: ClassVar[tuple[type[Event], ...]] = (AccessAttempted,)
    instant: ClassVar[bool] = True

    def keys_of(self, event: Event, site: SiteView) -> tuple[str, ...]:
        assert isinstance(event, AccessAttempted)
        return () if event.granted else (event.source_id,)

    def on_event(self, state: Count, event: Event, site: SiteView) -> Outcome[Count]:
        episode = Episode(event.at_ms, event.event_id)
        return Outcome(msgspec.structs.replace(state, n=state.n + 1), (draft(episode, Phase.OPEN, event.place_id),))


class Held(_Base):
    """Single-source, 200 ms: a door open for 30 s (or the site's threshold), with OPEN and CLOSE."""

    name: ClassVar[str] = "held"
    accepts: ClassVar[tuple[type[Event], ...]] = (DoorChanged,)
    max_out_of_orderness_ms: ClassVar[int] = 200
    facts: ClassVar[RuleFacts] = RuleFacts(severity=Severity.INFO, thresholds=(HELD,))

    def keys_of(self, event: Event, site: SiteView) -> tuple[str, ...]:
        return (event.source_id,)

    def on_event(self, state: Count, event: Event, site: SiteView) -> Outcome[Count]:
        assert isinstance(event, DoorChanged)
        if event.state is DoorState.OPEN:
            if state.episode is not None:
                return Outcome(state)
            held_ms = int(site.threshold(HELD))
            return Outcome(Count(at_ms=event.at_ms + held_ms, episode=Episode(event.at_ms, event.event_id)))
        if state.episode is None or state.at_ms is not None:
            return Outcome(None)
        return Outcome(None, (draft(state.episode, Phase.CLOSE, event.place_id),))

    def deadline_ms(self, state: Count) -> int | None:
        return state.at_ms

    def on_deadline(self, state: Count, due_ms: int, site: SiteView) -> Outcome[Count]:
        assert state.episode is not None
        after = Count(n=state.n, episode=state.episode.next())
        return Outcome(after, (draft(state.episode, Phase.OPEN, "door", version=site.config_version),))


class Tailgate(_Base):
    """Fusion of two sources, 2 s: a passage without a grant in the 3 s before or after. Key: the door."""

    name: ClassVar[str] = "tailgate"
    accepts: ClassVar[tuple[type[Event], ...]] = (AccessAttempted, PassageObserved)
    max_out_of_orderness_ms: ClassVar[int] = 2_000

    def keys_of(self, event: Event, site: SiteView) -> tuple[str, ...]:
        return (event.place_id,)

    def on_event(self, state: Count, event: Event, site: SiteView) -> Outcome[Count]:
        if isinstance(event, AccessAttempted):
            return self._grant(state, event) if event.granted else Outcome(state if state.n else None)
        if state.n and state.at_ms is not None and event.at_ms - state.at_ms + GRANT_MS <= GRANT_MS:
            return Outcome(msgspec.structs.replace(state, n=state.n - 1) if state.n > 1 else None)
        if state.episode is not None:
            return Outcome(state)
        return Outcome(Count(n=0, at_ms=event.at_ms + GRANT_MS, episode=Episode(event.at_ms, event.event_id)))

    def deadline_ms(self, state: Count) -> int | None:
        return state.at_ms

    def on_deadline(self, state: Count, due_ms: int, site: SiteView) -> Outcome[Count]:
        if state.episode is None:
            return Outcome(None)
        return Outcome(None, (draft(state.episode, Phase.OPEN, "door"),))

    def _grant(self, state: Count, event: Event) -> Outcome[Count]:
        if state.episode is not None:
            return Outcome(None)  # the passage that waited has its grant
        return Outcome(Count(n=state.n + 1, at_ms=event.at_ms + GRANT_MS))


class Silence(_Base):
    """Receipt: a configured device that is not heard for 60 s; closes when it speaks again."""

    name: ClassVar[str] = "silence"
    accepts: ClassVar[tuple[type[Event], ...]] = (DeviceConfigured, DeviceReported)
    receipt: ClassVar[bool] = True

    def keys_of(self, event: Event, site: SiteView) -> tuple[str, ...]:
        return (event.device_id if isinstance(event, DeviceConfigured) else event.source_id,)

    def on_event(self, state: Count, event: Event, site: SiteView) -> Outcome[Count]:
        if isinstance(event, ConfigurationRecord) and event.removed:
            return Outcome(None)
        closing = () if state.episode is None else (draft(state.episode, Phase.CLOSE, event.place_id),)
        return Outcome(Count(n=state.n + 1, at_ms=event.at_ms + SILENT_MS), closing)

    def deadline_ms(self, state: Count) -> int | None:
        return state.at_ms

    def on_deadline(self, state: Count, due_ms: int, site: SiteView) -> Outcome[Count]:
        if site.interrupted_from_ms < due_ms <= site.interrupted_to_ms + SILENT_MS:
            return Outcome(msgspec.structs.replace(state, at_ms=due_ms + SILENT_MS))
        episode = Episode(due_ms, None)
        return Outcome(Count(n=state.n, episode=episode.next()), (draft(episode, Phase.OPEN, "device"),))


class Gathering(_Base):
    """Fusion with several keys an event, 2 s: objects seen per zone and per label; every tenth is a finding."""

    name: ClassVar[str] = "gathering"
    accepts: ClassVar[tuple[type[Event], ...]] = (ObjectObserved,)
    max_out_of_orderness_ms: ClassVar[int] = 2_000
    horizon_ms: ClassVar[int | None] = None

    def keys_of(self, event: Event, site: SiteView) -> tuple[str, ...]:
        assert isinstance(event, ObjectObserved)
        return (f"label/{event.label}", f"zone/{event.place_id}")

    def on_event(self, state: Count, event: Event, site: SiteView) -> Outcome[Count]:
        n = state.n + 1
        found = (draft(Episode(event.at_ms, event.event_id), Phase.OPEN, event.place_id, n=n),) if n % 10 == 0 else ()
        return Outcome(Count(n=n), found)


class Naughty(_Base):
    """Does what the ``reason`` of an access attempt names; ``n`` counts what it handled properly."""

    name: ClassVar[str] = "naughty"
    accepts: ClassVar[tuple[type[Event], ...]] = (AccessAttempted,)

    def keys_of(self, event: Event, site: SiteView) -> tuple[str, ...]:
        assert isinstance(event, AccessAttempted)
        match event.reason:
            case "raise_in_keys":
                raise ValueError("no key")
            case "many_keys":
                return tuple(f"k{n:02}" for n in range(33))
            case "unsorted_keys":
                return ("b", "a")
            case "long_key":
                return ("k" * 81,)
            case _:
                return (event.source_id,)

    def on_event(self, state: Count, event: Event, site: SiteView) -> Outcome[Count]:
        assert isinstance(event, AccessAttempted)
        if event.reason == "raise":
            raise ValueError("secret")
        n, at_ms, episode = state.n + 1, event.at_ms, Episode(event.at_ms, event.event_id)
        outcomes: dict[str | None, Any] = {
            "large": Outcome(Count(n=n, pad="x" * 4_096)),
            "wrong_state": Outcome(episode),
            "no_outcome": None,
            "early": Outcome(Count(n=n, at_ms=at_ms - 1)),
            "stuck": Outcome(Count(n=n, at_ms=at_ms + 1_000)),
            "raise_later": Outcome(Count(n=n, at_ms=at_ms + 1_000, pad="raise_later")),
            "bad_finding": Outcome(Count(n=n), (draft(episode, Phase.OPEN, "p" * 81),)),
            "same_id": Outcome(Count(n=n), (draft(episode, Phase.OPEN, "p1"), draft(episode, Phase.CLOSE, "p1"))),
            "tell": Outcome(Count(n=n), (draft(episode, Phase.OPEN, event.place_id, n=state.n),)),
        }
        outcome: Outcome[Count] = outcomes.get(event.reason, Outcome(Count(n=n)))
        return outcome

    def deadline_ms(self, state: Count) -> int | None:
        return state.at_ms

    def on_deadline(self, state: Count, due_ms: int, site: SiteView) -> Outcome[Count]:
        if state.pad == "raise_later":
            raise ValueError("later")
        return Outcome(state)  # its deadline stays where it was


RULES = (Denial(), Held(), Tailgate(), Silence(), Gathering())
"""Every kind: instant 0 ms, receipt 0 ms, single-source 200 ms, two fusions of 2 s."""


def small_rules() -> tuple[Any, ...]:
    """All of them, the one that misbehaves included."""
    return (*RULES, Naughty())
