"""The demo's video and the configuration of its box: three rendered scenes, or whatever lies in a folder of clips."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import edge
from contracts.errors import ConfigurationError, Permanent
from simulator.demo_community import CAM_FACADE, CAM_GATE, CAM_LIFT, DEMO_BOX, DEMO_SITE, SIDE_GATE_PLACE
from simulator.scenes.truth import Calibration, SceneTruth, read_truth

SCENES = {CAM_FACADE: ("facade", 30), CAM_LIFT: ("lift", 40), CAM_GATE: ("gate", 25)}
"""camera → (scene, seconds); the film plays again when it ends."""
PLACES = {CAM_FACADE: "b1-facade", CAM_LIFT: "b1u1-lift", CAM_GATE: SIDE_GATE_PLACE}
CLIP_SUFFIXES = {".mp4", ".avi", ".mkv"}
MODEL = Path(edge.__file__).parent / "models" / "demo_scenes.toml"


class Rendering:
    """The scenes being rendered, each in a process of its own, while the rest of the set-up goes on."""

    def __init__(self, folder: Path, seed: int, environment: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._processes = {
            camera: subprocess.Popen(
                [
                    *(sys.executable, "-m", "simulator.scenes", scene, "--seed", str(seed), "--seconds", str(seconds)),
                    *("--out", str(folder / f"{camera}.mp4"), "--truth", str(folder / f"{camera}.jsonl")),
                ],
                env=dict(environment),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            for camera, (scene, seconds) in SCENES.items()
        }

    def wait(self) -> dict[str, SceneTruth]:
        """Return camera → what its film shows.

        Raises:
            Permanent: a film could not be rendered; carries what the renderer said.
        """
        for camera, process in self._processes.items():
            _, said = process.communicate()
            if process.returncode:
                raise Permanent(f"the film of {camera} could not be rendered: {said.decode(errors='replace')[-500:]}")
        return {camera: read_truth(self._folder / f"{camera}.jsonl") for camera in SCENES}

    def stop(self) -> None:
        """Give up on films that are not ready."""
        for process in self._processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()


def box_file(folder: Path, truths: Mapping[str, SceneTruth], *, mqtt_url: str, console_url: str, token: Path) -> str:
    """Return the TOML of the demo's box over the rendered films in ``folder``."""
    head = _tables(mqtt_url, console_url, token)
    cameras = [_camera(camera, folder / f"{camera}.mp4", truth) for camera, truth in truths.items()]
    return "\n".join([head, *cameras])


def clip_cameras(folder: Path) -> list[Path]:
    """Return real clips for the facade camera, sorted by name.

    Raises:
        ConfigurationError: the folder has none.
    """
    clips = sorted(path for path in folder.rglob("*") if path.suffix.lower() in CLIP_SUFFIXES)
    if not clips:
        raise ConfigurationError(f"--clips {folder}: no {', '.join(sorted(CLIP_SUFFIXES))} in it")
    return clips


def clip_tables(clips: list[Path]) -> str:
    """Return a camera for each real clip: what falls, uncalibrated, once through."""
    return "\n".join(
        _table(
            "[[camera]]",
            id=f"clip-{number}",
            source=str(clip.resolve()),
            analysers=["high_altitude_throw"],
            place_id="b1-facade",
        )
        for number, clip in enumerate(clips, 1)
    )


def _tables(mqtt_url: str, console_url: str, token: Path) -> str:
    return (
        _table("[box]", id=DEMO_BOX, site=DEMO_SITE, data="box", place_id="b1")
        + _table("[mqtt]", url=mqtt_url)
        + _table("[console]", url=console_url, token_file=str(token))
    )


def _camera(camera: str, film: Path, truth: SceneTruth) -> str:
    place_id = PLACES[camera]
    common = _table("[[camera]]", id=camera, source=str(film), place_id=place_id, loop=True, simulated=True)
    if truth.calibration is not None:
        return common + _lines(analysers=["high_altitude_throw"]) + _facade(truth.calibration, truth)
    common += _lines(model=str(MODEL))
    if truth.line_xyxy is not None:
        x0, y0, x1, y1 = truth.line_xyxy
        start, end = [x0 / truth.width, y0 / truth.height], [x1 / truth.width, y1 / truth.height]
        line = _table("[[camera.line]]", place_id=place_id, start=start, end=end)
        return common + _lines(analysers=["passages"]) + line
    corners = [[x / truth.width, y / truth.height] for x, y in truth.zone_xy]
    return common + _lines(analysers=["object_zones"]) + _table("[[camera.zone]]", place_id=place_id, polygon=corners)


def _facade(calibration: Calibration, truth: SceneTruth) -> str:
    text = _table(
        "[camera.facade]",
        storey_height_m=calibration.storey_m,
        width_px=truth.width,
        height_px=truth.height,
    )
    edges = (_table("[[camera.facade.storey_edges]]", floor=e.floor, y_px=e.row_px) for e in calibration.edges)
    return text + "".join(edges)


def _table(head: str, **values: object) -> str:
    return f"{head}\n{_lines(**values)}"


def _lines(**values: object) -> str:
    """Return lines of TOML: its basic strings, numbers, booleans and arrays are JSON's."""
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
