"""One camera at work: a thread that captures, one that judges, one that records, one that watches over its health."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import msgspec
import structlog

from contracts.events import CameraImpairment, DeviceReported
from detectors.vision.health.picture_health import PictureHealth
from edge.camera import AnalyserName, CameraConfig
from edge.camera_health import CameraHealth, CameraSigns
from edge.capture.capture import EVERY_FRAME_QUEUE, Capture, FrameQueue
from edge.capture.ring import FrameRing
from edge.evidence.evidence_store import EvidenceDisk
from edge.evidence.recorder import Recorder
from edge.inference.analysers import AnalyserSet
from edge.inference.pipeline import Pipeline
from edge.inference.sight import Sight
from edge.spool.spool import Spool
from edge.supervise import SupervisedThread
from edge.uplink.events import CameraIdentity, EvidencePolicy, report

POLL_S = 0.2
LOOK_S = 0.5
BLIND = frozenset({CameraImpairment.NO_FRAMES, CameraImpairment.NOT_JUDGED})
_log = structlog.get_logger("edge.camera_worker")


class CameraWorker:
    """Everything one camera needs.

    Args:
        make_watch: fresh analysers, given the number of their first track.
    """

    def __init__(
        self,
        camera: CameraConfig,
        identity: CameraIdentity,
        *,
        make_analysers: Callable[[int], AnalyserSet],
        disk: EvidenceDisk,
        spool: Spool,
        now_ms: Callable[[], int],
    ) -> None:
        self._identity, self._now_ms = identity, now_ms
        every_frame = AnalyserName.HIGH_ALTITUDE_THROW in camera.analysers
        self._queue = FrameQueue(EVERY_FRAME_QUEUE if every_frame else 1)
        ring = FrameRing()
        self._capture = Capture(
            camera.source,
            self._queue,
            realtime=camera.realtime,
            loop=camera.loop,
            now_ms=now_ms,
            stream=camera.stream,
        )
        policy = EvidencePolicy(upload_passages=camera.upload_passages)
        self._recorder = Recorder(identity, ring=ring, disk=disk, spool=spool, policy=policy)
        self._make_analysers, self._masks, self._ring = make_analysers, camera.mask, ring
        self._judged, self._reported_s, self._reported_frames = 0, time.monotonic(), 0
        self._health = CameraHealth(time.monotonic(), frozenset(camera.ignore_health))
        self._pictures, self._looked_at = PictureHealth(), 0
        self.impaired_by: tuple[CameraImpairment, ...] = ()
        self._looks, self._sight, self._blind = 0, Sight(camera), tuple[str, ...]()
        self._misfits: tuple[str, ...] = ()
        self._reporting = threading.Lock()  # the box reports now and then, what changes is reported at once
        bodies = (
            ("capture", self._capture.run),
            ("judge", self._judge),
            ("health", self._watch),
            ("record", self._recorder.run),
        )
        self._workers = [SupervisedThread(f"{camera.id} {name}", body) for name, body in bodies]

    def start(self) -> None:
        """Start the threads."""
        for worker in self._workers:
            worker.start()

    def stop(self, timeout_s: float) -> bool:
        """End in the order of the data, so that everything seen is recorded; whether all ended in time."""
        ended = []
        for worker in self._workers:
            worker.stop()
            ended.append(worker.join(timeout_s))
        return all(ended)

    def report(self, now_ms: int) -> DeviceReported | None:
        """Hand a report on this camera to its recorder; None, and silence, while it may still begin."""
        with self._reporting:
            reasons = self.impaired_by
            if not self._capture.gauges.frames and not reasons:
                return None
            event = report(
                self._identity,
                now_ms,
                healthy=not reasons,
                gauges=self._gauges(reasons),
                impaired_by=reasons[0] if reasons else None,
            )
            self._recorder.submit(event)
            return event

    @property
    def sees(self) -> bool:
        """Whether pictures come and are judged."""
        return bool(self._capture.gauges.frames) and not BLIND.intersection(self.impaired_by)

    def _watch(self, stop: threading.Event) -> None:
        """Look now and then until ``stop``; what changes is reported at once."""
        while not stop.wait(LOOK_S):
            before = self.impaired_by
            self.impaired_by = self._look(time.monotonic())
            if self.impaired_by != before:
                _log.warning("camera health", camera=self._identity.camera_id, impaired_by=self.impaired_by)
                self.report(self._now_ms())

    def _look(self, now_s: float) -> tuple[CameraImpairment, ...]:
        gauges, newest = self._capture.gauges, self._capture.newest
        if newest is not None and gauges.frames != self._looked_at:
            self._looked_at = gauges.frames
            self._pictures.look(newest.image, now_s * 1000)
        too_little = self._sight.judge(int(now_s * 1000), pictures=self._judged, looks=self._looks)
        misfits = self._misfits
        self._say_blind(too_little + misfits)
        signs = CameraSigns(
            now_s=now_s,
            frames=gauges.frames,
            last_frame_s=gauges.last_frame_s,
            judged=self._judged,
            lag_ms=gauges.lag_ms,
            drops_to_live=gauges.drops_to_live,
            clock_is_wrong=self._capture.clock_is_wrong(),
            judged_too_little=bool(too_little),
            misfit=bool(misfits),
            picture=self._pictures.wrong,
        )
        reasons = self._health.reasons(signs)
        if CameraImpairment.NO_FRAMES in reasons:
            self._pictures.forget()
        return reasons

    def _say_blind(self, blind: tuple[str, ...]) -> None:
        """Let the log say when it begins or ends that the camera does not see all that it is for, and why."""
        if bool(blind) != bool(self._blind):
            say = _log.warning if blind else _log.info
            say("camera cannot see" if blind else "camera sees again", camera=self._identity.camera_id, why=blind)
        self._blind = blind

    def _gauges(self, reasons: tuple[CameraImpairment, ...]) -> dict[str, float]:
        frames, now_s = self._capture.gauges.frames, time.monotonic()
        frames_per_s = (frames - self._reported_frames) / max(now_s - self._reported_s, 1.0)
        self._reported_s, self._reported_frames = now_s, frames
        recorded = {k: float(v) for k, v in msgspec.structs.asdict(self._recorder.gauges).items()}
        return {
            "frames_per_s": round(frames_per_s, 2),
            "decode_ms": round(self._capture.gauges.decode_ms, 2),
            "frames_dropped": float(self._queue.dropped),
            "frames_judged": float(self._judged),
            "lag_ms": float(self._capture.gauges.lag_ms),
            "drops_to_live": float(self._capture.gauges.drops_to_live),
            "looks": float(self._looks),
            "reconnects": float(self._capture.gauges.reconnects),
            "failures": float(sum(worker.failures for worker in self._workers)),
            **recorded,
            **{f"impaired_{reason}": 1.0 for reason in reasons},
        }

    def _judge(self, stop: threading.Event) -> None:
        """Judge until ``stop``; after a failure the supervisor begins again with fresh analysers."""
        pipeline = Pipeline(self._make_analysers, self._masks, self._ring)
        while not stop.is_set():
            frame = self._queue.get(POLL_S)
            if frame is None:
                continue
            for observation in pipeline.process(frame):
                self._recorder.submit(observation)
            self._judged += 1
            self._looks += pipeline.looked
            self._misfits = pipeline.misfits()
