"""What moves before a facade: falling things (true physics), birds, insects, leaves, laundry."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import cv2
import numpy as np

from simulator.scenes.facade_geometry import Facade
from simulator.scenes.mesh import Colour
from simulator.scenes.painter import ONE, SHIFT, Image

GRAVITY_M_S2 = 9.81
SHUTTER_MS = 8.0
_BLUR_STEPS = 3
_LENS = np.array([(math.cos(a), 0.55 * math.sin(a)) for a in (0.0, 1.05, 2.1, 3.14, 4.2, 5.25)])
_THINGS: tuple[Colour, ...] = (
    (245, 245, 245),
    (40, 40, 45),
    (50, 60, 190),
    (200, 110, 40),
    (60, 110, 150),
    (225, 240, 250),
)


@dataclass(frozen=True)
class Fall:
    """A thing that falls freely in the plane of the balconies' fronts. Metres and m/s; ``v0`` is downwards."""

    object_id: int
    from_ms: int
    to_ms: int
    floor: int
    x: float
    height_m: float
    v0: float
    across: float
    size_m: float
    spin: float
    corners: tuple[tuple[float, float], ...]
    colour: Colour

    def where(self, t_ms: float) -> tuple[float, float]:
        """Return x and height in metres at ``t_ms``: s = v0·t + g·t²/2 below its start."""
        t = (t_ms - self.from_ms) / 1000
        return self.x + self.across * t, self.height_m - self.v0 * t - GRAVITY_M_S2 * t * t / 2

    def outline(self, facade: Facade, t_ms: float) -> list[tuple[float, float]]:
        """Return its corners on the picture, px."""
        x, height = self.where(t_ms)
        cx, cy = facade.pixel(x, height)
        scale, turn = facade.scale(height) * self.size_m / 2, self.spin * (t_ms - self.from_ms) / 1000
        cosine, sine = math.cos(turn), math.sin(turn)
        return [(cx + scale * (a * cosine - b * sine), cy + scale * (a * sine + b * cosine)) for a, b in self.corners]

    def draw(self, image: Image, facade: Facade, t_ms: int) -> None:
        """Blend it in over the time that the shutter is open."""
        if self.from_ms <= t_ms <= self.to_ms:
            steps = [t_ms - SHUTTER_MS * i / _BLUR_STEPS for i in range(_BLUR_STEPS)]
            _blend(image, [self.outline(facade, max(self.from_ms, t)) for t in steps], self.colour)


def some_fall(rng: Random, facade: Facade, from_ms: int, object_id: int) -> Fall:
    """Return a thing dropped over a railing of an upper storey, in sight for at least three storeys."""
    shown = facade.floors_shown()
    floor = rng.choice([k for k in shown if k >= shown[0] + 4] or shown[-1:])
    height, v0 = facade.slab_m(floor) + 1.1, rng.uniform(0.0, 1.5)
    bottom = _height_at_bottom(facade)
    lasts = (-v0 + math.sqrt(v0 * v0 + 2 * GRAVITY_M_S2 * (height - bottom))) / GRAVITY_M_S2
    count = rng.choice((4, 5, 6, 7))
    corners = tuple(
        (
            math.cos(2 * math.pi * i / count) * rng.uniform(0.7, 1.2),
            math.sin(2 * math.pi * i / count) * rng.uniform(0.6, 1.1),
        )
        for i in range(count)
    )
    return Fall(
        object_id=object_id,
        from_ms=from_ms,
        to_ms=from_ms + round(lasts * 1000),
        floor=floor,
        x=rng.uniform(-0.5, 0.5) * facade.half_width_m,
        height_m=height,
        v0=v0,
        across=rng.uniform(-0.7, 0.7),
        size_m=rng.uniform(0.32, 0.6),
        spin=rng.uniform(-7, 7),
        corners=corners,
        colour=rng.choice(_THINGS),
    )


def _height_at_bottom(facade: Facade) -> float:
    """Return the height in the balconies' plane that the picture's lower edge shows."""
    low, high = 0.0, facade.slab_m(facade.storeys)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if facade.pixel(0.0, middle)[1] > facade.camera.height else (low, middle)
    return low


@dataclass(frozen=True)
class Bird:
    """A bird crossing the picture, px and px/s; ``dive`` px are lost in the middle of its way and partly won back."""

    object_id: int
    from_ms: int
    to_ms: int
    x: float
    y: float
    speed_x: float
    speed_y: float
    dive: float
    span_px: float
    beat_hz: float

    def where(self, t_ms: float) -> tuple[float, float]:
        """Return its body on the picture, px."""
        t = (t_ms - self.from_ms) / 1000
        share = (t_ms - self.from_ms) / (self.to_ms - self.from_ms)
        bump = math.sin(math.pi * min(1.0, max(0.0, share))) ** 2
        return self.x + self.speed_x * t, self.y + self.speed_y * t + self.dive * bump + 4 * math.sin(5 * t)

    def outline(self, t_ms: float) -> list[tuple[float, float]]:
        """Return wings and body as one outline."""
        x, y = self.where(t_ms)
        lift = math.sin(2 * math.pi * self.beat_hz * t_ms / 1000) * self.span_px * 0.35
        half, nose = self.span_px / 2, math.copysign(self.span_px * 0.3, self.speed_x)
        return [(x - half, y - lift), (x, y - 1.5), (x + nose, y), (x + half, y - lift), (x, y + 2.0)]

    def draw(self, image: Image, t_ms: int) -> None:
        """Draw a dark silhouette."""
        if self.from_ms <= t_ms <= self.to_ms:
            _blend(image, [self.outline(t_ms), self.outline(t_ms - SHUTTER_MS)], (60, 55, 55))


def some_bird(rng: Random, from_ms: int, object_id: int, width: int) -> Bird:
    """Return a bird that enters at one side and leaves at the other."""
    speed, rightward = rng.uniform(110, 260), rng.random() < 0.5
    lasts = (width + 60) / speed
    return Bird(
        object_id=object_id,
        from_ms=from_ms,
        to_ms=from_ms + round(lasts * 1000),
        x=-30.0 if rightward else width + 30.0,
        y=rng.uniform(20, 200),
        speed_x=speed if rightward else -speed,
        speed_y=rng.uniform(-25, 25),
        dive=rng.choice((0.0, 0.0, 40.0, 110.0)),
        span_px=rng.uniform(8, 18),
        beat_hz=rng.uniform(3, 7),
    )


@dataclass(frozen=True)
class Mote:
    """An insect near the lens or a leaf in the wind: a small ellipse on a wandering way, px."""

    kind: str
    from_ms: int
    to_ms: int
    x: float
    y: float
    speed_x: float
    speed_y: float
    swing: float
    hertz: float
    radius_px: float
    colour: Colour

    def where(self, t_ms: float) -> tuple[float, float]:
        """Return its middle on the picture, px."""
        t = (t_ms - self.from_ms) / 1000
        turn = 2 * math.pi * self.hertz * t
        x = self.x + self.speed_x * t + self.swing * math.sin(turn) + 0.4 * self.swing * math.sin(2.7 * turn + 1)
        return x, self.y + self.speed_y * t + 0.35 * self.swing * math.cos(1.6 * turn)

    def draw(self, image: Image, t_ms: int) -> None:
        """Blend a small lens-shaped spot."""
        if self.from_ms <= t_ms <= self.to_ms:
            outlines = []
            for back in (0.0, SHUTTER_MS):
                x, y = self.where(t_ms - back)
                turn = 5 * self.hertz * (t_ms - self.from_ms) / 1000
                ring = (
                    _LENS
                    * self.radius_px
                    @ np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
                )
                outlines.append([(x + dx, y + dy) for dx, dy in ring.tolist()])
            _blend(image, outlines, self.colour)


def some_mote(rng: Random, from_ms: int, width: int, height: int) -> Mote:
    """Return an insect or a leaf."""
    if rng.random() < 0.4:
        path = (rng.uniform(0, width), rng.uniform(0, height), rng.uniform(-260, 260), rng.uniform(-130, 130))
        return Mote(
            "insect",
            from_ms,
            from_ms + rng.randrange(600, 1800),
            *path,
            rng.uniform(8, 30),
            rng.uniform(1, 3),
            rng.uniform(2, 4),
            (70, 75, 80),
        )
    path = (rng.uniform(40, width - 40), rng.uniform(-10, height * 0.5), rng.uniform(-35, 35), rng.uniform(35, 80))
    colour = rng.choice(((60, 150, 160), (50, 120, 90), (40, 90, 150)))
    return Mote(
        "leaf",
        from_ms,
        from_ms + rng.randrange(3000, 6000),
        *path,
        rng.uniform(8, 24),
        rng.uniform(0.3, 0.8),
        rng.uniform(2.2, 4),
        colour,
    )


@dataclass(frozen=True)
class Cloth:
    """A piece of laundry: its upper edge is fixed, its lower edge makes ``turns`` swings in the scene's length."""

    x: float
    height_m: float
    z: float
    wide_m: float
    long_m: float
    turns: tuple[int, int]
    colour: Colour

    def draw(self, image: Image, facade: Facade, share: float) -> None:
        """Draw it at ``share`` (0–1) of the scene's length."""
        swing = 0.13 * math.sin(2 * math.pi * self.turns[0] * share) + 0.07 * math.sin(
            2 * math.pi * self.turns[1] * share
        )
        low, half = self.height_m - self.long_m, self.wide_m / 2
        corners = (
            (self.x - half, self.height_m, 0.0), (self.x + half, self.height_m, 0.0),
            (self.x + half + swing, low + abs(swing) * 0.3, swing), (self.x - half + swing * 0.8, low, swing),
        )  # fmt: skip
        points = [facade.pixel(x, y, self.z - dz) for x, y, dz in corners]
        cv2.fillConvexPoly(image, np.rint(np.array(points) * ONE).astype(np.int32), self.colour, cv2.LINE_AA, SHIFT)


def _blend(image: Image, outlines: list[list[tuple[float, float]]], colour: Colour) -> None:
    """Mean of the picture with each outline filled in turn: motion blur."""
    points = np.array([point for outline in outlines for point in outline])
    x0, y0 = np.maximum(np.floor(points.min(axis=0)).astype(int) - 1, 0)
    x1, y1 = np.ceil(points.max(axis=0)).astype(int) + 2
    view = image[y0 : max(y1, y0), x0 : max(x1, x0)]
    if view.size == 0:
        return
    total = np.zeros(view.shape, np.float32)
    for outline in outlines:
        layer = view.copy()
        local = np.rint((np.array(outline) - (x0, y0)) * ONE).astype(np.int32)
        cv2.fillConvexPoly(layer, cv2.convexHull(local), colour, cv2.LINE_AA, SHIFT)
        total += layer
    view[:] = (total / len(outlines) + 0.5).astype(np.uint8)
