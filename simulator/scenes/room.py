"""What lift, lobby and gate share: a fixed camera in a room, parties walking through it, boxes from their outlines."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from simulator.scenes.mesh import Mesh
from simulator.scenes.painter import Image, Item, bounds_of, items_of, paint, paint_in_order, stamp
from simulator.scenes.parties import Member, Party
from simulator.scenes.pinhole import Floats, Pinhole
from simulator.scenes.sensor import Sensor
from simulator.scenes.truth import Calibration, Labelled, SceneEpisode

MASK_DIVISOR = 4
MIN_VISIBLE = 0.05
_SHADOW_DIVISOR = 8

Placed = tuple[Member, list[Item], Floats]


class RoomScene:
    """A room over time. ``render`` and ``truth`` are functions of the seed and ``t_ms`` alone."""

    name = "room"
    fps = 12.5
    calibration: Calibration | None = None
    line_xyxy: tuple[float, float, float, float] | None = None
    zone_xy: tuple[tuple[float, float], ...] = ()

    def __init__(self, seed: int, seconds: float, camera: Pinhole) -> None:
        self.seed = seed
        self.duration_ms = round(seconds * 1000)
        self.camera = camera
        self.width, self.height = camera.width, camera.height
        self.parties: list[Party] = []
        self.episodes: list[SceneEpisode] = []
        self._sensor = Sensor(seed, camera.width, camera.height)
        self._latest: tuple[int, list[Placed]] = (-1, [])

    def render(self, t_ms: int) -> Image:
        """Return the frame at ``t_ms``, BGR (height, width, 3)."""
        image = self.backdrop(t_ms)
        placed = self._placed(t_ms)
        self._shadows(image, placed)
        self.compose(image, [item for _, items, _ in placed for item in items], t_ms)
        return self._sensor.see(image, t_ms, self.light(t_ms))

    def truth(self, t_ms: int) -> tuple[Labelled, ...]:
        """Return the labelled boxes at ``t_ms``; what is hidden altogether or out of the picture is left out."""
        placed = self._placed(t_ms)
        shares = self._visible(placed, t_ms)
        out = []
        for (member, items, _), share in zip(placed, shares, strict=True):
            box = self._clipped(items)
            if box is not None and share >= MIN_VISIBLE:
                out.append(Labelled(member.label, member.object_id, box, round(share, 2)))
        return tuple(out)

    def backdrop(self, t_ms: int) -> Image:
        """Return a fresh picture of the empty room at ``t_ms``."""
        raise NotImplementedError

    def compose(self, image: Image, items: Sequence[Item], t_ms: int) -> None:
        """Paint the items into the room."""
        paint(image, items)

    def hidden(self, mask: Image, t_ms: int) -> None:
        """Clear from a small mask what the room itself hides. Nothing by default."""

    def light(self, t_ms: int) -> float:
        """Return the light at ``t_ms`` over the usual light."""
        return 1.0

    def _placed(self, t_ms: int) -> list[Placed]:
        if self._latest[0] != t_ms:
            found = [entry for party in self.parties for entry in party.placed(t_ms)]
            self._latest = (t_ms, [(m, items_of(mesh, world, self.camera), world) for m, mesh, world in found])
        return self._latest[1]

    def _shadows(self, image: Image, placed: Sequence[Placed]) -> None:
        """Darken the floor below every object, softly."""
        if not placed:
            return
        small = np.zeros((self.height // _SHADOW_DIVISOR, self.width // _SHADOW_DIVISOR), np.uint8)
        for _, _, world in placed:
            outline = _footprint(world)
            pixels, depth = self.camera.project(outline)
            if float(depth.min()) > 0.3:
                cv2.fillConvexPoly(small, cv2.convexHull((pixels / _SHADOW_DIVISOR).astype(np.int32)), 90)
        soft = cv2.resize(cv2.blur(small, (5, 5)), (self.width, self.height))
        cv2.subtract(image, cv2.merge([soft, soft, soft]) // 2, dst=image)

    def _visible(self, placed: Sequence[Placed], t_ms: int) -> list[float]:
        """Return the share of each object's outline that no other object, the room or the picture's edge hides."""
        size = (self.height // MASK_DIVISOR, self.width // MASK_DIVISOR)
        together = np.zeros(size, np.uint8)
        order = sorted(
            ((item, index + 1) for index, (_, items, _) in enumerate(placed) for item in items),
            key=lambda entry: -entry[0].depth_m,
        )
        for item, value in order:
            stamp(together, [item], value, MASK_DIVISOR)
        self.hidden(together, t_ms)
        shares = []
        for index, (_, items, _) in enumerate(placed):
            alone = np.zeros(size, np.uint8)
            stamp(alone, items, 1, MASK_DIVISOR)
            seen, whole = int(np.count_nonzero(together == index + 1)), int(np.count_nonzero(alone))
            shares.append(seen / max(1, whole))
        return shares

    def _clipped(self, items: Sequence[Item]) -> tuple[float, float, float, float] | None:
        bounds = bounds_of(items)
        if bounds is None:
            return None
        x0, y0 = max(0.0, bounds[0]), max(0.0, bounds[1])
        x1, y1 = min(float(self.width), bounds[2]), min(float(self.height), bounds[3])
        if x1 - x0 < 2 or y1 - y0 < 2:
            return None
        return round(x0, 1), round(y0, 1), round(x1, 1), round(y1, 1)


def painted(camera: Pinhole, mesh: Mesh, colour: tuple[int, int, int]) -> Image:
    """Return an empty room drawn once from its own mesh."""
    image = np.full((camera.height, camera.width, 3), colour, np.uint8)
    paint_in_order(image, items_of(mesh, mesh.points, camera))
    return image


def lit(image: Image, strength: float, seed: int) -> Image:
    """Return a lamp's fall-off and a little texture over a flat picture."""
    height, width = image.shape[:2]
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    centre = (width * (0.35 + 0.3 * ((seed * 37) % 100) / 100), height * 0.35)
    away = np.hypot((xs - centre[0]) / width, (ys - centre[1]) / height)
    grain = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, (height, width)).astype(np.float32), (0, 0), 2.5)
    map_ = 1.08 - strength * away**1.4 + grain * 0.05
    shaded: Image = np.clip(image * map_[..., None], 0, 255).astype(np.uint8)
    return shaded


def floor_zone(camera: Pinhole, corners: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Return the picture's part above a floor with these corners (x, z), px, down to the picture's lower edge."""
    pixels, _ = camera.project(np.array([(x, 0.0, z) for x, z in corners], float))
    low, high = (0, 0), (camera.width, camera.height)
    points = [*np.clip(pixels, low, high), np.array((0, camera.height)), np.array(high)]
    hull = cv2.convexHull(np.asarray(points, np.float32)).reshape(-1, 2)
    return tuple((round(float(x), 1), round(float(y), 1)) for x, y in hull)


def _footprint(world: Floats) -> Floats:
    """Return the outline of what stands below half a metre, on the floor."""
    low = world[world[:, 1] < 0.6]
    source = low if len(low) else world
    (x0, _, z0), (x1, _, z1) = source.min(axis=0), source.max(axis=0)
    corners = [(x0, z0), (x1, z0), (x1, z1), (x0, z1)]
    spread = [(x0 - 0.06 + (x - x0) * 1.1, 0.0, z0 - 0.06 + (z - z0) * 1.1) for x, z in corners]
    return np.asarray(spread, float)
