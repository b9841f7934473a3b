"""The box: cameras, spool, publisher and uploader, put together and kept running until it is told to stop."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import structlog

from contracts.durations import HOUR_MS
from contracts.events import Origin
from edge.camera import CameraConfig
from edge.camera_worker import CameraWorker
from edge.config import EdgeConfig
from edge.evidence.evidence_store import EvidenceDisk, usage
from edge.inference.analysers import AnalyserSet, build_analysers
from edge.inference.manifest import LoadedModel, load_model
from edge.inference.onnx import OnnxDetector
from edge.spool.box_clock import BoxClock
from edge.spool.box_db import BoxDb
from edge.spool.loss_note import LossNote
from edge.spool.spool import Spool
from edge.supervise import SupervisedThread
from edge.uplink.events import CameraIdentity, report
from edge.uplink.publisher import SpoolPublisher
from edge.uplink.sender import SpoolSender
from edge.uplink.upload import Uploader
from edge.uplink.upload_queue import UploadQueue
from system.clock import boot_id, since_boot_ms, wall_ms

STOP_TIMEOUT_S = 5.0
SWEEP_S = 60.0
FIRST_REPORT_S = 2.0  # a box that came back is seen at once
_log = structlog.get_logger("edge.run")


class EdgeBox:
    """One box. ``run(stop)`` returns after an orderly end; killed at any moment, it loses nothing it had spooled.

    Args:
        config: checked.
        now_ms: epoch milliseconds.

    Raises:
        ConfigurationError: when a model or a token is not usable.
        Permanent: when a model is not what its manifest says.
    """

    def __init__(self, config: EdgeConfig, now_ms: Callable[[], int] = wall_ms) -> None:
        self._config, self._now_ms, self._data = config, now_ms, Path(config.box.data)
        self._data.mkdir(parents=True, exist_ok=True, mode=0o700)
        models = {camera.id: load_model(Path(camera.model)) for camera in config.camera if camera.needs_detector}
        self._db = BoxDb(self._data / "box.db")
        self._clock = BoxClock(boot_id(), now_ms, since_boot_ms)
        self._disk = EvidenceDisk(
            self._data / "evidence",
            quota_bytes=config.evidence.quota_mb * 1_000_000,
            max_age_ms=config.evidence.retention_hours * HOUR_MS,
            clock=self._clock,
        )
        self._spool = self._open_spool()
        self._uploads = UploadQueue(self._db)
        self._identity = self._identity_of(config.box.id, config.box.place_id or config.box.id, simulated=False)
        self._cameras = [self._camera(camera, models.get(camera.id)) for camera in config.camera]
        self._publisher = SpoolPublisher(
            config.mqtt,
            site_id=config.box.site,
            box_id=config.box.id,
            sender=SpoolSender(self._spool, backlog_rows_per_s=config.spool.backlog_rows_per_s),
            now_ms=now_ms,
        )
        self._workers = [SupervisedThread("publish", self._publisher.run), *self._uploader()]

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop``."""
        cv2.setNumThreads(1)  # a box has a camera per core or more
        for worker in self._workers:
            worker.start()
        for camera in self._cameras:
            camera.start()
        _log.info("box runs", box=self._config.box.id, cameras=len(self._cameras))
        try:
            self._supervise(stop)
        finally:
            self._shut_down()

    def _supervise(self, stop: threading.Event) -> None:
        swept_s, pause_s = 0.0, min(FIRST_REPORT_S, self._config.box.health_s)
        while not stop.wait(pause_s):
            pause_s = self._config.box.health_s
            due = time.monotonic() - swept_s > SWEEP_S
            swept_s = time.monotonic() if due else swept_s
            self._keep_house(due=due)

    def _keep_house(self, *, due: bool) -> None:
        """Do what a box does beside watching; a full disk keeps it from some of it, and from nothing else."""
        now_ms = self._now_ms()
        oldest_ms = now_ms - self._config.spool.retention_hours * HOUR_MS
        sweeps: list[Callable[[], object]] = [
            lambda: self._disk.sweep(now_ms),
            lambda: self._spool.drop_older(oldest_ms),
        ]
        for work in [*(sweeps if due else ()), self._spool.declare_loss, lambda: self._report(now_ms)]:
            try:
                work()
            except (sqlite3.Error, OSError) as error:  # a damaged file makes room for a new one at its next use
                _log.error("the box's disk refuses", lost=self._spool.lost, error=str(error))

    def _report(self, now_ms: int) -> None:
        for camera in self._cameras:
            camera.report(now_ms)
        seeing = sum(camera.sees for camera in self._cameras)
        self._spool.add(
            report(self._identity, now_ms, healthy=seeing == len(self._cameras), gauges=self._gauges(seeing))
        )

    def _gauges(self, cameras_alive: int) -> dict[str, float]:
        counts, kept, disk = (
            self._spool.counts(self._now_ms()),
            usage(self._data / "evidence"),
            shutil.disk_usage(self._data),
        )
        return {
            "cameras": float(len(self._cameras)),
            "cameras_alive": float(cameras_alive),
            "cameras_impaired": float(sum(bool(camera.impaired_by) for camera in self._cameras)),
            "spool_rows": float(counts.rows),
            "spool_backlog_rows": float(counts.backlog),
            "spool_rows_dropped": float(counts.dropped),
            "spool_events_lost": float(self._spool.lost),
            "uploads_waiting": float(self._uploads.waiting()),
            "evidence_files": float(kept.files),
            "evidence_mb": round(kept.bytes / 1e6, 1),
            "evidence_dropped": float(self._disk.dropped),
            "evidence_stuck": float(self._disk.stuck),
            "evidence_unusable": float(not self._disk.is_usable()),
            "disk_free_pct": round(100 * disk.free / disk.total, 1),
            "reconnects": float(self._publisher.reconnects),
        }

    def _shut_down(self) -> None:
        """End in the order of the data: what was seen is spooled, and what was spooled may still be sent next time."""
        ended = [camera.stop(STOP_TIMEOUT_S) for camera in self._cameras]
        for worker in self._workers:
            worker.stop()
        ended += [worker.join(STOP_TIMEOUT_S) for worker in self._workers]
        if all(ended):
            self._db.close()
        else:
            _log.warning("some threads did not end in time")
        _log.info("box stopped", box=self._config.box.id)

    def _open_spool(self) -> Spool:
        box = self._config.box
        return Spool(
            self._db,
            box_id=box.id,
            site_id=box.site,
            place_id=box.place_id or box.id,
            now_ms=self._now_ms(),
            max_rows=self._config.spool.max_rows,
            note=LossNote(self._data / "lost.json"),
            clock=self._clock,
        )

    def _uploader(self) -> list[SupervisedThread]:
        if not self._config.console.url:
            return []
        uploader = Uploader(self._config.console, queue=self._uploads, disk=self._disk, now_ms=self._now_ms)
        return [SupervisedThread("upload", uploader.run)]

    def _identity_of(
        self, device_id: str, place_id: str, *, simulated: bool, model: str | None = None
    ) -> CameraIdentity:
        return CameraIdentity(
            site_id=self._config.box.site,
            camera_id=device_id,
            place_id=place_id,
            origin=Origin.SIMULATED if simulated else Origin.LIVE,
            model=model,
        )

    def _camera(self, camera: CameraConfig, model: LoadedModel | None) -> CameraWorker:
        def make_analysers(first_track_id: int) -> AnalyserSet:
            return build_analysers(camera, model=model, make_detector=_onnx_detector, first_track_id=first_track_id)

        name = model.manifest.model if model else None
        make_analysers(1)  # a model that onnxruntime refuses ends the start, not a thread
        return CameraWorker(
            camera,
            self._identity_of(camera.id, camera.place, simulated=camera.simulated, model=name),
            make_analysers=make_analysers,
            disk=self._disk,
            spool=self._spool,
            now_ms=self._now_ms,
        )


def _onnx_detector(model: LoadedModel, min_score: float) -> OnnxDetector:
    return OnnxDetector(model, min_score=min_score)
