"""`stranger_entry` 陌生人进入: someone came in without a credential of their own.

Situation: a door with a gate and something that sees passages. Each inward passage needs a grant that covers it; the
one that none covers is a finding: *tailgating* (right behind somebody's grant), *door_held* (the door stayed open long
after a grant), *open_door* (it stood open without one, for instance for somebody going out), *no_grant* (no opening
was seen).

Events, all of one door: ``AccessAttempted``, ``PassageObserved``, ``DoorChanged``; and the gate's own
``DeviceReported`` and ``DeviceStateChanged``, which prove it live. Each uncovered passage is its own OPEN.

What covers a passage (``detectors.access.grants``): a personal credential covers one; a visitor registration shown at
the door covers its party, and showing it again renews it; an opening that names nobody (remote, the inside button for
an incoming person, the gate's own free mode) covers whoever passes while it lasts, for who was let in is not known. An
outward grant covers nobody coming in. A credential that is reported up to ``grace_ms`` after the passage covers it.
Readers and gates say things twice: a person or registration that is reported again at the door within ``again_ms``,
in any case and with blanks, is the same grant, and so is one without a name right before or after, at the same gate and
by the same kind of credential. Of a gate that never says whose credential it was, each report is one, and who swipes
again later has another.

Nobody is accused on missing data: a passage of unknown direction, of a low score, at a door without a configured gate,
or seen by a second camera (within ``double_ms``) or twice by the same track is no case. The finding is *unverified*
unless every gate of the door was heard within its own reporting period, none said it was offline, has a clock that
cannot be used, or said something within ten minutes that ingest had to refuse, and ingest was listening; when the
newest word of a gate, or the passage itself, lies over 2 s from its receipt, or they differ so much in this, as by a
clock that is off and not measured yet; also when registered visitors are expected at this door who have not shown
themselves yet. An unknown face (a denial) is never a finding; before an uncovered passage it is stated as a fact.

Thresholds: ``window_ms`` 15 s, the time a door takes to open and close behind one person; ``held_ms`` 60 s, how long a
credential may wait while the door stays open, for people who walk slowly; ``let_in_ms`` 30 s; ``party_ms`` 10 min, a
party with luggage; ``again_ms`` 5 s; ``grace_ms`` 3 s; ``double_ms`` 1.5 s, two cameras on one person; ``min_score``
0.5.

What it will not catch: a stranger whom an unused credential, a remote opening or an oversized registration covers; two
people whom the camera counts as one; more than five people within three seconds; borrowed credentials.

Late data: the rule sees none. A credential that arrives late makes the window be judged again, and what it covers is
retracted. The rule remembers a quarter of an hour; what it states rests on the last minutes only.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from contracts.events import (
    AccessAttempted,
    DeviceReported,
    DeviceStateChanged,
    Direction,
    DoorChanged,
    DoorState,
    Event,
    PassageObserved,
)
from contracts.findings import Fact, Phase, Severity, Subject, SubjectKind
from contracts.names import DeviceClass
from contracts.rules import RuleFacts, Threshold
from detectors.access.gates import LIVE, MAX_LIVE_MS, Gate, are_live, has_gate, heard, is_doubtful, is_unread
from detectors.access.grants import (
    AGAIN,
    HELD,
    LET_IN,
    PARTY,
    RULE,
    WINDOW,
    Crossing,
    Grant,
    admit,
    current,
    grant_of,
    with_grant,
)
from detectors.core.facts import FACT_VALUES, fact
from detectors.core.rule import Draft, Episode, Outcome
from detectors.core.site_view import SiteView

GRACE = Threshold(
    RULE, "grace_ms", 3_000, 0, 60_000, "ms", "how long after a passage its credential may still be reported"
)
DOUBLE = Threshold(
    RULE, "double_ms", 1_500, 0, 10_000, "ms", "passages this close, seen by two cameras, are one person"
)
MIN_SCORE = Threshold(RULE, "min_score", 0.5, 0, 1, "", "a passage seen with less is no case: a detector's glimpse")
DENIAL = Threshold(
    RULE,
    "denial_ms",
    60_000,
    0,
    300_000,
    "ms",
    "how long a denial is stated: a denied person waits for somebody to follow",
)
SAME_TRACK_MS = 10_000  # a track that wavers on the line
HORIZON_MS = 900_000  # a party's ten minutes and what may follow them
RECENT_MS = 300_000  # facts rest on nothing older, so that judging a window again states the same
MAX_PENDING, MAX_SEEN, MAX_SHOWN = 5, 3, 3
MAX_EVIDENCE = 2  # of all pending passages together


class Denial(msgspec.Struct, frozen=True, array_like=True):
    """The newest denied attempt."""

    at_ms: int
    event_id: str
    reason: str


class JudgedPassage(msgspec.Struct, frozen=True, array_like=True):
    """A passage that has been judged, so that its track is not judged again."""

    source_id: str
    track_id: int
    at_ms: int


class ShownRegistration(msgspec.Struct, frozen=True, array_like=True):
    """A visitor registration that has been shown here; it only tells whether visitors are still expected."""

    registration_id: str
    until_ms: int


class DoorRecord(msgspec.Struct, frozen=True, array_like=True):
    """The memory of one door. ``open_ms`` 0: not known to be open. ``last_grant`` is the newest, used or not.
    ``unread_ms``: when something of its gates could not be taken last.
    """

    v: int
    door_id: str
    gates: tuple[Gate, ...] = ()
    grants: tuple[Grant, ...] = ()
    pending: tuple[Crossing, ...] = ()
    last_grant_ms: int = 0
    last_grant_id: str = ""
    open_ms: int = 0
    denial: Denial | None = None
    seen: tuple[JudgedPassage, ...] = ()
    shown: tuple[ShownRegistration, ...] = ()
    last_ms: int = 0
    grace_ms: int = int(GRACE.default)
    unread_ms: int = 0


class StrangerEntry:
    """One OPEN per uncovered inward passage. Key: the door."""

    name: ClassVar[str] = RULE
    version: ClassVar[int] = 2
    accepts: ClassVar[tuple[type[Event], ...]] = (
        AccessAttempted,
        PassageObserved,
        DoorChanged,
        DeviceReported,
        DeviceStateChanged,
    )
    max_out_of_orderness_ms: ClassVar[int] = 2_000
    horizon_ms: ClassVar[int | None] = HORIZON_MS
    instant: ClassVar[bool] = False
    receipt: ClassVar[bool] = False
    facts: ClassVar[RuleFacts] = RuleFacts(
        severity=Severity.MAJOR,
        momentary=True,
        regroup_ms=120_000,
        thresholds=(WINDOW, HELD, LET_IN, PARTY, AGAIN, GRACE, DOUBLE, MIN_SCORE, DENIAL, LIVE),
        fact_codes=("manner", "since_grant_s", "door_open_s", "denied_before"),
    )
    state_type: type[DoorRecord] = DoorRecord

    def keys_of(self, event: Event, site: SiteView) -> tuple[str, ...]:
        """Return the door, when it has a gate: a door without one asks nobody for a credential."""
        if type(event) is DeviceReported or type(event) is DeviceStateChanged:
            if is_unread(event):
                return (event.place_id,) if has_gate(event.place_id, site) else ()
            device = site.devices.get(event.source_id)
            return (device.place_id,) if device is not None and device.device_class is DeviceClass.GATE else ()
        return (event.place_id,) if has_gate(event.place_id, site) else ()

    def initial(self, key: str) -> DoorRecord:
        """Return a door at which nothing has happened."""
        return DoorRecord(1, key)

    def on_event(self, state: DoorRecord, event: Event, site: SiteView) -> Outcome[DoorRecord]:
        """Take one thing that happened at the door, or a word of its gate."""
        state = _heard(state, event, site)
        if type(event) is AccessAttempted:
            return Outcome(_attempted(state, event, site))
        if type(event) is DoorChanged:
            return Outcome(_door(state, event))
        if type(event) is PassageObserved and event.direction is Direction.IN:
            return Outcome(_crossed(state, event, site))
        return Outcome(state)

    def deadline_ms(self, state: DoorRecord) -> int | None:
        """Return when the first pending passage has waited enough for its credential, else when all is forgotten."""
        if state.pending:
            return state.pending[0].at_ms + state.grace_ms
        return state.last_ms + HORIZON_MS

    def on_deadline(self, state: DoorRecord, due_ms: int, site: SiteView) -> Outcome[DoorRecord]:
        """Judge the passages that are due."""
        if not state.pending:
            return Outcome(None)
        drafts: list[Draft] = []
        while state.pending and state.pending[0].at_ms + state.grace_ms <= due_ms:
            crossing, *rest = state.pending
            covered, grants = admit(crossing, state.grants, site)
            judged = JudgedPassage(crossing.sources[0], crossing.track_id, crossing.at_ms)
            state = msgspec.structs.replace(
                state, grants=grants, pending=tuple(rest), seen=(*state.seen, judged)[-MAX_SEEN:]
            )
            if not covered:
                drafts.append(_stranger(state, crossing, site))
        return Outcome(state, tuple(drafts))


# --- what the door remembers ------------------------------------------------------------------------------------------


def _heard(state: DoorRecord, event: Event, site: SiteView) -> DoorRecord:
    """Return the state with time moved on, and the gate's liveness when the event is one of a gate's."""
    last_ms = max(state.last_ms, event.at_ms)
    if is_unread(event):
        return msgspec.structs.replace(state, last_ms=last_ms, unread_ms=event.at_ms)
    device = site.devices.get(event.source_id)
    if device is None or device.device_class is not DeviceClass.GATE:
        return msgspec.structs.replace(state, last_ms=last_ms)
    return msgspec.structs.replace(state, last_ms=last_ms, gates=heard(state.gates, event))


def _attempted(state: DoorRecord, event: AccessAttempted, site: SiteView) -> DoorRecord:
    if not event.granted:
        words = FACT_VALUES["denied_before"]
        reason = event.reason if event.reason in words else words[-1]
        return msgspec.structs.replace(state, denial=Denial(event.at_ms, event.event_id, reason or words[-1]))
    grant = grant_of(event, site)
    if grant is None:
        return state
    grants = with_grant(current(state.grants, event.at_ms, site), grant, site)
    return msgspec.structs.replace(
        state,
        grants=grants,
        last_grant_ms=event.at_ms,
        last_grant_id=event.event_id,
        shown=_with_shown(state.shown, grant, event.at_ms, site),
    )


def _with_shown(
    shown: tuple[ShownRegistration, ...], grant: Grant, at_ms: int, site: SiteView
) -> tuple[ShownRegistration, ...]:
    party = site.visitors.get(grant.holder)
    if party is None:
        return shown
    others = tuple(s for s in shown if s.registration_id != grant.holder and s.until_ms >= at_ms)
    return (*others, ShownRegistration(grant.holder, party.to_ms))[-MAX_SHOWN:]


def _door(state: DoorRecord, event: DoorChanged) -> DoorRecord:
    """Return the door as it is now. A repeated state is no change: the door has been open since it was first so."""
    if event.state is DoorState.CLOSED:
        return msgspec.structs.replace(state, open_ms=0)
    return msgspec.structs.replace(state, open_ms=_recent(state.open_ms, event.at_ms) or event.at_ms)


def _recent(then_ms: int, at_ms: int) -> int:
    """Return ``then_ms`` when it is recent, else 0 (not known)."""
    return then_ms if at_ms - then_ms <= RECENT_MS else 0


def _crossed(state: DoorRecord, event: PassageObserved, site: SiteView) -> DoorRecord:
    """Return the state with one more passage to judge, unless it is one of those already pending, seen again."""
    if event.score < site.threshold(MIN_SCORE):
        return state
    double_ms = site.threshold(DOUBLE)
    for number, crossing in enumerate(state.pending):
        if _same(crossing, event, double_ms):
            again = crossing.seen_by(event.source_id)
            pending = (*state.pending[:number], again, *state.pending[number + 1 :])
            return msgspec.structs.replace(state, pending=pending)
    if len(state.pending) >= MAX_PENDING or any(_wavers(seen, event) for seen in state.seen):
        return state
    grace_ms = int(site.threshold(GRACE))
    return msgspec.structs.replace(state, pending=(*state.pending, _pending(state, event)), grace_ms=grace_ms)


def _pending(state: DoorRecord, event: PassageObserved) -> Crossing:
    room = max(0, MAX_EVIDENCE - sum(len(crossing.evidence) for crossing in state.pending))
    return Crossing(
        at_ms=event.at_ms,
        event_id=event.event_id,
        sources=(event.source_id,),
        track_id=event.track_id,
        score=event.score,
        open_ms=_recent(state.open_ms, event.at_ms),
        grant_ms=_recent(state.last_grant_ms, event.at_ms),
        model=event.model,
        evidence=event.evidence[:room],
        lag_ms=event.received_ms - event.at_ms,
        doubtful=is_doubtful(event),
    )


def _same(crossing: Crossing, event: PassageObserved, double_ms: float) -> bool:
    """Return whether ``event`` is ``crossing``'s person again: the same track, or another camera at the same time."""
    if crossing.sources[0] == event.source_id:
        return crossing.track_id == event.track_id
    return event.source_id not in crossing.sources and abs(event.at_ms - crossing.at_ms) <= double_ms


def _wavers(seen: JudgedPassage, event: PassageObserved) -> bool:
    """Return whether a track that has been judged crosses the line again."""
    same = seen.source_id == event.source_id and seen.track_id == event.track_id
    return same and event.at_ms - seen.at_ms <= SAME_TRACK_MS


# --- the finding ------------------------------------------------------------------------------------------------------


def _stranger(state: DoorRecord, crossing: Crossing, site: SiteView) -> Draft:
    return Draft(
        episode=Episode(crossing.at_ms, crossing.event_id),
        phase=Phase.OPEN,
        subject=Subject(SubjectKind.PLACE, state.door_id),
        place_id=state.door_id,
        source_id=crossing.sources[0],
        verified=_proven(state, crossing, site),
        confidence=crossing.score,
        facts=_facts(state, crossing, site),
        evidence=crossing.evidence,
        model=crossing.model,
    )


def _facts(state: DoorRecord, crossing: Crossing, site: SiteView) -> tuple[Fact, ...]:
    window_ms = site.threshold(WINDOW)
    facts = [fact("manner", _manner(crossing, window_ms), event_ids=(crossing.event_id,))]
    if crossing.grant_ms:
        ids = (state.last_grant_id,) if state.last_grant_ms == crossing.grant_ms else ()
        since_s = (crossing.at_ms - crossing.grant_ms) / 1000
        facts.append(fact("since_grant_s", since_s, limit=window_ms / 1000, event_ids=ids))
    if crossing.open_ms:
        facts.append(fact("door_open_s", (crossing.at_ms - crossing.open_ms) / 1000))
    denial = state.denial
    if denial is not None and 0 <= crossing.at_ms - denial.at_ms <= site.threshold(DENIAL):
        facts.append(fact("denied_before", denial.reason, event_ids=(denial.event_id,)))
    return tuple(facts)


def _manner(crossing: Crossing, window_ms: float) -> str:
    """Return how the stranger came in, by the newest inward grant before and by the door."""
    if crossing.grant_ms and crossing.at_ms - crossing.grant_ms <= window_ms:
        return "tailgating"
    if crossing.open_ms and crossing.grant_ms and crossing.open_ms <= crossing.grant_ms + window_ms:
        return "door_held"
    return "open_door" if crossing.open_ms else "no_grant"


def _proven(state: DoorRecord, crossing: Crossing, site: SiteView) -> bool:
    """Return whether a credential, had there been one, would be known here."""
    from_ms = crossing.at_ms - int(site.threshold(WINDOW))
    if site.interrupted_to_ms >= from_ms and site.interrupted_from_ms <= crossing.at_ms + state.grace_ms:
        return False
    if crossing.doubtful or crossing.at_ms - state.unread_ms <= MAX_LIVE_MS:
        return False
    return are_live(state.gates, state.door_id, crossing.at_ms, crossing.lag_ms, site) and not site.expects_visitors(
        state.door_id, crossing.at_ms, (shown.registration_id for shown in state.shown)
    )
