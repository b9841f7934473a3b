"""`high_altitude_throw` 高空抛物: something fell past a facade.

Situation: a camera that looks up a facade saw an object fall; the box's analyser has already tried its track against
gravity, floors and mirror images (``detectors.vision``), so one event decides.

Events: ``ObjectFell``. Each fall is its own episode: an OPEN, and an UPDATE with its evidence once the clip is cut; no
CLOSE, for a fall has no end to wait for.
Two cameras that see one fall make two findings about one column; grouping makes one incident of them.

Thresholds: ``min_drop_m`` 5 m, because two storeys of travel tell a throw from something shaken out of a window or
dropped from a ladder. A shorter fall, or one that failed the gravity test, is *suspected*: unverified and major instead
of critical. An uncalibrated camera cannot say metres or floors; its findings say so and are less sure.

What it will not catch: objects too small for the camera's reach (operators are shown it), falls outside the picture,
what the analyser rejected (birds, leaves, insects), and who did it.

Late data: the rule is instant and keeps nothing but the ids of an hour's falls, for their evidence; so a fall that a
box reports hours later is found at once, with ``late_by_ms``. Whether old news wakes anybody is delivery's decision.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from contracts.durations import HOUR_MS
from contracts.events import Event, ObjectFell
from contracts.findings import Fact, Phase, Severity, Subject, SubjectKind
from contracts.rules import RuleFacts, Threshold
from detectors.core.facts import fact
from detectors.core.rule import Draft, Episode, Outcome
from detectors.core.site_view import SiteView

RULE = "high_altitude_throw"
MIN_DROP = Threshold(
    RULE, "min_drop_m", 5.0, 0.5, 100, "m", "a shorter fall is only suspected: five metres are two storeys"
)
UNCALIBRATED_TRUST = 0.7  # of the analyser's score: the perspective was fitted, not measured
SUSPECTED_TRUST = 0.5  # of the analyser's score: the track went far down, but not as gravity pulls


KEPT_MS = HOUR_MS  # how long evidence may follow: a clip takes a minute where a box is busy
MAX_FALLS = 16


class KnownFall(msgspec.Struct, frozen=True):
    """A fall whose evidence may follow."""

    event_id: str
    onset_ms: int


class ThrowState(msgspec.Struct, frozen=True):
    """One camera's newest falls: ingest may settle the time of their evidence otherwise than their own."""

    v: int = 2
    falls: tuple[KnownFall, ...] = ()


class HighAltitudeThrow:
    """One falling object → one OPEN, and an UPDATE when its evidence follows. Key: the camera."""

    name: ClassVar[str] = RULE
    version: ClassVar[int] = 2
    accepts: ClassVar[tuple[type[Event], ...]] = (ObjectFell,)
    max_out_of_orderness_ms: ClassVar[int] = 0
    horizon_ms: ClassVar[int | None] = None
    instant: ClassVar[bool] = True
    receipt: ClassVar[bool] = False
    facts: ClassVar[RuleFacts] = RuleFacts(
        severity=Severity.CRITICAL,
        life_safety=True,
        momentary=True,
        regroup_ms=60_000,
        thresholds=(MIN_DROP,),
        fact_codes=(
            "drop_m",
            "calibrated",
            "suspected",
            "fall_s",
            "fit_error_px",
            "drop_error_m",
            "floor",
            "floor_error",
            "column",
            "gravity_ms2",
        ),
    )
    state_type: type[ThrowState] = ThrowState

    def keys_of(self, event: Event, site: SiteView) -> tuple[str, ...]:
        """Return the camera that saw it."""
        return (event.source_id,)

    def initial(self, key: str) -> ThrowState:
        """Return a camera that saw nothing yet."""
        return ThrowState()

    def on_event(self, state: ThrowState, event: Event, site: SiteView) -> Outcome[ThrowState]:
        """Return the fall as a finding, or its evidence as one more of the same episode."""
        if not isinstance(event, ObjectFell):
            return Outcome(state if state.falls else None)
        if event.evidence_of is not None:
            return Outcome(state if state.falls else None, (_followed(state, event, site),))
        known = (*state.falls, KnownFall(event.event_id, event.at_ms))[-MAX_FALLS:]
        return Outcome(msgspec.structs.replace(state, falls=known), (_finding(event, site.threshold(MIN_DROP)),))

    def deadline_ms(self, state: ThrowState) -> int | None:
        """Return when no evidence is waited for any more."""
        return max((fall.onset_ms for fall in state.falls), default=0) + KEPT_MS

    def on_deadline(self, state: ThrowState, due_ms: int, site: SiteView) -> Outcome[ThrowState]:
        """Forget."""
        return Outcome(None)


def _followed(state: ThrowState, event: ObjectFell, site: SiteView) -> Draft:
    """Return the evidence of a fall as an UPDATE of its episode; one not known any more began when its event says."""
    onset_ms = next((fall.onset_ms for fall in state.falls if fall.event_id == event.evidence_of), event.at_ms)
    draft = _finding(event, site.threshold(MIN_DROP))
    return msgspec.structs.replace(draft, episode=Episode(onset_ms, event.evidence_of, nth=1), phase=Phase.UPDATE)


def _finding(event: ObjectFell, min_drop_m: float) -> Draft:
    suspected = event.suspected or (event.drop_m is not None and event.drop_m < min_drop_m)
    trust = (1.0 if event.calibrated else UNCALIBRATED_TRUST) * (SUSPECTED_TRUST if suspected else 1.0)
    return Draft(
        episode=Episode(event.at_ms, event.event_id),
        phase=Phase.OPEN,
        subject=Subject(SubjectKind.PLACE, event.column or event.place_id),
        place_id=event.place_id,
        source_id=event.source_id,
        severity=Severity.MAJOR if suspected else None,
        verified=not suspected,
        confidence=event.score * trust,
        facts=_facts(event, suspected, min_drop_m),
        evidence=event.evidence,
        model=event.model,
    )


def _facts(event: ObjectFell, suspected: bool, min_drop_m: float) -> tuple[Fact, ...]:  # noqa: FBT001
    ids = (event.event_id,)
    facts = [
        fact("calibrated", event.calibrated, event_ids=ids),
        fact("suspected", suspected),
        fact("fall_s", event.duration_ms / 1000),
        fact("fit_error_px", event.fit_error_px),
    ]
    if event.drop_m is not None:
        facts.insert(0, fact("drop_m", event.drop_m, limit=min_drop_m, event_ids=ids))
    measured = (
        ("drop_error_m", event.drop_error_m),
        ("floor", event.floor),
        ("floor_error", event.floor_error),
        ("column", event.column),
        ("gravity_ms2", event.gravity_ms2),
    )
    return (*facts, *(fact(code, value) for code, value in measured if value is not None))
