"""A facade seen from below: things fall past it, among birds, insects, leaves, laundry, swaying trees and clouds."""

from __future__ import annotations

import math
from functools import cached_property
from random import Random

from contracts.events import ObjectLabel
from simulator.scenes.facade_backdrop import draw_backdrop, hanging_places
from simulator.scenes.facade_geometry import HEIGHT_PX, WIDTH_PX, some_facade
from simulator.scenes.facade_motion import GRAVITY_M_S2, Bird, Cloth, Fall, Mote, some_bird, some_fall, some_mote
from simulator.scenes.painter import Image
from simulator.scenes.sensor import Sensor
from simulator.scenes.trees import Tree, grow
from simulator.scenes.truth import Calibration, Labelled, SceneEpisode

_CLOTHS = ((235, 235, 240), (60, 70, 200), (190, 140, 70), (90, 160, 220), (120, 90, 160), (200, 215, 180))


class FacadeScene:
    """Falls and distractors before a facade. ``falls`` False keeps the distractors only."""

    name = "facade"
    fps = 25.0
    width, height = WIDTH_PX, HEIGHT_PX
    line_xyxy: tuple[float, float, float, float] | None = None
    zone_xy: tuple[tuple[float, float], ...] = ()

    def __init__(self, seed: int, seconds: float, *, falls: bool = True) -> None:
        rng = Random(f"facade {seed}")
        self.seed = seed
        self.duration_ms = round(seconds * 1000)
        self.facade = some_facade(rng)
        self.calibration: Calibration | None = self.facade.calibration()
        self.episodes: list[SceneEpisode] = []
        self.falls: list[Fall] = []
        self._cloths = [self._cloth(rng, place) for place in hanging_places(self.facade, rng, 5)]
        self._sensor = Sensor(seed, self.width, self.height)
        self._gusts = [(self._cycles(hertz), rng.uniform(0, 2 * math.pi)) for hertz in (0.13, 0.31, 0.72)]
        self._cloud = (rng.uniform(0.2, 0.8), rng.uniform(0.03, 0.06))
        self._script(rng, falls=falls)

    @cached_property
    def _empty(self) -> Image:
        """The empty facade; drawn when first needed, because it takes a second and truth needs none of it."""
        return draw_backdrop(self.facade, Random(f"facade backdrop {self.seed}"), self.seed)

    @cached_property
    def _trees(self) -> list[Tree]:
        return _grove(Random(f"facade trees {self.seed}"))

    def render(self, t_ms: int) -> Image:
        """Return the frame at ``t_ms``, BGR (360, 640, 3)."""
        image, share = self._empty.copy(), t_ms / max(1, self.duration_ms)
        for cloth in self._cloths:
            cloth.draw(image, self.facade, share)
        for fall in self.falls:
            fall.draw(image, self.facade, t_ms)
        for bird in self._birds:
            bird.draw(image, t_ms)
        for index, tree in enumerate(self._trees):
            tree.cover(image, self._wind(share, index))
        for mote in self._motes:
            mote.draw(image, t_ms)
        return self._sensor.see(image, t_ms, self._light(share))

    def truth(self, t_ms: int) -> tuple[Labelled, ...]:
        """Return falling things (``other``) and birds (``animal``) in the picture at ``t_ms``."""
        outlines = [
            (ObjectLabel.OTHER, f.object_id, f.outline(self.facade, t_ms))
            for f in self.falls
            if f.from_ms <= t_ms <= f.to_ms
        ]
        outlines += [
            (ObjectLabel.ANIMAL, b.object_id, b.outline(t_ms)) for b in self._birds if b.from_ms <= t_ms <= b.to_ms
        ]
        boxes = (self._box(label, object_id, outline) for label, object_id, outline in outlines)
        return tuple(box for box in boxes if box is not None)

    def _box(self, label: ObjectLabel, object_id: int, outline: list[tuple[float, float]]) -> Labelled | None:
        xs, ys = [x for x, _ in outline], [y for _, y in outline]
        x0, y0, x1, y1 = (
            max(0.0, min(xs)),
            max(0.0, min(ys)),
            min(float(self.width), max(xs)),
            min(float(self.height), max(ys)),
        )
        if x1 - x0 < 1 or y1 - y0 < 1:
            return None
        return Labelled(label, object_id, (round(x0, 1), round(y0, 1), round(x1, 1), round(y1, 1)))

    def _cycles(self, hertz: float) -> int:
        """Return whole swings in the scene's length, so that a looped scene has no seam."""
        return max(1, round(hertz * self.duration_ms / 1000))

    def _wind(self, share: float, index: int) -> float:
        swing = sum(math.sin(2 * math.pi * n * share + phase + index) for n, phase in self._gusts)
        return swing / len(self._gusts)

    def _light(self, share: float) -> float:
        """Return a slow change and one passing cloud."""
        at, depth = self._cloud
        cloud = math.exp(-(((share - at) * self.duration_ms / 1000 / 2.5) ** 2))
        return 1.0 + 0.03 * math.sin(2 * math.pi * share) - depth * cloud

    def _cloth(self, rng: Random, place: tuple[float, float, float]) -> Cloth:
        turns = (self._cycles(rng.uniform(0.3, 0.6)), self._cycles(rng.uniform(0.7, 1.3)))
        return Cloth(*place, rng.uniform(0.35, 0.7), rng.uniform(0.6, 1.1), turns, rng.choice(_CLOTHS))

    def _script(self, rng: Random, *, falls: bool) -> None:
        """Script a fall after three to six seconds, then one every eleven to eighteen; distractors all the time."""
        at, end = rng.randrange(3000, 6000), self.duration_ms - 4000
        while falls and at < end:
            self._add_fall(some_fall(rng, self.facade, at, 1 + len(self.falls)))
            at += rng.randrange(11_000, 18_000)
        self._birds: list[Bird] = []
        at = rng.randrange(0, 3000)
        while at < end:
            self._birds.append(some_bird(rng, at, 1000 + len(self._birds), self.width))
            at += rng.randrange(2500, 8000)
        self._motes: list[Mote] = []
        at = rng.randrange(0, 2000)
        while at < end - 2000:
            self._motes.append(some_mote(rng, at, self.width, self.height))
            at += rng.randrange(1200, 4500)
        self.episodes += [
            SceneEpisode("bird", b.from_ms, b.to_ms, (ObjectLabel.ANIMAL,), (b.object_id,)) for b in self._birds
        ]
        self.episodes += [SceneEpisode(m.kind, m.from_ms, m.to_ms) for m in self._motes]
        self.episodes.sort(key=lambda episode: (episode.from_ms, episode.kind))

    def _add_fall(self, fall: Fall) -> None:
        self.falls.append(fall)
        start = 1 + (fall.height_m - self.facade.slab_m(0)) / self.facade.storey_m
        facts = {
            "floor": float(fall.floor + 1),
            "start_floor": start,
            "drop_m": fall.height_m - fall.where(fall.to_ms)[1],
            "height_m": fall.height_m,
            "x_m": fall.x,
            "v0_ms": fall.v0,
            "size_m": fall.size_m,
            "gravity_ms2": GRAVITY_M_S2,
        }
        self.episodes.append(
            SceneEpisode("fall", fall.from_ms, fall.to_ms, (ObjectLabel.OTHER,), (fall.object_id,), facts)
        )


def _grove(rng: Random) -> list[Tree]:
    """Return a tree in either lower corner, and sometimes a low one between them."""
    left, right = rng.randrange(110, 190), rng.randrange(110, 190)
    trees = [
        grow(rng, 0, left, rng.randrange(90, 170), HEIGHT_PX),
        grow(rng, WIDTH_PX - right, right, rng.randrange(90, 170), HEIGHT_PX),
    ]
    if rng.random() < 0.3:
        trees.append(grow(rng, rng.randrange(200, 300), 130, 34, HEIGHT_PX))
    return trees
