"""One camera at work: a thread that captures, one that judges, one that records."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import msgspec

from contracts.events import DeviceReported
from edge.camera import AnalyserName, CameraConfig
from edge.capture.capture import EVERY_FRAME_QUEUE, Capture, FrameQueue
from edge.capture.ring import FrameRing
from edge.evidence.evidence_store import EvidenceDisk
from edge.evidence.recorder import Recorder
from edge.inference.analysers import AnalyserSet
from edge.inference.pipeline import Pipeline
from edge.spool.spool import Spool
from edge.supervise import SupervisedThread
from edge.uplink.events import CameraIdentity, EvidencePolicy, report

POLL_S = 0.2
ALIVE_S = 10.0  # a camera that gave no picture for so long is not reported as living


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
        self._identity = identity
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
        self._judged, self._reported_ms, self._reported_frames = 0, now_ms(), 0
        bodies = (("capture", self._capture.run), ("judge", self._judge), ("record", self._recorder.run))
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
        """Hand a report on this camera to its recorder; None, and silence, when there is no picture."""
        if time.monotonic() - self._capture.gauges.last_frame_s > ALIVE_S:
            return None
        event = report(self._identity, now_ms, healthy=True, gauges=self._gauges(now_ms))
        self._recorder.submit(event)
        return event

    def _gauges(self, now_ms: int) -> dict[str, float]:
        frames, since_s = self._capture.gauges.frames, max(now_ms - self._reported_ms, 1) / 1000
        frames_per_s = (frames - self._reported_frames) / since_s
        self._reported_ms, self._reported_frames = now_ms, frames
        recorded = {k: float(v) for k, v in msgspec.structs.asdict(self._recorder.gauges).items()}
        return {
            "frames_per_s": round(frames_per_s, 2),
            "decode_ms": round(self._capture.gauges.decode_ms, 2),
            "frames_dropped": float(self._queue.dropped),
            "frames_judged": float(self._judged),
            "reconnects": float(self._capture.gauges.reconnects),
            "failures": float(sum(worker.failures for worker in self._workers)),
            **recorded,
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
