from __future__ import annotations

import itertools
import json
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from contracts.errors import ConfigurationError
from contracts.events import (
    Direction,
    Lane,
    ObjectFell,
    ObjectLabel,
    ObjectObserved,
    Origin,
    PassageObserved,
    TrackPhase,
)
from detectors.vision.detection.detections import Detections, Image, detections
from detectors.vision.falling.falling_analyser import FallingObject
from detectors.vision.geometry.shapes import Line, Mask, Zone
from detectors.vision.observations import LinePassed, ObjectInZone, Observation
from detectors.vision.tracking.object_analyser import FollowingAnalyser
from edge.camera import AnalyserName, CameraConfig
from edge.capture.capture import Frame, read_video
from edge.capture.media_clock import LiveClock, PictureArrival
from edge.capture.ring import FrameRing, decode_jpeg
from edge.evidence.evidence_store import EvidenceDisk, usage
from edge.evidence.recorder import QUEUE_ITEMS, Recorder
from edge.inference.analysers import AnalyserSet, build_analysers
from edge.inference.manifest import LoadedModel, load_manifest, load_model
from edge.inference.onnx import OnnxDetector
from edge.inference.pipeline import Pipeline
from edge.spool.box_db import BoxDb
from edge.spool.loss_note import LossNote
from edge.spool.spool import Spool
from edge.uplink.events import CameraIdentity, EvidencePolicy, event_of
from edge.uplink.upload_queue import UploadQueue
from tests.edge.factories import noise_frame
from tests.edge.models import MANIFESTS, shared_manifest
from tests.edge.platform import wait_for
from tests.support.shared import need_shared

IDENTITY = CameraIdentity(site_id="s1", camera_id="c1", place_id="p1", origin=Origin.SIMULATED, model="m@0")
THREE_PEOPLE_MS = 72_000  # of the clip's 139 s and 6 people
BOX = (1.0, 2.0, 3.0, 4.0)


def in_zone(
    phase: TrackPhase, label: ObjectLabel = ObjectLabel.E_BIKE, track_id: int = 7, at_ms: int = 9_000
) -> ObjectInZone:
    return ObjectInZone(
        at_ms=at_ms,
        place_id="lift-1",
        label=label,
        phase=phase,
        track_id=track_id,
        score=0.8,
        dwell_ms=400,
        box_xyxy=BOX,
    )


def passed() -> LinePassed:
    return LinePassed(at_ms=9_000, place_id="door-1", direction=Direction.IN, track_id=8, score=0.7, box_xyxy=BOX)


def fallen(column: str | None = None) -> FallingObject:
    return FallingObject(
        track_id=3,
        started_ms=8_000,
        at_ms=9_000,
        calibrated=False,
        suspected=False,
        drop_m=None,
        drop_error_m=None,
        floor=None,
        floor_error=None,
        column=column,
        gravity_ms2=None,
        fit_error_px=1.5,
        size_px=6.0,
        score=0.9,
        path=(),
    )


def test_observations_become_events_of_their_camera() -> None:
    object_event, passage, fall = (event_of(o, IDENTITY, ()) for o in (in_zone(TrackPhase.ENTERED), passed(), fallen()))
    assert isinstance(object_event, ObjectObserved)
    assert (object_event.place_id, object_event.label, object_event.dwell_ms) == ("lift-1", ObjectLabel.E_BIKE, 400)
    assert isinstance(passage, PassageObserved)
    assert (passage.place_id, passage.direction, passage.track_id) == ("door-1", Direction.IN, 8)
    assert isinstance(fall, ObjectFell)
    assert (fall.place_id, fall.track_id, fall.started_ms, fall.duration_ms) == ("p1", 3, 8_000, 1_000)
    assert event_of(fallen("col-2"), IDENTITY, ()).place_id == "col-2"
    assert {(e.site_id, e.source_id, e.origin) for e in (object_event, passage, fall)} == {
        ("s1", "c1", Origin.SIMULATED)
    }


def test_falls_and_e_bikes_are_uploaded_unasked_once_and_the_rest_stays_on_the_box() -> None:
    policy = EvidencePolicy()
    stay: list[Observation] = [
        in_zone(TrackPhase.ENTERED, ObjectLabel.BICYCLE),
        in_zone(TrackPhase.PRESENT, ObjectLabel.BICYCLE),
        in_zone(TrackPhase.PRESENT),  # the track turns out an e-bike
        in_zone(TrackPhase.PRESENT),
        in_zone(TrackPhase.LEFT),
        fallen(),
        passed(),
    ]
    assert [(w.cut, w.upload) for w in map(policy.wanted, stay)] == [
        (True, False),
        (False, False),
        (True, True),
        (False, False),
        (False, False),
        (True, True),
        (True, False),
    ]
    assert (policy.wanted(fallen()).started_ms, policy.wanted(passed()).started_ms) == (8_000, 9_000)
    assert EvidencePolicy(upload_passages=True).wanted(passed()).upload


class Recording:
    """A recorder on a disk, with a ring of ten seconds."""

    def __init__(self, folder: Path, *, frames: int = 100, data: str = "") -> None:
        db = BoxDb(folder / data / "box.db")
        ring = FrameRing()
        for n in range(frames):
            ring.add(np.full((48, 64, 3), n, np.uint8), n * 100)
        self.folder = folder / "e"
        self.disk = EvidenceDisk(self.folder, quota_bytes=10**8)
        note = LossNote(folder / "lost.json")
        self.spool = Spool(db, box_id="b1", site_id="s1", place_id="b1", now_ms=0, note=note)
        self.uploads = UploadQueue(db)
        self.recorder = Recorder(IDENTITY, ring=ring, disk=self.disk, spool=self.spool)

    def rows(self) -> list[dict[str, object]]:
        self.spool.number(Lane.LIVE, 0, 100)
        return [json.loads(row.body) for row in self.spool.rows(Lane.LIVE, 0, 100)]


def test_a_recorded_fall_has_its_event_its_evidence_and_its_uploads(tmp_path: Path) -> None:
    box = Recording(tmp_path)
    box.recorder.record(fallen(), threading.Event())
    (row,) = box.rows()
    evidence = row["evidence"]
    assert isinstance(evidence, list)
    assert [(e["kind"], e["from_ms"], e["to_ms"]) for e in evidence] == [
        ("still", 9_000, 9_000),
        ("clip", 4_100, 9_000),
    ]
    assert [len(box.disk.read(e["sha256"])) == e["bytes"] for e in evidence] == [True, True]
    assert (box.uploads.waiting(), usage(box.folder).files) == (2, 2)


def test_a_fall_is_told_at_once_and_its_evidence_follows(tmp_path: Path) -> None:
    box = Recording(tmp_path)
    box.recorder.submit(fallen())
    (told,) = box.rows()
    assert ("evidence" in told, usage(box.folder).files) == (False, 0)
    stop = threading.Event()
    stop.set()
    box.recorder.run(stop)
    first, second = box.rows()
    assert (first, second["evidence_of"], second["at_ms"]) == (told, told["event_id"], told["at_ms"])
    assert isinstance(second["evidence"], list)
    assert [e["kind"] for e in second["evidence"]] == ["still", "clip"]
    assert (box.uploads.waiting(), box.recorder.gauges.observations) == (2, 1)


def test_a_fall_without_pictures_is_told_once(tmp_path: Path) -> None:
    box = Recording(tmp_path, frames=0)
    stop = threading.Event()
    stop.set()
    box.recorder.submit(fallen())
    box.recorder.run(stop)
    assert len(box.rows()) == 1


def test_while_the_spool_refuses_the_camera_is_watched_on_and_the_loss_is_noted(tmp_path: Path) -> None:
    box = Recording(tmp_path, data="gone")  # no folder: the database cannot be opened
    stop = threading.Event()
    worker = threading.Thread(target=box.recorder.run, args=(stop,))
    box.recorder.submit(passed())
    worker.start()
    wait_for(lambda: box.recorder.gauges.spool_errors > 0, "a spool that refuses")
    for _ in range(QUEUE_ITEMS + 3):  # none of them waits
        box.recorder.submit(passed())
    box.recorder.submit(fallen())
    stop.set()
    worker.join(10)
    assert not worker.is_alive()
    (tmp_path / "gone").mkdir()
    assert box.spool.lost == QUEUE_ITEMS + 5
    assert box.spool.declare_loss()
    (declared,) = box.rows()
    assert (declared["kind"], declared["from_seq"], declared["to_seq"]) == ("rows_dropped", 1, QUEUE_ITEMS + 5)


def test_a_passage_keeps_its_evidence_on_the_box(tmp_path: Path) -> None:
    box = Recording(tmp_path)
    box.recorder.record(passed(), threading.Event())
    assert (box.uploads.waiting(), usage(box.folder).files, len(box.rows())) == (0, 2, 1)


def test_without_pictures_or_a_usable_disk_the_event_is_recorded_all_the_same(tmp_path: Path) -> None:
    box = Recording(tmp_path, frames=0)
    box.recorder.record(fallen(), threading.Event())
    (tmp_path / "full").mkdir()
    full = Recording(tmp_path / "full")
    for file in full.folder.iterdir():
        file.unlink()
    full.folder.rmdir()
    full.recorder.record(fallen(), threading.Event())
    assert [("evidence" in row) for row in box.rows() + full.rows()] == [False, False]
    assert (box.recorder.gauges.cuts_failed, full.recorder.gauges.cuts_failed) == (0, 1)


class PersonEverywhere:
    """A detector that sees one person over the whole picture."""

    def detect(self, frame: Image) -> Detections:
        return detections([(0, 0, frame.shape[1], frame.shape[0])], [0.9], [0])


def one_person_model() -> LoadedModel:
    manifest = load_manifest(MANIFESTS / "person_192.toml")
    return LoadedModel(manifest, b"")


def watching(camera: CameraConfig, first_track_id: int = 1) -> AnalyserSet:
    return build_analysers(
        camera,
        model=one_person_model(),
        make_detector=lambda _model, _score: PersonEverywhere(),
        first_track_id=first_track_id,
    )


ZONED = CameraConfig(
    id="c1",
    analysers=(AnalyserName.OBJECT_ZONES,),
    zone=(Zone("hall", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))),),
)


def test_pictures_are_redacted_before_they_are_kept() -> None:
    ring = FrameRing()
    pipeline = Pipeline(lambda first: watching(ZONED, first), (Mask(((0, 0), (1, 0), (1, 0.5), (0, 0.5))),), ring)
    picture = noise_frame(5, 64, 64)
    pipeline.process(Frame(picture, 1_000))
    assert ring.nearest(1_000) is None  # until it is known who comes next
    pipeline.process(Frame(picture, 1_200))
    kept = ring.nearest(1_000)
    assert kept is not None
    shown = decode_jpeg(kept.jpeg)
    assert int(np.ptp(shown[:28].astype(int))) < 40
    assert np.abs(shown.astype(int) - picture.astype(int)).mean() > 30


class _Walker:
    """Sees one person, whose place is the picture's grey value in pixels."""

    def detect(self, frame: Image) -> Detections:
        x = float(frame[0, 0, 0])
        return detections([(x - 10, 10, x + 10, 44)], [0.9], [0])


@pytest.mark.parametrize("back_ms", [0, 500, 1_000, 1_500, 2_000, 3_600_000])
def test_who_crosses_while_the_clock_is_set_back_a_little_is_counted_once(back_ms: int) -> None:
    line = Line(place_id="door-1", start=(0.5, 0.0), end=(0.5, 1.0))
    following = FollowingAnalyser(_Walker(), (ObjectLabel.PERSON,), zones=(), lines=(line,), interval_ms=200)
    pipeline = Pipeline(lambda _first: AnalyserSet((following,), following), (), FrameRing())
    clock, said = LiveClock(), []
    for n in range(60):
        wall_ms = 5_000_000 + n * 100 - (back_ms if n >= 25 else 0)
        taken = clock.taken(PictureArrival(stream_ms=None, mono_ms=n * 100, wall_ms=wall_ms, waited_ms=90))
        picture = np.full((48, 120, 3), 10 + n * 100 // 60, np.uint8)
        said += pipeline.process(Frame(picture, taken.at_ms, taken.shift_ms))
    assert [type(one) for one in said] == [LinePassed]
    assert all(abs(one.at_ms - 5_000_000) < 6_000 + back_ms for one in said)


def test_a_clock_that_is_set_moves_dates_and_evidence_and_no_interval() -> None:
    ring, picture = FrameRing(), np.zeros((48, 64, 3), np.uint8)
    pipeline = Pipeline(lambda first: watching(ZONED, first), (), ring)
    said = [o for n in range(5) for o in pipeline.process(Frame(picture, 100_000 + n * 300))]
    said += [o for n in range(5, 30) for o in pipeline.process(Frame(picture, 100_000 + n * 300, -90_000))]
    assert [(o.at_ms, o.dwell_ms) for o in said if isinstance(o, ObjectInZone)][:2] == [(100_900, 600), (12_100, 1_800)]
    assert [frame.at_ms for frame in ring.between(0, 12_000)][:6] == [10_000 + n * 300 for n in range(6)]


def test_tracks_are_numbered_from_the_time_and_anew_when_a_source_begins_anew() -> None:
    begun: list[int] = []

    def make(first: int) -> AnalyserSet:
        begun.append(first)
        return watching(ZONED, first)

    pipeline = Pipeline(make, (), FrameRing())
    picture = np.zeros((48, 64, 3), np.uint8)
    said = [o for n in range(5) for o in pipeline.process(Frame(picture, 100_000 + n * 300))]
    assert [(type(o), o.at_ms) for o in said] == [(ObjectInZone, 100_900)]
    assert isinstance(said[0], ObjectInZone)
    assert said[0].track_id == 100_000
    pipeline.process(Frame(picture, 50_000))
    assert begun == [100_000, 50_000]


def test_only_the_listed_analysers_run_and_a_detector_needs_a_model() -> None:
    falls = CameraConfig(id="c1", analysers=(AnalyserName.HIGH_ALTITUDE_THROW,))
    watch = watching(falls)
    assert (len(watch.analysers), watch.following, watch.model) == (1, None, None)
    both = CameraConfig(
        id="c1", analysers=(AnalyserName.HIGH_ALTITUDE_THROW, AnalyserName.OBJECT_ZONES), zone=ZONED.zone
    )
    assert len(watching(both).analysers) == 2
    with pytest.raises(ConfigurationError, match="model is missing"):
        build_analysers(ZONED, model=None, make_detector=lambda _m, _s: PersonEverywhere())


@pytest.mark.slow
def test_people_at_a_real_gate_are_counted_one_by_one(tmp_path: Path) -> None:
    video = need_shared("clips/gate/one-by-one-person-detection.mp4")
    model = load_model(shared_manifest("yolox_nano_416", tmp_path))
    camera = CameraConfig(
        id="gate",
        detect_per_s=3.0,
        analysers=(AnalyserName.PASSAGES, AnalyserName.OBJECT_ZONES),
        line=(Line("door", start=(0.62, 1.0), end=(0.62, 0.0)),),
        zone=(Zone("hall", ((0.2, 0.2), (0.8, 0.2), (0.8, 1.0), (0.2, 1.0)), labels=(ObjectLabel.PERSON,)),),
    )
    watch = build_analysers(camera, model=model, make_detector=lambda m, score: OnnxDetector(m, min_score=score))
    frames = itertools.takewhile(lambda frame: frame.at_ms < THREE_PEOPLE_MS, read_video(video))
    seen = [o for f in frames for a in watch.analysers for o in a.process(f.image, f.at_ms)]
    passages = [o for o in seen if isinstance(o, LinePassed)]
    stays = Counter(o.phase for o in seen if isinstance(o, ObjectInZone))
    assert (stays[TrackPhase.ENTERED], stays[TrackPhase.LEFT]) == (3, 3)
    assert len({o.track_id for o in passages}) == len(passages) == 3
