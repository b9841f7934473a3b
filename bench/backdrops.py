"""Backgrounds for composites: the shared facade stills, the quiet parts of the real clips, or a drawn facade."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from bench.camera_model import STOREY_M, FacadeCamera

Luma = npt.NDArray[np.uint8]

# Quiet parts of the real clips: first and last frame with nothing falling (see the clips' own JSON).
_QUIET_CLIPS = {"falling/facade_office1.mp4": (0, 180), "falling/facade_office3.mp4": (0, 95)}


class Backdrop(msgspec.Struct):
    """A still (one picture) or a loop of pictures played forwards and backwards, all (H, W) luma."""

    name: str
    pictures: list[Luma]

    def picture(self, index: int) -> Luma:
        """Return the picture for frame ``index``, a copy."""
        count = len(self.pictures)
        if count == 1:
            return self.pictures[0].copy()
        step = index % (2 * count - 2)
        return self.pictures[step if step < count else 2 * count - 2 - step].copy()


def choose_backdrop(random: np.random.Generator, camera: FacadeCamera, shared: Path | None) -> Backdrop:
    """Return one of the kinds that are at hand; only drawn facades when ``shared`` is None."""
    kinds = ["drawn"] if shared is None else ["still", "still", "clip", "drawn"]
    kind = kinds[int(random.integers(len(kinds)))]
    if kind == "still" and shared is not None:
        return _still(random, camera, shared)
    if kind == "clip" and shared is not None:
        return _clip(random, camera, shared)
    return Backdrop("drawn", [drawn_facade(random, camera)])


def _still(random: np.random.Generator, camera: FacadeCamera, shared: Path) -> Backdrop:
    names = sorted(p for p in (shared / "clips" / "facade_stills").glob("*.jpg"))
    path = names[int(random.integers(len(names)))]
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise FileNotFoundError(path)
    part = float(random.uniform(0.7, 1.0))
    width = int(grey.shape[1] * part)
    height = min(int(width * camera.height / camera.width), grey.shape[0])
    left = int(random.integers(grey.shape[1] - width + 1))
    top = int(random.integers(grey.shape[0] - height + 1))
    cut = grey[top : top + height, left : left + width]
    picture = np.asarray(cv2.resize(cut, (camera.width, camera.height), interpolation=cv2.INTER_AREA), np.uint8)
    if random.random() < 0.5:
        picture = np.ascontiguousarray(picture[:, ::-1])
    return Backdrop(f"still {path.name}", [picture])


def _clip(random: np.random.Generator, camera: FacadeCamera, shared: Path) -> Backdrop:
    name = sorted(_QUIET_CLIPS)[int(random.integers(len(_QUIET_CLIPS)))]
    first, last = _QUIET_CLIPS[name]
    capture = cv2.VideoCapture(str(shared / "clips" / name))
    pictures: list[Luma] = []
    for index in range(last):
        ok, frame = capture.read()
        if not ok:
            break
        if index >= first:
            grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
            size = (camera.width, camera.height)
            pictures.append(np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8))
    capture.release()
    return Backdrop(f"clip {name}", pictures)


def drawn_facade(random: np.random.Generator, camera: FacadeCamera) -> Luma:
    """Return a facade with rows of windows, slabs and sky, seen through ``camera``; plaster grain on everything."""
    wall, glass, slab, sky = (float(random.uniform(*r)) for r in ((90, 190), (25, 90), (60, 220), (150, 235)))
    picture = np.full((camera.height, camera.width), sky, np.float32)
    floors = int(random.integers(6, 34))
    half = float(random.uniform(8.0, 22.0))
    z = camera.distance_m
    _fill(
        picture,
        camera,
        [(-half, 0, z), (half, 0, z), (half, floors * STOREY_M, z), (-half, floors * STOREY_M, z)],
        wall,
    )
    pitch = float(random.uniform(1.8, 3.6))
    for floor in range(floors):
        low = floor * STOREY_M
        _fill(picture, camera, [(-half, low, z), (half, low, z), (half, low + 0.25, z), (-half, low + 0.25, z)], slab)
        for k in range(int(2 * half / pitch)):
            left = -half + k * pitch + 0.3
            pane = glass + float(random.uniform(-15, 45))
            corners = [
                (left, low + 0.9),
                (left + 0.6 * pitch, low + 0.9),
                (left + 0.6 * pitch, low + 2.4),
                (left, low + 2.4),
            ]
            _fill(picture, camera, [(x, y, z) for x, y in corners], pane)
    grain = cv2.GaussianBlur(random.normal(0, 8, picture.shape).astype(np.float32), (0, 0), 1.2)
    return np.asarray(np.clip(picture + grain, 0, 255), np.uint8)


def _fill(
    picture: npt.NDArray[np.float32], camera: FacadeCamera, corners: list[tuple[float, float, float]], grey: float
) -> None:
    points = [camera.project(c) for c in corners]
    if any(depth <= 0 for _, _, depth in points):
        return
    outline = np.array([(math.floor(x * 16), math.floor(y * 16)) for x, y, _ in points], np.int64)
    cv2.fillPoly(picture, [np.clip(outline, -(2**20), 2**20).astype(np.int32)], grey, lineType=cv2.LINE_AA, shift=4)
