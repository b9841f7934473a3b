"""Composite clips with ground truth: falls and nuisances on real or drawn facades, disturbed like a camera's picture.

Uses the shared stills and clips when they are there and drawn facades otherwise. Everything follows from the seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from bench.actors import Actor
from bench.backdrops import Backdrop, choose_backdrop
from bench.camera_model import FacadeCamera, random_camera
from bench.disturbances import Disturbance, Disturber, random_disturbance, through_codec
from bench.falls import Fall, random_fall
from bench.nuisances import NUISANCES

Luma = npt.NDArray[np.uint8]

SIZES = ((640, 360), (640, 360), (1280, 720), (1280, 720), (1920, 1080))
SETTLE_S = 2.0  # a box is switched on once: its noise map has had its time


class Composite(msgspec.Struct, kw_only=True):
    """One clip before it is rendered, and what is true of it."""

    seed: int
    camera: FacadeCamera
    backdrop: Backdrop
    disturbance: Disturbance
    actors: list[Actor]
    falls: list[Fall]
    nuisances: list[tuple[str, float, float]]  # kind, from s, to s
    length_s: float

    def frames(self) -> Iterator[tuple[Luma, int]]:
        """Yield the clip's pictures (H, W) luma with their stream times, ms."""
        pictures = self._pictures()
        what = self.disturbance
        if what.crf is not None:
            pictures = through_codec(list(pictures), what.fps, what.crf)
        for index, picture in enumerate(pictures):
            yield picture, round(1000.0 * index / what.fps)

    def _pictures(self) -> Iterator[Luma]:
        what = self.disturbance
        random = np.random.default_rng([self.seed, 7])
        disturber = Disturber(what, random, self.camera.width, self.camera.height)
        exposure_s, sensor_index, picture = float(random.uniform(0.002, 0.012)), -1, None
        for index in range(int(self.length_s * what.fps)):
            # the stream shows the sensor's newest picture, the same again when there is none
            newest = int(index / what.fps * what.source_fps + 1e-9)
            if newest != sensor_index or picture is None:
                sensor_index = newest
                picture = self._picture(disturber, newest / what.source_fps, newest, exposure_s)
            yield picture

    def _picture(self, disturber: Disturber, t_s: float, index: int, exposure_s: float) -> Luma:
        picture = self.backdrop.picture(index)
        for actor in self.actors:
            actor.draw(picture, self.camera, t_s, exposure_s)
        disturber.sway(picture, t_s)
        return disturber.expose(picture, t_s)


def _camera(seed: int, mounting: int, sizes: tuple[tuple[int, int], ...]) -> FacadeCamera:
    random = np.random.default_rng([seed, 0, mounting])
    width, height = sizes[int(random.integers(len(sizes)))]
    return random_camera(random, width, height)


def _empty(seed: int, camera: FacadeCamera, shared: Path | None) -> Composite:
    random = np.random.default_rng([seed, 1])
    return Composite(
        seed=seed,
        camera=camera,
        backdrop=choose_backdrop(random, camera, shared),
        disturbance=random_disturbance(random, camera.width, camera.height),
        actors=[],
        falls=[],
        nuisances=[],
        length_s=0.0,
    )


def fall_clip(
    seed: int, shared: Path | None, sizes: tuple[tuple[int, int], ...] = SIZES, *, min_px: float = 3.0
) -> Composite:
    """Return a clip with one fall, in half of them beside an ordinary nuisance."""
    random = np.random.default_rng([seed, 2])
    fall, mounting = None, -1
    while fall is None:  # a camera that sees less than two storeys is mounted anew
        mounting += 1
        camera = _camera(seed, mounting, sizes)
        fall = random_fall(random, camera, SETTLE_S + float(random.uniform(0.0, 0.5)), min_px=min_px)
    clip = _empty(seed, camera, shared)
    clip.falls.append(fall)
    clip.length_s = fall.actors[0].end_s + 1.2
    if random.random() < 0.5:
        _add_nuisance(clip, random, sorted(NUISANCES)[int(random.integers(len(NUISANCES)))], 0.5, clip.length_s)
    clip.actors += fall.actors
    return clip


def nuisance_clip(
    seed: int, kinds: tuple[str, ...], shared: Path | None, sizes: tuple[tuple[int, int], ...] = SIZES
) -> Composite:
    """Return a clip with each of ``kinds`` once, one after the other, and no fall."""
    clip = _empty(seed, _camera(seed, 0, sizes), shared)
    random = np.random.default_rng([seed, 3])
    at_s = SETTLE_S
    for kind in kinds:
        lasts = float(random.uniform(2.0, 3.5))
        _add_nuisance(clip, random, kind, at_s, at_s + lasts)
        at_s += lasts + 0.8
    clip.length_s = at_s
    return clip


def _add_nuisance(clip: Composite, random: np.random.Generator, kind: str, from_s: float, to_s: float) -> None:
    clip.actors += NUISANCES[kind](random, clip.camera, from_s, to_s - from_s)
    clip.nuisances.append((kind, from_s, to_s))
