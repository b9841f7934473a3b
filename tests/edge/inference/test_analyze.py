"""``linli edge analyze``: a line per observation on stdout, nothing when nothing happened."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from app.main import linli
from bench.backdrops import drawn_facade
from bench.camera_model import FacadeCamera
from bench.falls import free_fall
from contracts.events import ObjectFell

CAMERA = FacadeCamera(width=480, height=272, focal_px=330.0, pitch_rad=0.42, eye_m=2.0, distance_m=17.0)
SMALLEST = '[camera]\nid = "c1"\nanalysers = ["high_altitude_throw"]\n'


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("videos")
    written = {name: folder / f"{name}.mp4" for name in ("fall", "quiet", "cut")}
    _write(written["fall"], begin_s=1.2)
    _write(written["quiet"], begin_s=99.0)
    data = written["fall"].read_bytes()
    written["cut"].write_bytes(data[: len(data) // 2])
    return written


def _write(path: Path, begin_s: float) -> None:
    facade, noise = drawn_facade(np.random.default_rng(2), CAMERA), np.random.default_rng(4)
    where = free_fall((1.0, 18.0, 16.0), (0.3, 0.0, 0.0), terminal_ms=45.0)
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25.0, (480, 272))
    for k in range(90):
        picture = facade.astype(np.float32) + noise.normal(0, 1.5, facade.shape)
        t = k / 25 - begin_s
        if 0 <= t < 1.85:
            x, y, _ = CAMERA.project(where(t))
            cv2.circle(picture, (round(x * 16), round(y * 16)), 56, 245.0, -1, cv2.LINE_AA, 4)
        video.write(cv2.cvtColor(np.clip(picture, 0, 255).astype(np.uint8), cv2.COLOR_GRAY2BGR))
    video.release()


def _run(tmp_path: Path, video: Path, *options: str, camera: str = SMALLEST) -> Result:
    file = tmp_path / "camera.toml"
    file.write_text(camera, encoding="utf-8")
    return CliRunner().invoke(linli, ["edge", "analyze", str(video), "--camera", str(file), *options])


def test_a_fall_is_exactly_one_line_and_says_it_is_not_calibrated(tmp_path: Path, videos: dict[str, Path]) -> None:
    result = _run(tmp_path, videos["fall"], "--json")
    (line,) = result.stdout.splitlines()
    seen = json.loads(line)
    assert (seen["kind"], seen["source_id"], seen["calibrated"]) == ("object_fell", "c1", False)
    assert 1_200 <= seen["started_ms"] < seen["at_ms"] <= 3_100
    assert "floor" not in seen and "drop_m" not in seen
    assert result.stderr == "" and result.exit_code == 0


def test_a_line_is_an_event_as_the_box_would_publish_it(tmp_path: Path, videos: dict[str, Path]) -> None:
    import msgspec

    result = _run(tmp_path, videos["fall"])
    event = msgspec.json.decode(result.stdout, type=ObjectFell)
    assert event.event_id == "c1-1" and event.duration_ms == event.at_ms - event.started_ms


def test_nothing_is_said_when_nothing_happened(tmp_path: Path, videos: dict[str, Path]) -> None:
    result = _run(tmp_path, videos["quiet"], "--json")
    assert (result.stdout, result.stderr, result.exit_code) == ("", "", 0)


def test_storey_edges_in_the_camera_file_give_floor_and_gravity(tmp_path: Path, videos: dict[str, Path]) -> None:
    edges = CAMERA.geometry(np.random.default_rng(3), 0.0).storey_edges
    rows = ", ".join(f"{{floor = {e.floor}, y_px = {e.y_px:.1f}}}" for e in edges)
    camera = f"{SMALLEST}\n[camera.facade]\nstorey_height_m = 3.0\nstorey_edges = [{rows}]\n"
    camera += f"width_px = {CAMERA.width}\nheight_px = {CAMERA.height}\n"
    (line,) = _run(tmp_path, videos["fall"], "--json", camera=camera).stdout.splitlines()
    seen = json.loads(line)
    assert seen["calibrated"] is True
    assert seen["floor"] == pytest.approx(7.0, abs=0.6)
    assert seen["gravity_ms2"] == pytest.approx(9.3, abs=1.3)


def test_rejected_tracks_are_explained_on_stderr_only_when_asked(tmp_path: Path, videos: dict[str, Path]) -> None:
    result = _run(tmp_path, videos["fall"], "--json", "--explain")
    assert len(result.stdout.splitlines()) == 1
    for line in result.stderr.splitlines():
        assert json.loads(line)["reason"]


def test_a_video_that_is_cut_off_or_no_video_is_an_error_that_names_it(tmp_path: Path, videos: dict[str, Path]) -> None:
    nothing = tmp_path / "noise.mp4"
    nothing.write_bytes(b"not a video" * 50)
    for path in (videos["cut"], nothing, tmp_path / "absent.mp4"):
        result = _run(tmp_path, path)
        assert result.stdout == "" and path.name in str(result.exception)


def test_a_wrong_camera_file_is_an_error_that_names_it(tmp_path: Path, videos: dict[str, Path]) -> None:
    result = _run(tmp_path, videos["quiet"], camera=SMALLEST.replace("high_altitude_throw", "low_altitude_throw"))
    assert "camera.toml" in str(result.exception) and result.stdout == ""
