"""Observations become events: the boundary between what vision says and what the box says. Pure."""

from __future__ import annotations

from typing import assert_never

import msgspec

from contracts.errors import LinliError
from contracts.events import (
    CameraImpairment,
    DeviceReported,
    Event,
    EventHeader,
    EvidenceRef,
    ObjectFell,
    ObjectLabel,
    ObjectObserved,
    Origin,
    PassageObserved,
    TrackPhase,
    event_header,
)
from detectors.vision.falling.falling_analyser import FallingObject
from detectors.vision.observations import LinePassed, ObjectInZone, Observation

MAX_TRACKS_CUT = 1_000
Known = ObjectInZone | LinePassed | FallingObject


class CameraIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """What every event of one camera carries."""

    site_id: str
    camera_id: str
    place_id: str
    origin: Origin
    model: str | None = None

    def header(self, place_id: str, at_ms: int) -> EventHeader:
        """Return what an event of the camera begins with; the spool gives it its id."""
        return event_header(self.site_id, self.camera_id, place_id, at_ms)


def event_of(observation: Observation, camera: CameraIdentity, evidence: tuple[EvidenceRef, ...]) -> Event:
    """Return the event an observation is published as; the spool gives it its id.

    Raises:
        LinliError: for a kind of observation nobody taught it.
    """
    if not isinstance(observation, ObjectInZone | LinePassed | FallingObject):
        raise LinliError(f"no event for an observation of type {type(observation).__name__}")
    return _known_event(observation, camera, evidence)


def evidence_event(fall: ObjectFell, event_id: str, evidence: tuple[EvidenceRef, ...]) -> ObjectFell:
    """Return the event that brings the evidence of a fall that was told before as ``event_id``."""
    return msgspec.structs.replace(fall, event_id="", evidence=evidence, evidence_of=event_id)


def _known_event(seen: Known, camera: CameraIdentity, evidence: tuple[EvidenceRef, ...]) -> Event:
    match seen:
        case ObjectInZone():
            return _object_observed(seen, camera, evidence)
        case LinePassed():
            return _passage_observed(seen, camera, evidence)
        case FallingObject():
            return object_fell(seen, camera, evidence)
        case _:
            assert_never(seen)


def _object_observed(seen: ObjectInZone, camera: CameraIdentity, evidence: tuple[EvidenceRef, ...]) -> ObjectObserved:
    return ObjectObserved(
        **camera.header(seen.place_id, seen.at_ms),
        origin=camera.origin,
        model=camera.model,
        evidence=evidence,
        label=seen.label,
        phase=seen.phase,
        track_id=seen.track_id,
        score=seen.score,
        dwell_ms=seen.dwell_ms,
    )


def _passage_observed(seen: LinePassed, camera: CameraIdentity, evidence: tuple[EvidenceRef, ...]) -> PassageObserved:
    return PassageObserved(
        **camera.header(seen.place_id, seen.at_ms),
        origin=camera.origin,
        model=camera.model,
        evidence=evidence,
        direction=seen.direction,
        track_id=seen.track_id,
        score=seen.score,
    )


def object_fell(seen: FallingObject, camera: CameraIdentity, evidence: tuple[EvidenceRef, ...]) -> ObjectFell:
    """Return the event of a fall; the spool gives it its id."""
    return ObjectFell(
        **camera.header(seen.column or camera.place_id, seen.at_ms),
        origin=camera.origin,
        evidence=evidence,
        track_id=seen.track_id,
        started_ms=seen.started_ms,
        duration_ms=seen.duration_ms,
        calibrated=seen.calibrated,
        suspected=seen.suspected,
        drop_m=seen.drop_m,
        drop_error_m=seen.drop_error_m,
        floor=seen.floor,
        floor_error=seen.floor_error,
        column=seen.column,
        gravity_ms2=seen.gravity_ms2,
        fit_error_px=seen.fit_error_px,
        size_px=seen.size_px,
        score=seen.score,
    )


def report(
    camera: CameraIdentity,
    at_ms: int,
    *,
    healthy: bool,
    gauges: dict[str, float],
    impaired_by: CameraImpairment | None = None,
) -> DeviceReported:
    """Return how a camera (or, with its own identity, the box) is."""
    return DeviceReported(
        **camera.header(camera.place_id, at_ms),
        origin=camera.origin,
        healthy=healthy,
        gauges=gauges,
        impaired_by=impaired_by,
    )


class EvidenceRequest(msgspec.Struct, frozen=True):
    """The evidence that an observation needs: a cut on the box's disk, and whether it is uploaded unasked."""

    cut: bool
    upload: bool
    started_ms: int


class EvidencePolicy:
    """Which observations cut evidence: a fall, a passage, a stay's beginning, and a track that turns out an e-bike.

    Falls and e-bikes are what camera rules rest on, so their evidence is uploaded unasked; the rest stays on the box,
    unless the camera's owner decided otherwise for passages.
    """

    def __init__(self, *, upload_passages: bool = False) -> None:
        self._upload_passages = upload_passages
        self._cut_tracks: dict[tuple[int, str], None] = {}

    def wanted(self, seen: Observation) -> EvidenceRequest:
        """Return what this observation needs. An observation about the past names when it began."""
        if isinstance(seen, FallingObject):
            return EvidenceRequest(cut=True, upload=True, started_ms=seen.started_ms)
        if isinstance(seen, ObjectInZone):
            return self._of_stay(seen)
        return EvidenceRequest(cut=True, upload=self._upload_passages, started_ms=seen.at_ms)

    def _of_stay(self, seen: ObjectInZone) -> EvidenceRequest:
        is_e_bike = seen.label is ObjectLabel.E_BIKE
        key = (seen.track_id, f"{seen.place_id} {seen.label if is_e_bike else ''}")
        first = key not in self._cut_tracks and seen.phase is not TrackPhase.LEFT
        begins = first and (is_e_bike or seen.phase is TrackPhase.ENTERED)
        if begins:
            self._cut_tracks[key] = None
            if len(self._cut_tracks) > MAX_TRACKS_CUT:
                del self._cut_tracks[next(iter(self._cut_tracks))]
        return EvidenceRequest(cut=begins, upload=begins and is_e_bike, started_ms=seen.at_ms - seen.dwell_ms)
