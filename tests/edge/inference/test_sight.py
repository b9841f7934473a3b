"""A setting, a model or a stream that would leave an analyser blind is refused or told; what is accepted sees."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from app.main import linli
from contracts.errors import ConfigurationError
from contracts.events import CameraImpairment, DeviceEvent, DeviceReported, Lane, ObjectLabel, Origin, TrackPhase
from detectors.vision.detection.detections import Detections, Image, detections
from detectors.vision.geometry.facade import FacadeColumn, FacadeGeometry
from detectors.vision.geometry.shapes import Line, Zone
from detectors.vision.observations import LinePassed, ObjectInZone, Observation
from detectors.vision.tracking.object_analyser import FollowingAnalyser
from edge.camera import (
    LEAST_FALL_PICTURES_PER_S,
    LEAST_LOOKS_PER_S,
    MOST_LOOKS_PER_S,
    AnalyserName,
    CameraConfig,
    check_camera,
    load_camera,
)
from edge.camera_worker import CameraWorker
from edge.config import load_config
from edge.evidence.evidence_store import EvidenceDisk
from edge.inference.analysers import AnalyserSet, build_analysers
from edge.inference.sight import Sight
from edge.uplink.events import CameraIdentity
from system.clock import wall_ms
from tests.edge.factories import new_spool, write_video
from tests.edge.inference.test_manifest_and_config import FALLS, ZONES, write_box, write_manifest
from tests.edge.models import shared_manifest
from tests.edge.platform import wait_for

HALL = Zone("hall", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)))
DOOR = Line("door", start=(0.5, 0.0), end=(0.5, 1.0))
WIDTH, HEIGHT = 1280, 720
PICTURE = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
TALL = 200.0


class Eye:
    """Sees the boxes it is told."""

    def __init__(self) -> None:
        self.sees: Sequence[tuple[float, float, float, float]] = ()

    def detect(self, frame: Image) -> Detections:
        del frame
        return detections(self.sees, [0.9] * len(self.sees), [0] * len(self.sees))


def _camera(*names: AnalyserName, looks_per_s: float = 5.0) -> CameraConfig:
    return CameraConfig(id="c1", analysers=names, detect_per_s=looks_per_s, zone=(HALL,), line=(DOOR,))


@pytest.mark.parametrize("name", LEAST_LOOKS_PER_S)
def test_a_detector_that_looks_too_seldom_for_its_analyser_is_refused(name: AnalyserName) -> None:
    least = LEAST_LOOKS_PER_S[name]
    for wrong in (0.0, 0.2, 0.9 * least, MOST_LOOKS_PER_S + 1, float("nan")):
        (sentence,) = check_camera(_camera(name, looks_per_s=wrong), "camera 'c1'")
        assert f"detect_per_s = {wrong}: {name} needs {least:g}–30" in sentence
    assert check_camera(_camera(name, looks_per_s=least), "camera 'c1'") == []


@pytest.mark.parametrize("least_of", LEAST_LOOKS_PER_S)
@pytest.mark.parametrize("looks_per_s", [0.1, 0.2, 0.5, 0.66, 1, 2.5, 5, 30])
def test_who_stands_is_seen_at_any_pace_of_the_detector(looks_per_s: float, least_of: AnalyserName) -> None:
    eye, out = Eye(), list[Observation]()
    eye.sees = [(100.0, 100.0, 180.0, 300.0)]
    # slow because it is set so, or because its pictures or the machine are
    interval_ms = round(1000 / (looks_per_s if least_of is AnalyserName.PASSAGES else 30))
    analyser = FollowingAnalyser(eye, (ObjectLabel.PERSON,), zones=(HALL,), lines=(), interval_ms=interval_ms)
    for at_ms in range(0, 120_000, max(round(1000 / looks_per_s), 40)):
        out += analyser.process(PICTURE, at_ms)
    phases = [one.phase for one in out if isinstance(one, ObjectInZone)]
    assert phases.count(TrackPhase.ENTERED) == 1
    assert phases[1:] == [TrackPhase.PRESENT] * (len(phases) - 1)
    assert len(phases) >= min(looks_per_s * 120, 100) - 3


@pytest.mark.parametrize("metres_per_s", [0.5, 1.0, 1.4])
@pytest.mark.parametrize("phase_ms", [0, 130, 290])
def test_who_walks_through_a_door_is_counted_at_the_least_pace(metres_per_s: float, phase_ms: int) -> None:
    eye, out = Eye(), list[Observation]()
    interval_ms = round(1000 / LEAST_LOOKS_PER_S[AnalyserName.PASSAGES])
    analyser = FollowingAnalyser(eye, (ObjectLabel.PERSON,), zones=(), lines=(DOOR,), interval_ms=interval_ms)
    for at_ms in range(0, 14_000, 40):
        x = 640 + metres_per_s * (TALL / 1.7) * (at_ms + phase_ms - 6_000) / 1000
        eye.sees = [(x - TALL / 6, 400.0, x + TALL / 6, 400.0 + TALL)] if 0 < x < WIDTH else []
        out += analyser.process(PICTURE, at_ms)
    assert [type(one) for one in out] == [LinePassed]


def test_a_vehicle_that_is_pushed_by_is_seen_at_the_least_pace() -> None:
    eye, out = Eye(), list[Observation]()
    interval_ms = round(1000 / LEAST_LOOKS_PER_S[AnalyserName.OBJECT_ZONES])
    analyser = FollowingAnalyser(eye, (ObjectLabel.E_BIKE,), zones=(HALL,), lines=(), interval_ms=interval_ms)
    for at_ms in range(0, 16_000, 40):
        x = -200 + 120 * at_ms / 1000  # a metre a second, 1.7 m long
        eye.sees = [(x, 400.0, x + 200, 530.0)] if 0 < x < WIDTH - 200 else []
        out += analyser.process(PICTURE, at_ms)
    phases = [one.phase for one in out if isinstance(one, ObjectInZone)]
    assert (phases.count(TrackPhase.ENTERED), phases.count(TrackPhase.LEFT)) == (1, 1)


@pytest.mark.parametrize(
    ("analyser", "tables", "says"),
    [
        ("object_zones", '[[camera.zone]]\nplace_id = "hall"\npolygon = [[0, 0], [1, 0], [1, 1]]\nlabels = ["pram"]\n',
         "zone 'hall' waits for pram, and model 'm' knows only e_bike, person"),
        ("object_zones",
         '[[camera.zone]]\nplace_id = "hall"\npolygon = [[0, 0], [1, 0], [1, 1]]\nlabels = ["e_bike", "wire"]\n',
         "zone 'hall' waits for wire, and"),
    ],
)  # fmt: skip
def test_a_model_without_a_word_for_what_is_waited_for_is_refused(
    tmp_path: Path, analyser: str, tables: str, says: str
) -> None:
    write_manifest(tmp_path)
    camera = f'source = "v.mp4"\nanalysers = ["{analyser}"]\nmodel = "m.toml"\n'
    with pytest.raises(ConfigurationError, match=says):
        load_config(write_box(tmp_path, camera=camera + tables))
    assert load_config(write_box(tmp_path, camera=ZONES)).camera[0].zone[0].labels == ()


def test_passages_with_a_model_that_knows_no_people_are_refused(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path)
    manifest.write_text(manifest.read_text().replace('"person"', '"lamp"'))
    line = '[[camera.line]]\nplace_id = "door"\nstart = [0.5, 0]\nend = [0.5, 1]\n'
    camera = 'source = "v.mp4"\nanalysers = ["passages"]\nmodel = "m.toml"\n' + line
    with pytest.raises(ConfigurationError, match="passages waits for person, and model 'm' knows only e_bike"):
        load_config(write_box(tmp_path, camera=camera))


@pytest.mark.parametrize("fps", [2.0, 5.0, 7.0])
def test_check_refuses_a_stream_that_has_too_few_pictures_for_falls(tmp_path: Path, fps: float) -> None:
    box = write_box(tmp_path, camera=FALLS)
    write_video(tmp_path / "v.mp4", 20, fps=fps)
    refused = CliRunner().invoke(linli, ["edge", "run", "--config", str(box), "--check"])
    assert refused.exit_code != 0
    assert f"camera 'c1': {fps:g} pictures a second: no fall can be found; 8 are needed" in str(refused.exception)
    write_video(tmp_path / "v.mp4", 20, fps=LEAST_FALL_PICTURES_PER_S)
    accepted = CliRunner().invoke(linli, ["edge", "run", "--config", str(box), "--check"])
    assert (accepted.exit_code, list(tmp_path.glob("data"))) == (0, [])


def test_check_refuses_a_stream_that_is_slower_than_its_detector_must_look(tmp_path: Path) -> None:
    shared_manifest("person_192", tmp_path)
    line = '[[camera.line]]\nplace_id = "door"\nstart = [0.5, 0]\nend = [0.5, 1]\n'
    camera = 'source = "v.mp4"\nanalysers = ["passages"]\nmodel = "person_192.toml"\n' + line
    box = write_box(tmp_path, camera=camera)
    write_video(tmp_path / "v.mp4", 20, fps=2.0)
    refused = CliRunner().invoke(linli, ["edge", "run", "--config", str(box), "--check"])
    assert "camera 'c1': 2 looks a second: passages is blind to what moves; 2.5 are needed" in str(refused.exception)


def test_check_says_which_stream_it_could_not_ask(tmp_path: Path) -> None:
    camera = 'source = "rtsp://u:Geh3im@127.0.0.1:9/ch1"\nanalysers = ["high_altitude_throw"]\n'
    box = write_box(tmp_path, camera=camera)
    said = CliRunner().invoke(linli, ["edge", "run", "--config", str(box), "--check"])
    assert said.exit_code == 0
    assert "camera 'c1': rtsp://" in said.stderr and "were not checked" in said.stderr
    assert "Geh3im" not in said.output


@pytest.mark.parametrize(
    ("names", "per_s", "looks_per_s", "blind"),
    [
        ((AnalyserName.HIGH_ALTITUDE_THROW,), 15, 0, 0),
        ((AnalyserName.HIGH_ALTITUDE_THROW,), 5, 0, 1),
        ((AnalyserName.PASSAGES,), 10, 3, 0),
        ((AnalyserName.PASSAGES,), 10, 1, 1),
        ((AnalyserName.OBJECT_ZONES,), 1, 1, 0),
        ((AnalyserName.OBJECT_ZONES, AnalyserName.PASSAGES), 0.2, 0.2, 2),
        ((AnalyserName.HIGH_ALTITUDE_THROW, AnalyserName.PASSAGES), 0, 0, 2),
    ],
)
def test_what_a_running_camera_cannot_see_is_known_from_its_counts(
    names: tuple[AnalyserName, ...], per_s: float, looks_per_s: float, blind: int
) -> None:
    sight = Sight(_camera(*names))
    assert sight.judge(0, pictures=0, looks=0) == ()
    assert sight.judge(60_000, pictures=10, looks=10) == ()  # it started just now
    for n in range(1, 10):
        why = sight.judge(60_000 + n * 1_500, pictures=10 + int(n * 1.5 * per_s), looks=10 + int(n * 1.5 * looks_per_s))
    assert len(why) == blind


def test_a_camera_that_becomes_fast_enough_sees_again() -> None:
    sight = Sight(_camera(AnalyserName.HIGH_ALTITUDE_THROW))
    sight.judge(0, pictures=5, looks=0)
    assert len(sight.judge(6_000, pictures=20, looks=0)) == 1
    assert sight.judge(12_000, pictures=110, looks=0) == ()


@contextlib.contextmanager
def running(camera: CameraConfig, folder: Path) -> Iterator[CameraWorker]:
    """A camera for falls at work on its video."""

    def make_analysers(first: int) -> AnalyserSet:
        return build_analysers(camera, model=None, make_detector=_no_detector, first_track_id=first)

    worker = CameraWorker(
        camera,
        CameraIdentity(site_id="s1", camera_id="c1", place_id="c1", origin=Origin.LIVE),
        make_analysers=make_analysers,
        disk=EvidenceDisk(folder / "e", quota_bytes=10**8),
        spool=new_spool(folder),
        now_ms=wall_ms,
    )
    worker.start()
    try:
        yield worker
    finally:
        assert worker.stop(10)


def _reports(folder: Path) -> list[DeviceReported]:
    """What the camera said of itself by its own doing: nobody asks it for a report."""
    spool = new_spool(folder)
    try:
        spool.number(Lane.LIVE, 0, 1_000)
        rows = [msgspec.json.decode(row.body, type=DeviceEvent) for row in spool.rows(Lane.LIVE, 0, 1_000)]
    finally:
        spool._db.close()
    return [event for event in rows if isinstance(event, DeviceReported)]


GREY = (CameraImpairment.COVERED, CameraImpairment.FROZEN)
"""What is right to say of the pictures of these films, and not what they are for."""
THROWS = CameraConfig(id="c1", analysers=(AnalyserName.HIGH_ALTITUDE_THROW,), source="", loop=True, ignore_health=GREY)


@pytest.mark.slow
@pytest.mark.parametrize("ignored", [(), (CameraImpairment.NOT_JUDGED,)])
def test_a_running_camera_with_too_few_pictures_says_so_unless_that_is_ignored(
    tmp_path: Path, ignored: tuple[CameraImpairment, ...]
) -> None:
    video = write_video(tmp_path / "v.mp4", 60, fps=3.0)
    camera = msgspec.structs.replace(THROWS, source=str(video), ignore_health=(*GREY, *ignored))
    with running(camera, tmp_path) as worker:
        if ignored:
            wait_for(lambda: worker._judged > 75, "half a minute of pictures", 60)
            assert (worker.impaired_by, worker.sees) == ((), True)
        else:
            wait_for(lambda: worker.impaired_by == (CameraImpairment.NOT_JUDGED,), "the camera is blind", 60)
            assert not worker.sees
    said = [(event.healthy, event.impaired_by) for event in _reports(tmp_path)]
    assert said == ([] if ignored else [(False, CameraImpairment.NOT_JUDGED)])


@pytest.mark.slow
def test_a_running_camera_with_enough_pictures_is_healthy(tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.mp4", 60, fps=12.0)
    with running(msgspec.structs.replace(THROWS, source=str(video)), tmp_path) as worker:
        wait_for(lambda: worker._judged > 80, "some seconds of pictures", 60)
        event = worker.report(wall_ms())
        assert event is not None and event.healthy and event.impaired_by is None


def _no_detector(*_: object) -> Eye:
    raise AssertionError("a camera for falls alone has no detector")


def test_a_camera_file_with_a_detector_that_looks_too_seldom_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "camera.toml"
    path.write_text(
        '[camera]\nid = "c1"\nanalysers = ["passages"]\ndetect_per_s = 1\n'
        '[[camera.line]]\nplace_id = "door"\nstart = [0.5, 0]\nend = [0.5, 1]\n'
    )
    with pytest.raises(ConfigurationError, match=r"detect_per_s = 1\.0: passages needs 2\.5–30"):
        load_camera(path)


EDGES = "storey_edges = [{floor = 3, y_px = 347.4}, {floor = 7, y_px = 109.2}, {floor = 10, y_px = 4.1}]"
COLUMN = 'columns = [{place_id = "col-1", x_from_px = 10, x_to_px = 90}]'


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        (EDGES, "width_px and height_px are missing: say the size of the picture that was clicked in"),
        (COLUMN, "width_px and height_px are missing"),
        (f"{EDGES}\nheight_px = 360", "width_px and height_px are missing"),
        (f"{EDGES}\nwidth_px = 320\nheight_px = 180", "row 347.4 lies outside a picture of 180 rows"),
        (f"{COLUMN}\nwidth_px = 64\nheight_px = 48", r"column 'col-1': 10–90 px is no strip of a picture 64 px wide"),
        ("storey_edges = [{floor = 3, y_px = 7}]\nwidth_px = 64\nheight_px = 48", "1 given; click 3 or more"),
        (
            EDGES.replace("floor = 3", "floor = 12") + "\nwidth_px = 640\nheight_px = 360",
            "storey_edges: floor 12 at row 347.4 must lie above",
        ),
    ],
)
def test_a_calibration_that_cannot_be_right_is_refused_before_it_runs(tmp_path: Path, tables: str, says: str) -> None:
    path = tmp_path / "camera.toml"
    path.write_text(f'[camera]\nid = "c1"\nanalysers = ["high_altitude_throw"]\n[camera.facade]\n{tables}\n')
    with pytest.raises(ConfigurationError, match=says):
        load_camera(path)


@pytest.mark.parametrize(("size", "fits"), [((64, 36), True), ((128, 72), True), ((64, 48), False)])
def test_check_refuses_a_stream_of_another_shape_than_was_clicked_in(
    tmp_path: Path, size: tuple[int, int], fits: bool
) -> None:
    box = write_box(tmp_path, camera=f"{FALLS}[camera.facade]\n{EDGES}\nwidth_px = 640\nheight_px = 360\n")
    write_video(tmp_path / "v.mp4", 20, width=size[0], height=size[1])
    said = CliRunner().invoke(linli, ["edge", "run", "--config", str(box), "--check"])
    assert (said.exit_code == 0) is fits
    expected = "camera 'c1': its facade was calibrated in a picture of 640×360, the stream's is 64×48"
    assert fits or expected in str(said.exception)


@pytest.mark.slow
def test_a_running_camera_whose_calibration_does_not_fit_says_that_it_moved(tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.mp4", 60, fps=12.0)
    facade = FacadeGeometry(columns=(FacadeColumn("col-1", 0, 90),), width_px=100, height_px=100)
    camera = msgspec.structs.replace(THROWS, source=str(video), facade=facade)
    with running(camera, tmp_path) as worker:
        wait_for(lambda: worker.impaired_by == (CameraImpairment.MOVED,), "the pictures are not the facade's", 60)
    said = [(event.healthy, event.impaired_by) for event in _reports(tmp_path)]
    assert said == [(False, CameraImpairment.MOVED)]
