"""From observation to spool row: cut the evidence, make the event, keep both. A thread per camera, in order of time.

Reports about a camera pass the same queue, so that none overtakes an observation made before it.
"""

from __future__ import annotations

import queue
import sqlite3
import threading

import msgspec
import structlog

from contracts.events import Event, EvidenceRef
from detectors.vision.observations import Observation
from edge.capture.ring import FrameRing
from edge.evidence.cutter import cut
from edge.evidence.evidence_store import EvidenceDisk
from edge.spool.spool import Spool
from edge.uplink.events import CameraIdentity, EvidencePolicy, EvidenceRequest, event_of

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
        self._queue: queue.Queue[Observation | Event] = queue.Queue(QUEUE_ITEMS)
        self.gauges = RecorderGauges()

    def submit(self, item: Observation | Event) -> None:
        """Hand over an observation, or an event that is ready; waits when the recorder is far behind."""
        self._queue.put(item)

    def run(self, stop: threading.Event) -> None:
        """Record until ``stop`` and until nothing waits any more."""
        while not (stop.is_set() and self._queue.empty()):
            try:
                item = self._queue.get(timeout=POLL_S)
            except queue.Empty:
                continue
            self.record(item, stop)

    def record(self, item: Observation | Event, stop: threading.Event) -> None:
        """Make one item durable: when this returns, neither a crash nor a power cut loses it."""
        if isinstance(item, Event):
            self._store(item, (), stop)
            return
        self.gauges.observations += 1
        wanted = self._policy.wanted(item)
        evidence = self._evidence(wanted, item.at_ms) if self._may_cut(wanted) else ()
        self._store(event_of(item, self._identity, evidence), evidence if wanted.upload else (), stop)

    def _store(self, event: Event, uploads: tuple[EvidenceRef, ...], stop: threading.Event) -> None:
        """Spool it; while the disk is full, keep trying: frames are dropped meanwhile, and counted."""
        while True:
            try:
                self._spool.add(event, uploads)
                return
            except sqlite3.OperationalError as error:
                self.gauges.spool_errors += 1
                _log.error("spool refuses", camera=self._identity.camera_id, error=str(error))
                if stop.wait(RETRY_S):
                    raise

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
        except (OSError, ValueError) as error:
            self.gauges.cuts_failed += 1
            _log.error("no evidence", camera=self._identity.camera_id, error=str(error))
            return ()
        self.gauges.cuts += bool(kept)
        return kept
