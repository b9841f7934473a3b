"""`indoor_ebike` 电动自行车进楼: an e-bike is where it may not be.

Situation: a camera sees an e-bike in a lift, lobby, corridor or stair.

Events: ``ObjectObserved`` of such a place. One episode per place, however many cameras and tracks see it: OPEN when one
track has been an e-bike for long enough, one UPDATE when it stays (``stays_ms``), CLOSE when the last track has left or
nothing has been seen for ``unseen_ms``.

Thresholds: ``dwell_lift_ms`` 2 s (a lift's door closes soon, and deterrence must come first), ``dwell_ms`` 3 s
elsewhere: shorter sightings are a detector's glimpses. ``mean_score`` 0.5 over the track's time. ``label_share`` 0.6:
a track that the detector also calls bicycle, wheelchair, pram, motorcycle or toy must be an e-bike for most of its
time. ``clear_ms`` 10 s after the last track left, because trackers lose a vehicle and find it again under another
number. ``forbid_lobby``, ``forbid_corridor``, ``forbid_stair``, ``forbid_lift`` (1 or 0): what the site forbids.

What it will not catch: e-bikes that the model does not know as such (it says what it was measured on), in places that
no camera watches or the site has not configured; bicycles never fire, even electrified ones.

Late data: a box's stored observations are judged again in event time; the rule remembers no more than ten minutes that
matter for an opening.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from contracts.durations import HOUR_MS
from contracts.events import Event, EvidenceRef, ObjectLabel, ObjectObserved, TrackPhase
from contracts.findings import Fact, Phase, Severity, Subject, SubjectKind
from contracts.places import PlaceUse
from contracts.rules import RuleFacts, Threshold
from detectors.core.facts import fact
from detectors.core.rule import Draft, Episode, Outcome
from detectors.core.site_view import SiteView

RULE = "indoor_ebike"
DWELL_LIFT = Threshold(
    RULE,
    "dwell_lift_ms",
    2_000,
    0,
    60_000,
    "ms",
    "how long one is seen in a lift: deterrence must come before the door shuts",
)
DWELL = Threshold(
    RULE,
    "dwell_ms",
    3_000,
    0,
    60_000,
    "ms",
    "how long one is seen elsewhere: shorter sightings are a detector's glimpses",
)
MEAN_SCORE = Threshold(RULE, "mean_score", 0.5, 0, 1, "", "the least mean score of a track while it is an e-bike")
LABEL_SHARE = Threshold(
    RULE, "label_share", 0.6, 0, 1, "", "the least share of a track's time as an e-bike: detectors also call prams so"
)
CLEAR = Threshold(
    RULE, "clear_ms", 10_000, 1_000, 600_000, "ms", "how long after the last track left: trackers lose and find again"
)
UNSEEN = Threshold(
    RULE,
    "unseen_ms",
    30_000,
    2_000,
    600_000,
    "ms",
    "so long unseen is gone: a camera reports what is there every second",
)
STAYS = Threshold(
    RULE,
    "stays_ms",
    300_000,
    10_000,
    HOUR_MS,
    "ms",
    "one that stays longer is parked: nobody waits so long for a lift",
)
STEP_MS = 3_000  # between two sightings of a track a label counts for at most this long
MAX_TRACKS = 4  # at once in one place; more than four e-bikes are one episode all the same
MAX_EVIDENCE = 4
TRACK_EVIDENCE = 2  # a still and a clip

FORBIDDEN = {
    use: Threshold(RULE, f"forbid_{use}", 1.0, 0, 1, "", f"whether e-bikes are forbidden in {where}", switch=True)
    for use, where in (
        (PlaceUse.LOBBY, "lobbies"),
        (PlaceUse.CORRIDOR, "corridors"),
        (PlaceUse.STAIR, "stairs"),
        (PlaceUse.LIFT, "lifts"),
    )
}
"""Where an e-bike may not be (Order 5 of 2021, art. 37), and the threshold that lifts the ban for a site."""

CONFUSED = frozenset(
    (ObjectLabel.BICYCLE, ObjectLabel.MOTORCYCLE, ObjectLabel.WHEELCHAIR, ObjectLabel.PRAM, ObjectLabel.TOY_VEHICLE)
)
"""What a detector calls an e-bike by mistake, and the other way round."""


class EbikeTrack(msgspec.Struct, frozen=True, array_like=True):
    """One camera's track since it was first an e-bike. ``score_ms`` is score times time, as an e-bike; ``evidence``
    the first still and clip of it.

    Its time before that, and time between sightings beyond ``STEP_MS``, counts for nothing.
    """

    source_id: str
    track_id: int
    first_ms: int
    first_event_id: str
    last_ms: int
    ebike_ms: int = 0
    other_ms: int = 0
    score_ms: float = 0.0
    evidence: tuple[EvidenceRef, ...] = ()


class PlaceState(msgspec.Struct, frozen=True, array_like=True):
    """One place: its tracks, when one was last seen, until when it may come back into sight, and the running episode
    (``stated``: its UPDATE is out).
    """

    v: int
    place_id: str
    tracks: tuple[EbikeTrack, ...] = ()
    seen_ms: int = 0
    gone_ms: int = 0
    episode: Episode | None = None
    source_id: str = ""
    stated: bool = False


class IndoorEbike:
    """OPEN after a dwell, one UPDATE when parked, CLOSE when gone. Key: the place."""

    name: ClassVar[str] = RULE
    version: ClassVar[int] = 1
    accepts: ClassVar[tuple[type[Event], ...]] = (ObjectObserved,)
    max_out_of_orderness_ms: ClassVar[int] = 200
    horizon_ms: ClassVar[int | None] = 600_000
    instant: ClassVar[bool] = False
    receipt: ClassVar[bool] = False
    facts: ClassVar[RuleFacts] = RuleFacts(
        severity=Severity.MAJOR,
        thresholds=(DWELL_LIFT, DWELL, MEAN_SCORE, LABEL_SHARE, CLEAR, UNSEEN, STAYS, *FORBIDDEN.values()),
        fact_codes=("place_use", "dwell_s", "mean_score", "label_share", "ended"),
    )
    state_type: type[PlaceState] = PlaceState

    def keys_of(self, event: Event, site: SiteView) -> tuple[str, ...]:
        """Return the place, when e-bikes are forbidden there and the object is one or is taken for one."""
        if type(event) is not ObjectObserved:
            return ()
        if event.label is not ObjectLabel.E_BIKE and event.label not in CONFUSED:
            return ()
        return (event.place_id,) if _use(event.place_id, site) else ()

    def initial(self, key: str) -> PlaceState:
        """Return an empty place."""
        return PlaceState(1, key)

    def on_event(self, state: PlaceState, event: Event, site: SiteView) -> Outcome[PlaceState]:
        """Take one sighting."""
        if type(event) is not ObjectObserved:
            return Outcome(state)
        track = _followed(_find(state, event), event)
        if track is None:  # never an e-bike so far: nothing to remember
            return Outcome(state if state.tracks or state.episode else None)
        others = tuple(t for t in state.tracks if (t.source_id, t.track_id) != (track.source_id, track.track_id))
        kept = others if event.phase is TrackPhase.LEFT else (*others, track)[-MAX_TRACKS:]
        seen_ms = max(event.at_ms, state.seen_ms)
        after = msgspec.structs.replace(state, tracks=kept, seen_ms=seen_ms, gone_ms=seen_ms + _patience_ms(kept, site))
        if state.episode is None:
            return _watched(after, track, event, site)
        return _staying(after, state.episode, track, event, site)

    def deadline_ms(self, state: PlaceState) -> int | None:
        """Return when what was seen last is gone."""
        return state.gone_ms

    def on_deadline(self, state: PlaceState, due_ms: int, site: SiteView) -> Outcome[PlaceState]:
        """End the episode: what was there is gone."""
        if state.episode is None:
            return Outcome(None)
        ended = "not_seen" if state.tracks else "left"
        facts = (fact("ended", ended), fact("dwell_s", (state.seen_ms - state.episode.onset_ms) / 1000))
        return Outcome(None, (_draft(state, state.episode.next(), Phase.CLOSE, facts),))


def _use(place_id: str, site: SiteView) -> PlaceUse | None:
    """Return the place's use when e-bikes are forbidden there; a place without a record is not judged."""
    place = site.places.get(place_id)
    if place is None or place.use not in FORBIDDEN:
        return None
    return place.use if site.threshold(FORBIDDEN[place.use]) else None


def _patience_ms(tracks: tuple[EbikeTrack, ...], site: SiteView) -> int:
    """Return how long to wait: soon over after the last track left, later when its end was not seen."""
    return int(site.threshold(UNSEEN if tracks else CLEAR))


def _find(state: PlaceState, event: ObjectObserved) -> EbikeTrack | None:
    for track in state.tracks:
        if track.track_id == event.track_id and track.source_id == event.source_id:
            return track
    return None


def _followed(track: EbikeTrack | None, event: ObjectObserved) -> EbikeTrack | None:
    """Return the track with this sighting; None while it has never been an e-bike."""
    ebike = event.label is ObjectLabel.E_BIKE
    if track is None:
        cut = event.evidence[:TRACK_EVIDENCE]
        first = EbikeTrack(event.source_id, event.track_id, event.at_ms, event.event_id, event.at_ms, evidence=cut)
        return first if ebike else None
    step_ms = min(max(event.at_ms - track.last_ms, 0), STEP_MS)
    return msgspec.structs.replace(
        track,
        last_ms=max(event.at_ms, track.last_ms),
        ebike_ms=track.ebike_ms + (step_ms if ebike else 0),
        other_ms=track.other_ms + (0 if ebike else step_ms),
        score_ms=track.score_ms + (event.score * step_ms if ebike else 0.0),
        evidence=track.evidence or event.evidence[:TRACK_EVIDENCE],
    )


def _watched(state: PlaceState, track: EbikeTrack, event: ObjectObserved, site: SiteView) -> Outcome[PlaceState]:
    """Take a sighting in a place without an episode: it opens one when the track has lasted as an e-bike."""
    facts = _reasons(track, event, site)
    if not facts:
        return Outcome(state if state.tracks else None)
    episode = Episode(track.first_ms, track.first_event_id)
    after = msgspec.structs.replace(state, episode=episode, source_id=event.source_id)
    return Outcome(after, (_draft(after, episode, Phase.OPEN, facts, event, track),))


def _reasons(track: EbikeTrack, event: ObjectObserved, site: SiteView) -> tuple[Fact, ...]:
    """Return why this track opens an episode; empty when it does not."""
    use = _use(event.place_id, site)
    if use is None or event.label is not ObjectLabel.E_BIKE:
        return ()
    dwell_ms = site.threshold(DWELL_LIFT if use is PlaceUse.LIFT else DWELL)
    score, share = _mean_score(track), _share(track)
    min_score, min_share = site.threshold(MEAN_SCORE), site.threshold(LABEL_SHARE)
    if track.ebike_ms < dwell_ms or score < min_score or share < min_share:
        return ()
    ids = (track.first_event_id, event.event_id)
    return (
        fact("place_use", use.value),
        fact("dwell_s", track.ebike_ms / 1000, limit=dwell_ms / 1000, event_ids=ids),
        fact("mean_score", score, limit=min_score),
        fact("label_share", share, limit=min_share),
    )


def _mean_score(track: EbikeTrack) -> float:
    return track.score_ms / track.ebike_ms if track.ebike_ms else 0.0


def _share(track: EbikeTrack) -> float:
    seen_ms = track.ebike_ms + track.other_ms
    return track.ebike_ms / seen_ms if seen_ms else 0.0


def _staying(
    state: PlaceState, episode: Episode, track: EbikeTrack, event: ObjectObserved, site: SiteView
) -> Outcome[PlaceState]:
    """Take a sighting during an episode: once, when the e-bike has stayed long, it is worth saying."""
    stays_ms = site.threshold(STAYS)
    stayed_ms = event.at_ms - episode.onset_ms
    if state.stated or stayed_ms < stays_ms:
        return Outcome(state)
    after = msgspec.structs.replace(state, episode=episode.next(), stated=True)
    facts = (fact("dwell_s", stayed_ms / 1000, limit=stays_ms / 1000, event_ids=(event.event_id,)),)
    return Outcome(after, (_draft(after, episode.next(), Phase.UPDATE, facts, event, track),))


def _draft(
    state: PlaceState,
    episode: Episode,
    phase: Phase,
    facts: tuple[Fact, ...],
    event: ObjectObserved | None = None,
    track: EbikeTrack | None = None,
) -> Draft:
    return Draft(
        episode=episode,
        phase=phase,
        subject=Subject(SubjectKind.PLACE, state.place_id),
        place_id=state.place_id,
        source_id=state.source_id,
        confidence=1.0 if track is None else min(_mean_score(track), 1.0),
        facts=facts,
        evidence=() if event is None else _evidence(event, track),
        model=None if event is None else event.model,
    )


def _evidence(event: ObjectObserved, track: EbikeTrack | None) -> tuple[EvidenceRef, ...]:
    """Return the track's first picture, then what the deciding event brings."""
    first = () if track is None else track.evidence
    return (*first, *(ref for ref in event.evidence if ref not in first))[:MAX_EVIDENCE]
