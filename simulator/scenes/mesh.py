"""Things made of simple solids, in their own metres: x forward, y up, z to the right of the thing."""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

from simulator.scenes.pinhole import Floats, Vec

Colour = tuple[int, int, int]
"""Blue, green, red, 0–255."""

RING_POINTS = 22


class SolidKind(enum.IntEnum):
    """How a shape is painted."""

    TUBE = 0  # a line of given radius through its points
    LIMB = 1  # a tapered capsule between two points
    PLATE = 2  # a flat polygon
    BALL = 3


@dataclass(frozen=True)
class Shape:
    """One solid of a mesh: points ``first:last`` of the mesh, radii in metres.

    ``cull`` marks an outward face of a closed solid, wound so that it is seen clockwise in the picture from outside.
    """

    kind: SolidKind
    first: int
    last: int
    colour: Colour
    radius_m: float = 0.0
    radius2_m: float = 0.0
    closed: bool = False
    cull: bool = False


@dataclass(frozen=True)
class Mesh:
    """A built thing: ``points`` (N,3) in its own frame, and its shapes."""

    points: Floats
    shapes: tuple[Shape, ...]
    firsts: npt.NDArray[np.intp]  # of each shape, its first point
    counts: npt.NDArray[np.intp]  # of each shape, how many points it has


@dataclass
class MeshBuilder:
    """Collects shapes; every method returns the builder."""

    points: list[Vec] = field(default_factory=list)
    shapes: list[Shape] = field(default_factory=list)

    def tube(self, points: Sequence[Vec], radius_m: float, colour: Colour, *, closed: bool = False) -> Self:
        """Return a bent tube (frame, handlebar, spoke)."""
        return self._add(SolidKind.TUBE, points, colour, radius_m, closed=closed)

    def limb(self, p: Vec, q: Vec, radius_m: float, radius2_m: float, colour: Colour) -> Self:
        """Return a tapered capsule (arm, leg, torso, fairing)."""
        return self._add(SolidKind.LIMB, (p, q), colour, radius_m, radius2_m)

    def ball(self, centre: Vec, radius_m: float, colour: Colour) -> Self:
        """Return a sphere."""
        return self._add(SolidKind.BALL, (centre,), colour, radius_m)

    def plate(self, points: Sequence[Vec], colour: Colour, *, cull: bool = False) -> Self:
        """Return a flat polygon, seen from both sides unless ``cull``."""
        return self._add(SolidKind.PLATE, points, colour, cull=cull)

    def wheel(self, centre: Vec, radius_m: float, tyre_m: float, tyre: Colour, hub: Colour, spokes: int = 0) -> Self:
        """Return a wheel standing in the x-y plane: a hub disc (``spokes`` 0) or spokes, and its tyre."""
        x, y, z = centre
        rim = [
            (x + radius_m * math.cos(a), y + radius_m * math.sin(a), z)
            for a in np.linspace(0, 2 * math.pi, RING_POINTS, endpoint=False).tolist()
        ]
        if spokes:
            for i in range(spokes):
                a = math.pi * i / spokes
                dx, dy = radius_m * math.cos(a), radius_m * math.sin(a)
                self.tube([(x - dx, y - dy, z), (x + dx, y + dy, z)], 0.003, hub)
        else:
            share = 0.62
            self.plate([(x + (px - x) * share, y + (py - y) * share, z) for px, py, _ in rim], hub)
        return self.tube(rim, tyre_m, tyre, closed=True).ball(centre, tyre_m * 1.1, hub)

    def box(self, centre: Vec, size: Vec, colour: Colour, *, pitch: float = 0.0) -> Self:
        """Return a box with ``size`` along x, y, z, turned by ``pitch`` (radians, nose up) about its own centre."""
        cosine, sine = math.cos(pitch), math.sin(pitch)
        corners = []
        for sx, sy, sz in _CORNERS:
            dx, dy, dz = sx * size[0] / 2, sy * size[1] / 2, sz * size[2] / 2
            corners.append(
                (centre[0] + dx * cosine - dy * sine, centre[1] + dx * sine + dy * cosine, centre[2] + dz),
            )
        for face in _FACES:
            self.plate([corners[i] for i in face], colour, cull=True)
        return self

    def prism(self, profile: Sequence[tuple[float, float]], half_width_m: float, colour: Colour) -> Self:
        """Return a side profile (x, y), convex, counter-clockwise, extruded to ``±half_width_m``."""
        left = [(x, y, -half_width_m) for x, y in profile]
        right = [(x, y, half_width_m) for x, y in profile]
        self.plate(right[::-1], colour, cull=True).plate(left, colour, cull=True)
        for i in range(len(profile)):
            j = (i + 1) % len(profile)
            self.plate([right[i], right[j], left[j], left[i]], colour, cull=True)
        return self

    def build(self, scale: float = 1.0) -> Mesh:
        """Return the finished mesh, ``scale`` times as large."""
        shapes = tuple(self.shapes)
        if scale != 1.0:
            shapes = tuple(_scaled(shape, scale) for shape in shapes)
        firsts = np.array([shape.first for shape in shapes], np.intp)
        counts = np.array([shape.last - shape.first for shape in shapes], np.intp)
        return Mesh(np.asarray(self.points, float) * scale, shapes, firsts, counts)

    def _add(
        self,
        kind: SolidKind,
        points: Sequence[Vec],
        colour: Colour,
        radius_m: float = 0.0,
        radius2_m: float = 0.0,
        *,
        closed: bool = False,
        cull: bool = False,
    ) -> Self:
        first = len(self.points)
        self.points.extend(points)
        self.shapes.append(Shape(kind, first, len(self.points), colour, radius_m, radius2_m, closed, cull))
        return self


def _scaled(shape: Shape, scale: float) -> Shape:
    radius, radius2 = shape.radius_m * scale, shape.radius2_m * scale
    return Shape(shape.kind, shape.first, shape.last, shape.colour, radius, radius2, shape.closed, shape.cull)


_CORNERS = ((-1, -1, -1), (1, -1, -1), (1, 1, -1), (-1, 1, -1), (-1, -1, 1), (1, -1, 1), (1, 1, 1), (-1, 1, 1))
_FACES = ((0, 1, 2, 3), (7, 6, 5, 4), (1, 5, 6, 2), (4, 0, 3, 7), (3, 2, 6, 7), (4, 5, 1, 0))


def placed(mesh: Mesh, x: float, z: float, yaw: float, y: float = 0.0) -> Floats:
    """Return world points (N,3) of a mesh standing at (x, y, z); ``yaw`` 0 looks along world z (away), π/2 along x."""
    sine, cosine = math.sin(yaw), math.cos(yaw)
    forward, right = mesh.points[:, 0], mesh.points[:, 2]
    out = np.empty_like(mesh.points)
    out[:, 0] = x + forward * sine + right * cosine
    out[:, 1] = y + mesh.points[:, 1]
    out[:, 2] = z + forward * cosine - right * sine
    return out


def shaded(colour: Colour, factor: float) -> Colour:
    """Return the colour ``factor`` times as bright, clipped."""
    blue, green, red = colour
    return (min(255, int(blue * factor)), min(255, int(green * factor)), min(255, int(red * factor)))
