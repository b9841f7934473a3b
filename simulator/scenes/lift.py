"""A lift seen from its rear corner: doors, a landing behind them, rides with and without things."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

import cv2
import numpy as np

from contracts.events import ObjectLabel
from simulator.scenes.lift_cabin import (
    DOOR_HALF_M,
    DOOR_TOP_M,
    DOOR_Z_M,
    HALF_WIDTH_M,
    build_cabin,
    build_landing,
    display_corner,
)
from simulator.scenes.mesh import MeshBuilder, shaded
from simulator.scenes.painter import Image, Item, items_of, paint
from simulator.scenes.parties import NEGATIVES, Party, WalkPath, Waypoint, members
from simulator.scenes.pinhole import Pinhole
from simulator.scenes.room import RoomScene, floor_zone, lit, painted
from simulator.scenes.truth import SceneEpisode

DOOR_MS = 1100
_LANDING_Z_M = 4.4
_WALK_MS = 2600
_EVERYTHING = (ObjectLabel.E_BIKE, *NEGATIVES)


class LiftScene(RoomScene):
    """Rides in a lift. ``cast`` limits what comes in; an e-bike, when it may come, takes one of the first two rides."""

    name = "lift"
    fps = 10.0

    def __init__(self, seed: int, seconds: float, cast: Sequence[ObjectLabel] = _EVERYTHING) -> None:
        rng = Random(f"lift {seed}")
        side = rng.choice((-1.0, 1.0))
        eye = (side * rng.uniform(0.72, 0.86), rng.uniform(2.15, 2.36), rng.uniform(0.06, 0.2))
        target = (-side * rng.uniform(0.02, 0.25), rng.uniform(0.55, 0.85), rng.uniform(1.45, 1.75))
        super().__init__(seed, seconds, Pinhole(eye, target, rng.uniform(290, 345), 640, 360))
        self._doors: list[tuple[int, int]] = []
        cabin, self._door_colour = build_cabin(rng)
        landing = painted(self.camera, build_landing(rng), (95, 100, 105))
        self._cabin_mask = self._mask()
        empty = painted(self.camera, cabin, (70, 74, 78))
        cv2.copyTo(landing, cv2.bitwise_not(self._cabin_mask), empty)
        self._empty = lit(empty, rng.uniform(0.3, 0.55), seed)
        self._display = display_corner(self.camera)
        x, z = HALF_WIDTH_M, DOOR_Z_M
        self.zone_xy = floor_zone(self.camera, [(-x, 1.0), (-x, z), (x, z), (x, 1.0)])
        self._script(rng, tuple(cast), side)

    def backdrop(self, t_ms: int) -> Image:  # doors and display are painted by compose
        """Return the cabin with the landing behind its open door."""
        return self._empty.copy()

    def compose(self, image: Image, items: Sequence[Item], t_ms: int) -> None:
        """Paint the landing first, the cabin and its doors over it, then what is inside."""
        outside = [item for item in items if item.z_m > DOOR_Z_M]
        if outside:
            cabin = image.copy()
            paint(image, outside)
            cv2.copyTo(cabin, self._cabin_mask, image)
        self._paint_doors(image, self.door_open(t_ms))
        self._paint_display(image, t_ms)
        paint(image, [item for item in items if item.z_m <= DOOR_Z_M])

    def hidden(self, mask: Image, t_ms: int) -> None:
        """Hide the landing by the front wall and shut doors; the room's own parties are inside when they are shut."""
        if self.door_open(t_ms) > 0.2:
            return
        wall = cv2.resize(self._cabin_mask, (mask.shape[1], mask.shape[0]), interpolation=cv2.INTER_NEAREST)
        outside = any(p.path.covers(t_ms) and p.path.at(t_ms)[0].z > DOOR_Z_M for p in self.parties)
        if outside:
            mask[wall == 0] = 0

    def door_open(self, t_ms: int) -> float:
        """Return how far the doors are open, 0–1."""
        for start, end in self._doors:
            if start <= t_ms <= end:
                return min(1.0, (t_ms - start) / DOOR_MS, (end - t_ms) / DOOR_MS)
        return 0.0

    def _mask(self) -> Image:
        """Return 255 where the cabin is, 0 in the door's opening."""
        x, top, z = DOOR_HALF_M, DOOR_TOP_M, DOOR_Z_M
        corners, _ = self.camera.project(np.array([(-x, 0, z), (x, 0, z), (x, top, z), (-x, top, z)], float))
        mask = np.full((self.height, self.width), 255, np.uint8)
        cv2.fillConvexPoly(mask, np.rint(corners).astype(np.int32), 0)
        return mask

    def _paint_doors(self, image: Image, share: float) -> None:
        """Paint two panels that part from the middle."""
        if share >= 0.98:
            return
        doors, z = MeshBuilder(), DOOR_Z_M + 0.03
        for side, factor in ((-1.0, 0.95), (1.0, 1.05)):
            near, far = side * DOOR_HALF_M * share, side * DOOR_HALF_M
            panel = [(near, 0.0, z), (far, 0.0, z), (far, DOOR_TOP_M, z), (near, DOOR_TOP_M, z)]
            doors.plate(panel, shaded(self._door_colour, factor))
            doors.tube([(near, 0.02, z - 0.01), (near, DOOR_TOP_M - 0.02, z - 0.01)], 0.008, (60, 62, 66))
        mesh = doors.build()
        paint(image, items_of(mesh, mesh.points, self.camera))

    def _paint_display(self, image: Image, t_ms: int) -> None:
        floor = 1 + (t_ms // 2600) % 18
        cv2.putText(image, f"{floor:2d}", self._display, cv2.FONT_HERSHEY_PLAIN, 0.8, (60, 70, 255), 1, cv2.LINE_AA)

    def _script(self, rng: Random, cast: tuple[ObjectLabel, ...], side: float) -> None:
        """Script rides one after another, with an empty cabin between them and at both ends."""
        first = rng.randrange(2)
        start, ride = 1200, 0
        while True:
            label = self._next(rng, cast, ride, first)
            dwell = rng.randrange(5000, 8500)
            end = start + DOOR_MS + _WALK_MS + dwell + _WALK_MS + 600
            if end + DOOR_MS + 800 > self.duration_ms:
                return
            self._ride(rng, label, start, dwell, side)
            start, ride = end + DOOR_MS + rng.randrange(1200, 3500), ride + 1

    def _next(self, rng: Random, cast: tuple[ObjectLabel, ...], ride: int, first: int) -> ObjectLabel:
        if ride == first and ObjectLabel.E_BIKE in cast:
            return ObjectLabel.E_BIKE
        return rng.choice([label for label in cast if ride > 1 or label != ObjectLabel.E_BIKE] or list(cast))

    def _ride(self, rng: Random, label: ObjectLabel, start: int, dwell: int, side: float) -> None:
        """Script one party in and out, and sometimes someone else with it."""
        enter = start + DOOR_MS - 300
        leave = enter + _WALK_MS + dwell
        spot = (-side * rng.uniform(0.1, 0.3), rng.uniform(1.15, 1.35))
        alone = label == ObjectLabel.PERSON
        parties = [self._party(rng, label, enter, leave, spot, turns=alone, order=0)]
        if rng.random() < (0.6 if alone else 0.3):
            corner = (side * rng.uniform(0.55, 0.65), rng.uniform(1.75, 1.95))
            parties.append(self._party(rng, ObjectLabel.PERSON, enter, leave, corner, turns=True, order=1))
        self._doors += [(start, enter + _WALK_MS + DOOR_MS), (leave - DOOR_MS, leave + _WALK_MS + DOOR_MS)]
        labels = tuple(label for party in parties for label in party.labels())
        ids = tuple(member.object_id for party in parties for member in party.members)
        self.parties += parties
        self.episodes.append(SceneEpisode("ride", enter, leave + _WALK_MS, labels, ids, {"open_ms": float(dwell)}))

    def _party(
        self,
        rng: Random,
        label: ObjectLabel,
        enter: int,
        leave: int,
        spot: tuple[float, float],
        *,
        turns: bool,
        order: int,
    ) -> Party:
        """Send a party in through the door, to a stand, and out: people alone turn round, things go out backwards."""
        door, late = rng.uniform(-0.06, 0.06), order * 500
        inward, outward = math.pi, 0.0 if turns else math.pi
        path = WalkPath((
            Waypoint(enter + late, door, _LANDING_Z_M, inward),
            Waypoint(enter + late + 1300, door, DOOR_Z_M, inward),
            Waypoint(enter + late + 2100, *spot, inward),
            Waypoint(enter + late + 2600, *spot, outward),
            Waypoint(leave, *spot, outward),
            Waypoint(leave + 900, door, DOOR_Z_M, outward),
            Waypoint(leave + 2300, door, _LANDING_Z_M, outward),
        ))  # fmt: skip
        return Party(path, members(label, rng, self._next_id(order)))

    def _next_id(self, order: int) -> int:
        """Return the next id, ten apart per ride and five within it, so that every object of a scene has its own."""
        return 1 + 10 * len(self.episodes) + 5 * order
