"""The contract of a rule: a pure state machine per key. Time comes in as an argument; nothing else does.

The engine calls ``on_event`` in event time and ``on_deadline`` when the watermark has passed ``deadline_ms(state)``.
A rule never sees late or stored events, except an *instant* one; one about receipt sees late events, for which it must
go by ``received_ms`` (docs/protocol.md#lateness).

A site's own numbers come from ``site.threshold(THRESHOLD)``, and always lie within the threshold's range: a record in
the log that names an unknown threshold, no number or one out of range is counted and passed over, and what was in force
before it stays in force.
"""

from __future__ import annotations

from typing import ClassVar, Generic, Protocol, TypeVar

import msgspec

from contracts.errors import LinliError
from contracts.events import Event, EvidenceRef
from contracts.findings import Fact, Phase, Severity, Subject
from contracts.rules import RuleFacts
from detectors.core.site_view import SiteView

MAX_KEYS = 32
MAX_STATE_BYTES = 4096

S = TypeVar("S", bound=msgspec.Struct)


class Episode(msgspec.Struct, frozen=True):
    """The identity of an episode from its OPEN to its CLOSE; a rule keeps it in its state and counts ``nth``.

    ``onset_ms`` is the ``at_ms`` of the event that began it (or the deadline), ``event_id`` that event (or None).
    """

    onset_ms: int
    event_id: str | None
    nth: int = 0

    def next(self) -> Episode:
        """Return the same episode, one finding later."""
        return Episode(self.onset_ms, self.event_id, self.nth + 1)


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A finding as a rule states it; the engine adds site, rule, key, ids, times, origin and versions.

    ``severity`` None takes the rule's own (``facts``). ``source_id`` is the device it rests on.
    """

    episode: Episode
    phase: Phase
    subject: Subject
    place_id: str
    source_id: str | None = None
    severity: Severity | None = None
    life_safety: bool | None = None
    verified: bool = True
    confidence: float = 1.0
    facts: tuple[Fact, ...] = ()
    evidence: tuple[EvidenceRef, ...] = ()
    model: str | None = None


class Outcome(msgspec.Struct, Generic[S], frozen=True):
    """The answer of a rule: the new state (None: this key is done and forgotten) and its findings, in order."""

    state: S | None
    drafts: tuple[Draft, ...] = ()


class Rule(Protocol[S]):
    """One rule. All class attributes are constants and part of its version."""

    name: ClassVar[str]  # stable: part of every finding id and state key
    version: ClassVar[int]
    accepts: ClassVar[tuple[type[Event], ...]]  # the kinds it wants; the engine dispatches by them
    max_out_of_orderness_ms: ClassVar[int]  # how long to wait for stragglers
    horizon_ms: ClassVar[int | None]  # what it may remember; None or > 6 h: not re-judged
    instant: ClassVar[bool]  # one event decides; may be given late events
    receipt: ClassVar[bool]  # about receipt (silence, gaps): given late events, never re-judged
    facts: ClassVar[RuleFacts]  # urgency, grouping, thresholds, fact codes; no part of the digest of rules
    state_type: type[S]

    def keys_of(self, event: Event, site: SiteView) -> tuple[str, ...]:
        """Return the keys of this rule's states that ``event`` concerns: sorted, ≤ 32, each ≤ 80 characters."""
        ...

    def initial(self, key: str) -> S:
        """Return the state of a key not seen before."""
        ...

    def on_event(self, state: S, event: Event, site: SiteView) -> Outcome[S]:
        """Return the state after ``event``. Events come in order of ``at_ms``."""
        ...

    def deadline_ms(self, state: S) -> int | None:
        """Return when to wake without an event; a function of state alone. Never before the event just handled."""
        ...

    def on_deadline(self, state: S, due_ms: int, site: SiteView) -> Outcome[S]:
        """Return the state after its deadline; its next deadline must lie after ``due_ms``."""
        ...


class StateInvariantError(LinliError):
    """A rule met a state that its own code cannot produce; the engine turns it into ``rule_failed``."""
