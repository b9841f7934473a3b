"""A lobby: people and things cross it between the entrance, the lift and the stairs; now and then one is left there."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from random import Random

from contracts.events import ObjectLabel
from simulator.scenes.mesh import Colour, Mesh, MeshBuilder, shaded
from simulator.scenes.painter import Image
from simulator.scenes.parties import NEGATIVES, Party, WalkPath, Waypoint, members, standing
from simulator.scenes.pinhole import Pinhole
from simulator.scenes.room import RoomScene, floor_zone, lit, painted
from simulator.scenes.truth import SceneEpisode

_ENDS = ((0.3, 9.4), (3.4, 4.6), (-3.3, 6.4), (2.6, 0.4), (-2.4, 0.6))
"""Entrance, lift, stairs, and out of the picture below on either side."""
_EVERYTHING = (ObjectLabel.E_BIKE, *NEGATIVES)
_SPEED_M_S = 1.15


class LobbyScene(RoomScene):
    """People and things crossing a hall, one to three parties at a time."""

    name = "lobby"
    fps = 12.5

    def __init__(self, seed: int, seconds: float, cast: Sequence[ObjectLabel] = _EVERYTHING) -> None:
        rng = Random(f"lobby {seed}")
        eye = (rng.choice((-1.0, 1.0)) * rng.uniform(1.6, 2.6), rng.uniform(2.4, 3.0), rng.uniform(-0.8, -0.2))
        target = (rng.uniform(-0.4, 0.4), rng.uniform(0.5, 0.8), rng.uniform(4.2, 5.2))
        super().__init__(seed, seconds, Pinhole(eye, target, rng.uniform(330, 430), 640, 360))
        self._empty = lit(painted(self.camera, _hall(rng), (90, 95, 100)), rng.uniform(0.3, 0.55), seed)
        self.zone_xy = floor_zone(self.camera, [(-3.5, 1.0), (-3.5, 9.0), (3.5, 9.0), (3.5, 1.0)])
        self._script(rng, tuple(cast))

    def backdrop(self, t_ms: int) -> Image:  # the hall does not change
        """Return the empty hall."""
        return self._empty.copy()

    def _script(self, rng: Random, cast: tuple[ObjectLabel, ...]) -> None:
        """Script a party every few seconds, after about every fifth a while with nobody; an e-bike in the first two."""
        start, first = 1000, rng.randrange(2)
        while start < self.duration_ms - 11_000 or not self.parties:
            index = len(self.episodes)
            label = ObjectLabel.E_BIKE if index == first and ObjectLabel.E_BIKE in cast else rng.choice(cast)
            parked = label != ObjectLabel.PERSON and index != first and rng.random() < 0.15
            party = self._parked(rng, label, start) if parked else self._crossing(rng, label, start)
            last = min(party.path.points[-1].t_ms, self.duration_ms - 800)
            self.parties.append(party)
            ids = tuple(member.object_id for member in party.members)
            self.episodes.append(SceneEpisode("walk", start, last, party.labels(), ids))
            start += rng.randrange(2500, 7000) + (5000 if rng.random() < 0.2 else 0)

    def _crossing(self, rng: Random, label: ObjectLabel, start: int) -> Party:
        """Send a party from one end to another by way of the middle."""
        (ax, az), (bx, bz) = rng.sample(_ENDS, 2)
        mx, mz = rng.uniform(-0.7, 0.9), rng.uniform(3.0, 5.0)
        places = [(ax, az), (mx, mz), (bx, bz)]
        points, t_ms = [], start
        for (x0, z0), (x1, z1) in itertools.pairwise(places):
            yaw = math.atan2(x1 - x0, z1 - z0)
            points.append(Waypoint(t_ms, x0, z0, yaw))
            took = round(math.hypot(x1 - x0, z1 - z0) / _SPEED_M_S * 1000)
            points.append(Waypoint(t_ms + took - 250, x0 + (x1 - x0) * 0.96, z0 + (z1 - z0) * 0.96, yaw))
            t_ms += took
        points.append(Waypoint(t_ms, *places[-1], points[-1].yaw))
        return Party(WalkPath(tuple(points)), members(label, rng, 1 + 10 * len(self.episodes)))

    def _parked(self, rng: Random, label: ObjectLabel, start: int) -> Party:
        """Return a thing that somebody left by the wall; it is there at once, as after a cut in a recording."""
        x, z, yaw = rng.uniform(-2.6, -1.6), rng.uniform(3.2, 6.0), rng.uniform(-0.5, 0.5)
        until = min(start + rng.randrange(6000, 14_000), self.duration_ms - 800)
        path = WalkPath((Waypoint(start, x, z, yaw), Waypoint(until, x, z, yaw)))
        return Party(path, (standing(label, rng, 1 + 10 * len(self.episodes)),))


def _hall(rng: Random) -> Mesh:
    """Return floor, walls, a glass entrance, a lift door, letter boxes and a plant, from back to front."""
    stone, wall = (
        rng.choice(((165, 172, 178), (130, 140, 150), (175, 170, 160))),
        rng.choice(((190, 200, 208), (175, 188, 200))),
    )
    hall = MeshBuilder()
    hall.plate([(-3.5, 0, 9.5), (3.5, 0, 9.5), (3.5, 3.2, 9.5), (-3.5, 3.2, 9.5)], wall)
    _entrance(hall)
    for x in (-3.5, 3.5):
        hall.plate([(x, 0, -3), (x, 0, 9.5), (x, 3.2, 9.5), (x, 3.2, -3)], shaded(wall, 0.92))
    hall.plate([(-3.5, 0, -3), (3.5, 0, -3), (3.5, 0, 9.5), (-3.5, 0, 9.5)], stone)
    _tiles(hall, shaded(stone, 0.86))
    for x in (-3.48, 3.48):
        hall.plate([(x, 0, -3), (x, 0, 9.5), (x, 0.14, 9.5), (x, 0.14, -3)], shaded(wall, 0.55))
    hall.plate([(-3.5, 0, 9.48), (-1.2, 0, 9.48), (-1.2, 0.14, 9.48), (-3.5, 0.14, 9.48)], shaded(wall, 0.55))
    _lift_door(hall)
    _letter_boxes(hall)
    _plant(hall, 3.0, 7.6)
    return hall.build()


def _tiles(hall: MeshBuilder, colour: Colour) -> None:
    for i in range(14):
        z = -1.5 + 0.8 * i
        hall.tube([(-3.5, 0, z), (0.0, 0, z), (3.5, 0, z)], 0.006, colour)
    for i in range(-4, 5):
        hall.tube([(0.8 * i, 0, 0.6), (0.8 * i, 0, 9.5)], 0.006, colour)


def _entrance(hall: MeshBuilder) -> None:
    """Paint daylight behind glass doors."""
    hall.plate([(-1.1, 0, 9.49), (1.7, 0, 9.49), (1.7, 2.5, 9.49), (-1.1, 2.5, 9.49)], (250, 245, 235))
    hall.plate([(-1.1, 0, 9.48), (1.7, 0, 9.48), (1.7, 0.7, 9.48), (-1.1, 0.7, 9.48)], (150, 190, 175))
    for x in (-1.1, -0.4, 0.3, 1.0, 1.7):
        hall.tube([(x, 0, 9.46), (x, 2.5, 9.46)], 0.03, (80, 84, 88))
    hall.tube([(-1.1, 2.5, 9.46), (1.7, 2.5, 9.46)], 0.04, (80, 84, 88))


def _lift_door(hall: MeshBuilder) -> None:
    x = 3.46
    hall.plate([(x, 0, 4.0), (x, 0, 5.2), (x, 2.2, 5.2), (x, 2.2, 4.0)], (150, 156, 160))
    hall.tube([(x, 0, 4.6), (x, 2.2, 4.6)], 0.01, (70, 72, 76))
    hall.tube([(x, 0, 4.0), (x, 2.2, 4.0), (x, 2.2, 5.2), (x, 0, 5.2)], 0.04, (90, 94, 98))
    hall.ball((x, 1.1, 5.45), 0.05, (60, 70, 230))


def _letter_boxes(hall: MeshBuilder) -> None:
    x = -3.42
    for row in range(4):
        for column in range(6):
            z, y = 5.2 + column * 0.32, 0.9 + row * 0.24
            hall.plate([(x, y, z), (x, y, z + 0.29), (x, y + 0.21, z + 0.29), (x, y + 0.21, z)], (110, 130, 120))


def _plant(hall: MeshBuilder, x: float, z: float) -> None:
    hall.limb((x, 0.05, z), (x, 0.4, z), 0.16, 0.22, (90, 110, 170))
    for i in range(9):
        angle = i * 0.7
        tip = (x + 0.4 * math.cos(angle), 0.9 + 0.25 * math.sin(3 * angle), z + 0.3 * math.sin(angle))
        hall.limb((x, 0.45, z), tip, 0.03, 0.07, (60, 120 + 6 * i, 50))
