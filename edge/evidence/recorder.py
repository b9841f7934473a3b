"""From observation to spool row: cut the evidence, make the event, keep both. A thread per camera, in order of time.

Reports about a camera pass the same queue, so that none overtakes an observation made before it. A fall waits for
nothing: its event is in the spool when ``submit`` returns, and its evidence follows as an event of its own.
"""

from __future__ import annotations

import queue
import sqlite3
import threading

import msgspec
import structlog

from contracts.errors import Transient
from contracts.events import Event, EvidenceRef
from detectors.vision.falling.falling_analyser import FallingObject
from detectors.vision.observations import Observation
from edge.capture.ring import FrameRing
from edge.evidence.cutter import cut
from edge.evidence.evidence_store import EvidenceDisk
from edge.spool.box_db import may_pass
from edge.spool.spool import Spool
from edge.uplink.events import (
    CameraIdentity,
    EvidencePolicy,
    EvidenceRequest,
    event_of,
    evidence_event,
    object_fell,
)

QUEUE_ITEMS = 256
BUSY_ITEMS = 8  # behind by so many: only evidence that will be uploaded is still cut
POLL_S = 0.2
RETRY_S = 1.0
_log = structlog.get_logger("edge.evidence.recorder")


class RecorderGauges(msgspec.Struct):
    """The counters of a recorder."""

    observations: int = 0
    cuts: int = 0
    cuts_skipped: int = 0
    cuts_failed: int = 0
    spool_errors: int = 0
    lost: int = 0


class ToldFall(msgspec.Struct, frozen=True):
    """A fall that is in the spool already; its evidence is still to be cut."""

    event_id: str
    seen: FallingObject


class Recorder:
    """Makes one camera's observations durable.

    Args:
        identity: what its events carry.
        ring: its recent frames.
        disk: where evidence is kept.
        spool: where events are kept.
        policy: which observations cut evidence.
    """

    def __init__(
        self,
        identity: CameraIdentity,
        *,
        ring: FrameRing,
        disk: EvidenceDisk,
        spool: Spool,
        policy: EvidencePolicy | None = None,
    ) -> None:
        self._identity, self._ring, self._disk, self._spool = identity, ring, disk, spool
        self._policy = policy or EvidencePolicy()
        self._queue: queue.Queue[Observation | Event | ToldFall] = queue.Queue(QUEUE_ITEMS)
        self._refused = False
        self.gauges = RecorderGauges()

    def submit(self, item: Observation | Event) -> None:
        """Hand over an observation, or an event that is ready; waits when the recorder is far behind.

        While the spool refuses, nothing waits: what has no room is lost, and counted, so that the camera is watched on.
        """
        handed: Observation | Event | ToldFall = self._told_fall(item) if isinstance(item, FallingObject) else item
        while True:
            try:
                self._queue.put(handed, timeout=0 if self._refused else POLL_S)
                return
            except queue.Full:
                if self._refused:
                    self._lose(handed)
                    return

    def _told_fall(self, seen: FallingObject) -> ToldFall | FallingObject:
        """Return the fall as it is in the spool now; as it was seen when the spool refuses it."""
        try:
            event_id = self._spool.add(event_of(seen, self._identity, ()))
        except sqlite3.DatabaseError:
            return seen
        self.gauges.observations += 1
        return ToldFall(event_id, seen)

    def _lose(self, item: Observation | Event | ToldFall) -> None:
        """Count what cannot be kept; a report, and the evidence of a fall that was told, are no lost observation."""
        self.gauges.lost += 1
        if not isinstance(item, Event | ToldFall):
            self._spool.lose(event_of(item, self._identity, ()))

    def run(self, stop: threading.Event) -> None:
        """Record until ``stop`` and until nothing waits any more."""
        while not (stop.is_set() and self._queue.empty()):
            try:
                item = self._queue.get(timeout=POLL_S)
            except queue.Empty:
                continue
            self.record(item, stop)

    def record(self, item: Observation | Event | ToldFall, stop: threading.Event) -> None:
        """Make one item durable: when this returns, neither a crash nor a power cut loses it.

        When the spool refuses until ``stop``, it is lost and noted.
        """
        if isinstance(item, Event):
            self._store(item, (), item, stop)
        elif isinstance(item, ToldFall):
            self._follow(item, stop)
        else:
            self.gauges.observations += 1
            wanted = self._policy.wanted(item)
            evidence = self._evidence(wanted, item.at_ms) if self._may_cut(wanted) else ()
            self._store(event_of(item, self._identity, evidence), evidence if wanted.upload else (), item, stop)

    def _follow(self, told: ToldFall, stop: threading.Event) -> None:
        """Let the evidence of a fall follow it."""
        wanted = self._policy.wanted(told.seen)
        evidence = self._evidence(wanted, told.seen.at_ms) if wanted.cut else ()
        if evidence:
            fall = object_fell(told.seen, self._identity, ())
            event = evidence_event(fall, told.event_id, evidence)
            self._store(event, evidence if wanted.upload else (), told, stop)

    def _store(
        self,
        event: Event,
        uploads: tuple[EvidenceRef, ...],
        item: Observation | Event | ToldFall,
        stop: threading.Event,
    ) -> None:
        """Spool it; while the disk is full, try until ``stop``. What has no room behind it is lost meanwhile."""
        while True:
            try:
                self._spool.add(event, uploads)
            except sqlite3.DatabaseError as error:
                self.gauges.spool_errors += 1
                _log.error("spool refuses", camera=self._identity.camera_id, error=str(error))
                self._refused = may_pass(error)
                if not self._refused or stop.wait(RETRY_S):
                    self._lose(item)
                    return
                continue
            self._refused = False
            return

    def _may_cut(self, wanted: EvidenceRequest) -> bool:
        busy = self._queue.qsize() > BUSY_ITEMS and not wanted.upload
        self.gauges.cuts_skipped += int(wanted.cut and busy)
        return wanted.cut and not busy

    def _evidence(self, wanted: EvidenceRequest, at_ms: int) -> tuple[EvidenceRef, ...]:
        """Return the evidence on disk; none when the disk is full or the encoder fails: the event matters more."""
        try:
            kept = tuple(
                self._disk.keep(piece) for piece in cut(self._ring, wanted.started_ms, at_ms, light=not wanted.upload)
            )
        except (OSError, ValueError, Transient) as error:
            self.gauges.cuts_failed += 1
            _log.error("no evidence", camera=self._identity.camera_id, error=str(error))
            return ()
        self.gauges.cuts += bool(kept)
        return kept
