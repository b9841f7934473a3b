"""A pedestrian gate seen from inside: fence, two swing gates, people passing one by one or close behind another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

import numpy as np

from contracts.events import ObjectLabel
from simulator.scenes.mesh import Colour, Mesh, MeshBuilder, shaded
from simulator.scenes.painter import Image, Item, items_of, paint
from simulator.scenes.parties import Party, WalkPath, Waypoint, members
from simulator.scenes.pinhole import Pinhole
from simulator.scenes.room import RoomScene, lit, painted
from simulator.scenes.truth import SceneEpisode

LINE_Z_M = 3.0
_LANES_X = (-0.75, 0.75)
_FAR_Z_M, _NEAR_Z_M = 10.5, -1.6
_OPEN_MS = 700
_PAVING: tuple[Colour, ...] = ((140, 150, 158), (120, 126, 130), (150, 150, 160))


class GateScene(RoomScene):
    """Passages over a line. ``line_xyxy`` is that line on the picture; inward is towards the camera."""

    name = "gate"
    fps = 12.5

    def __init__(self, seed: int, seconds: float) -> None:
        rng = Random(f"gate {seed}")
        aside = rng.choice((-1.0, 1.0)) * rng.uniform(1.5, 2.3)  # so that a follower is not hidden by the first
        eye = (aside, rng.uniform(3.7, 4.3), rng.uniform(-2.4, -1.7))
        camera = Pinhole(eye, (rng.uniform(-0.2, 0.2), 0.7, rng.uniform(2.9, 3.4)), rng.uniform(440, 520), 640, 360)
        super().__init__(seed, seconds, camera)
        self._empty = lit(painted(camera, _street(rng), (215, 200, 185)), rng.uniform(0.15, 0.35), seed)
        ends, _ = camera.project(np.array([(_LANES_X[0] - 0.6, 0, LINE_Z_M), (_LANES_X[1] + 0.6, 0, LINE_Z_M)], float))
        self.line_xyxy = (float(ends[0, 0]), float(ends[0, 1]), float(ends[1, 0]), float(ends[1, 1]))
        fence = _fence(rng)
        self._fence = items_of(fence, fence.points, camera)
        self._opened: list[tuple[int, int, int]] = []
        self._clouds = rng.uniform(0, 1)
        self._script(rng)

    def backdrop(self, t_ms: int) -> Image:  # fence and flaps are painted by compose
        """Return the street and the yard."""
        return self._empty.copy()

    def compose(self, image: Image, items: Sequence[Item], t_ms: int) -> None:
        """Paint people and gate by depth."""
        paint(image, [*items, *self._fence, *self._flaps(t_ms)])

    def light(self, t_ms: int) -> float:
        """Return the light: clouds pass."""
        return 1.0 + 0.06 * math.sin(2 * math.pi * (t_ms / self.duration_ms + self._clouds))

    def _flaps(self, t_ms: int) -> list[Item]:
        """Return two glass flaps a lane, turned by how far the lane is open."""
        flaps = MeshBuilder()
        for lane, x in enumerate(_LANES_X):
            turn = self._open(lane, t_ms) * 1.4
            for side in (-1.0, 1.0):
                x0, reach = x + side * 0.48, 0.4
                x1, z1 = x0 - side * reach * math.cos(turn), LINE_Z_M - reach * math.sin(turn)
                flaps.plate(
                    [(x0, 0.25, LINE_Z_M), (x1, 0.25, z1), (x1, 0.95, z1), (x0, 0.95, LINE_Z_M)], (200, 190, 170)
                )
                flaps.tube([(x0, 0.95, LINE_Z_M), (x1, 0.95, z1)], 0.014, (60, 60, 200))
        mesh = flaps.build()
        return items_of(mesh, mesh.points, self.camera)

    def _open(self, lane: int, t_ms: int) -> float:
        for which, start, end in self._opened:
            if which == lane and start <= t_ms <= end:
                return min(1.0, (t_ms - start) / _OPEN_MS, (end - t_ms) / _OPEN_MS)
        return 0.0

    def _script(self, rng: Random) -> None:
        """Script passages with gaps; every second or third is a pair through one opening."""
        start, walk_ms = 800, 0
        while True:
            speed = rng.uniform(1.15, 1.45)
            walk_ms = round((_FAR_Z_M - _NEAR_Z_M) / speed * 1000)
            if start + walk_ms + 2500 > self.duration_ms:
                return
            lane, inward = rng.randrange(2), rng.random() < 0.65
            crossing = self._passage(rng, start, speed, lane, inward=inward, tailgating=False)
            last = crossing
            if rng.random() < 0.4:
                behind = round(rng.uniform(0.85, 1.2) / speed * 1000)
                last = self._passage(rng, start + behind, speed, lane, inward=inward, tailgating=True)
            self._opened.append((lane, crossing - 1300, last + 1300))
            start += rng.randrange(4200, 7500)

    def _passage(self, rng: Random, start: int, speed: float, lane: int, *, inward: bool, tailgating: bool) -> int:
        """Return one person through a lane; returns when the line is crossed."""
        x = _LANES_X[lane] + rng.uniform(-0.08, 0.08)
        z0, z1 = (_FAR_Z_M, _NEAR_Z_M) if inward else (_NEAR_Z_M, _FAR_Z_M)
        end = start + round(abs(z1 - z0) / speed * 1000)
        crossing = start + round(abs(LINE_Z_M - z0) / speed * 1000)
        yaw = math.pi if inward else 0.0
        spread = x + rng.uniform(-0.7, 0.7)
        path = WalkPath(
            (Waypoint(start, spread, z0, yaw), Waypoint(crossing, x, LINE_Z_M, yaw), Waypoint(end, spread, z1, yaw))
        )
        party = Party(path, members(ObjectLabel.PERSON, rng, 1 + len(self.parties)))
        facts = {"cross_ms": float(crossing), "inward": float(inward), "tailgating": float(tailgating)}
        self.parties.append(party)
        self.episodes.append(SceneEpisode("passage", start, end, party.labels(), (party.members[0].object_id,), facts))
        return crossing


def _street(rng: Random) -> Mesh:
    """Return sky, houses, a road outside, paving inside, from back to front."""
    street, paving = MeshBuilder(), rng.choice(_PAVING)
    for i in range(7):
        x0, top = -12 + 3.6 * i, rng.uniform(3.0, 6.5)
        wall = rng.choice(((150, 165, 185), (170, 175, 180), (140, 150, 175)))
        street.plate([(x0, 0, 19), (x0 + 3.5, 0, 19), (x0 + 3.5, top, 19), (x0, top, 19)], wall)
        for k in range(3):
            street.plate(
                [(x0 + 0.4 + k, 1, 18.9), (x0 + 1 + k, 1, 18.9), (x0 + 1 + k, 2.2, 18.9), (x0 + 0.4 + k, 2.2, 18.9)],
                (120, 105, 90),
            )
    street.plate([(-14, 0, 9), (14, 0, 9), (14, 0, 19), (-14, 0, 19)], (95, 96, 98))
    street.tube([(-14, 0, 14), (14, 0, 14)], 0.08, (190, 200, 200))
    street.plate([(-10, 0, -4), (10, 0, -4), (10, 0, 9), (-10, 0, 9)], paving)
    for i in range(11):
        street.tube([(-8, 0, -1.5 + i), (8, 0, -1.5 + i)], 0.012, shaded(paving, 0.84))
    for i in range(-6, 7):
        street.tube([(i, 0, -1.5), (i, 0, 9)], 0.012, shaded(paving, 0.84))
    for side in (-1.0, 1.0):
        street.plate(
            [(side * 2.6, 0.01, -3), (side * 9, 0.01, -3), (side * 9, 0.01, 9), (side * 2.6, 0.01, 9)], (70, 130, 85)
        )
        for i in range(6):
            street.limb(
                (side * (3.2 + rng.uniform(0, 1.5)), 0.2, 4 + i * 0.8),
                (side * 3.6, 0.5, 4 + i * 0.8),
                0.4,
                0.35,
                (55, 110 + 7 * i, 65),
            )
    return street.build()


def _fence(rng: Random) -> Mesh:
    """Return cabinets between the lanes, posts and bars to either side, a reader on each cabinet."""
    fence, steel = MeshBuilder(), rng.choice(((165, 170, 175), (90, 95, 100), (140, 110, 80)))
    for x in (_LANES_X[0] - 0.62, 0.0, _LANES_X[1] + 0.62):
        fence.box((x, 0.5, LINE_Z_M), (0.24, 1.0, 0.9), steel)
        fence.box((x, 1.12, LINE_Z_M + 0.3), (0.12, 0.26, 0.06), (50, 50, 52))
        fence.ball((x, 1.02, LINE_Z_M - 0.3), 0.05, (80, 220, 90))
    for side in (-1.0, 1.0):
        for i in range(8):
            x = side * (1.7 + 0.3 * i)
            fence.tube([(x, 0, LINE_Z_M), (x, 1.7, LINE_Z_M)], 0.025, (70, 72, 76))
        for y in (0.25, 1.5):
            fence.tube([(side * 1.55, y, LINE_Z_M), (side * 4.0, y, LINE_Z_M)], 0.025, (70, 72, 76))
    return fence.build()
