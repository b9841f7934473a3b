"""Paints placed meshes back to front, and says where they are in the picture."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from simulator.scenes.mesh import Colour, Mesh, Shape, SolidKind, shaded
from simulator.scenes.pinhole import NEAR_M, Floats, Pinhole

Image = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]

SHIFT = 3
ONE = 1 << SHIFT
_LIGHT = np.array([-0.35, 0.85, -0.4]) / math.sqrt(0.35**2 + 0.85**2 + 0.4**2)
_CAP_POINTS = 6
_ANGLES = np.concatenate([np.linspace(-0.5, 0.5, _CAP_POINTS), np.linspace(0.5, 1.5, _CAP_POINTS)]) * np.pi
_CAPS = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
_LIMB_SHARE = np.array([1.0, 0.78, 0.4])[:, None, None]
_LIMB_TOWARD = np.array([0.0, 0.17, 0.34])[:, None, None] * np.array([-0.6, -0.8])
_LIMB_LIGHT = (0.72, 0.98, 1.16)


@dataclass(frozen=True)
class Item:
    """A shape on the picture: fixed-point pixels (n,2), radii in px, mean depth and mean world z in metres."""

    depth_m: float
    z_m: float
    shape: Shape
    pixels: Ints
    radius_px: float
    radius2_px: float
    light: float  # brightness of a plate by its angle


def items_of(mesh: Mesh, world: Floats, camera: Pinhole) -> list[Item]:
    """Return the shapes of a placed mesh that the camera may see; those reaching behind the lens are left out.

    Big flat plates that reach behind it are cut at the lens instead: walls and floors of a room.
    """
    pixels, depth = camera.project(world)
    fixed = np.rint(np.clip(pixels, -4000, 4000) * ONE).astype(np.int32)
    nearest = np.minimum.reduceat(depth, mesh.firsts).tolist()
    distances = (np.add.reduceat(depth, mesh.firsts) / mesh.counts).tolist()
    places_z = (np.add.reduceat(world[:, 2], mesh.firsts) / mesh.counts).tolist()
    items = []
    for shape, near, distance, z_m in zip(mesh.shapes, nearest, distances, places_z, strict=True):
        part = slice(shape.first, shape.last)
        if near < NEAR_M:
            if shape.kind is SolidKind.PLATE and not shape.cull and float(depth[part].max()) > NEAR_M:
                items.append(_cut_plate(shape, world[part], depth[part], camera))
            continue
        points = fixed[part]
        if shape.cull and not _faces_camera(points):
            continue
        scale = camera.focal_px / distance
        light = _light(world[part]) if shape.kind is SolidKind.PLATE else 1.0
        items.append(Item(distance, z_m, shape, points, shape.radius_m * scale, shape.radius2_m * scale, light))
    return items


def bounds_of(items: Iterable[Item]) -> tuple[float, float, float, float] | None:
    """Return the box (x0, y0, x1, y1) in px around all items, not clipped; None without items."""
    lows, highs = [], []
    for item in items:
        reach = max(item.radius_px, item.radius2_px)
        lows.append(item.pixels.min(axis=0) / ONE - reach)
        highs.append(item.pixels.max(axis=0) / ONE + reach)
    if not lows:
        return None
    low, high = np.min(lows, axis=0), np.max(highs, axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def paint(image: Image, items: Sequence[Item]) -> None:
    """Draw all items into ``image``, farthest first."""
    for item in sorted(items, key=lambda item: -item.depth_m):
        _PAINTERS[item.shape.kind](image, item)


def paint_in_order(image: Image, items: Iterable[Item]) -> None:
    """Draw all items as they come: for rooms, whose meshes are written from back to front."""
    for item in items:
        _PAINTERS[item.shape.kind](image, item)


def stamp(mask: Image, items: Sequence[Item], value: int, divisor: int) -> None:
    """Fill the items' outlines with ``value`` into a mask that is ``divisor`` times smaller than the picture."""
    for item in items:
        points = item.pixels // divisor
        if item.shape.kind is SolidKind.PLATE:
            cv2.fillConvexPoly(mask, points, value, cv2.LINE_8, SHIFT)
        elif item.shape.kind is SolidKind.BALL:
            _disc(mask, points[0], item.radius_px / divisor, (value, value, value))
        else:
            width = max(1, round(2 * max(item.radius_px, item.radius2_px) / divisor))
            cv2.polylines(mask, [points], item.shape.closed, value, width, cv2.LINE_8, SHIFT)


def _cut_plate(shape: Shape, corners: Floats, depth: Floats, camera: Pinhole) -> Item:
    """Return the part of a plate that lies before the lens."""
    kept: list[Floats] = []
    for i in range(len(corners)):
        j = (i + 1) % len(corners)
        if depth[i] > NEAR_M:
            kept.append(corners[i])
        if (depth[i] > NEAR_M) != (depth[j] > NEAR_M):
            share = (NEAR_M - depth[i]) / (depth[j] - depth[i])
            kept.append(corners[i] + (corners[j] - corners[i]) * share)
    part = np.asarray(kept)
    pixels, away = camera.project(part)
    fixed = np.rint(np.clip(pixels, -20_000, 20_000) * ONE).astype(np.int32)
    return Item(float(away.mean()), float(part[:, 2].mean()), shape, fixed, 0.0, 0.0, _light(corners))


def _faces_camera(points: Ints) -> bool:
    """Return whether a culled face's first three corners turn the way an outside view shows them."""
    (ax, ay), (bx, by), (cx, cy) = points[0], points[1], points[2]
    return bool((int(bx) - ax) * (int(cy) - ay) - (int(by) - ay) * (int(cx) - ax) > 0)


def _light(corners: Floats) -> float:
    """Return brightness of a flat face by its angle to the light, the same from both sides."""
    u, v = corners[1] - corners[0], corners[2] - corners[0]
    nx, ny, nz = u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]
    length = math.sqrt(nx * nx + ny * ny + nz * nz) or 1.0
    return 0.62 + 0.45 * abs(float(nx * _LIGHT[0] + ny * _LIGHT[1] + nz * _LIGHT[2])) / length


def _paint_tube(image: Image, item: Item) -> None:
    width = max(1, round(2 * item.radius_px))
    colour, closed = item.shape.colour, item.shape.closed
    if width < 3:
        cv2.polylines(image, [item.pixels], closed, colour, width, cv2.LINE_AA, SHIFT)
        return
    cv2.polylines(image, [item.pixels], closed, shaded(colour, 0.72), width, cv2.LINE_AA, SHIFT)
    offset = np.array([-0.25, -0.35]) * item.radius_px * ONE
    lit = item.pixels + offset.astype(np.int32)
    cv2.polylines(image, [lit], closed, shaded(colour, 1.1), max(1, round(0.9 * item.radius_px)), cv2.LINE_AA, SHIFT)


def _paint_limb(image: Image, item: Item) -> None:
    colour = item.shape.colour
    for outline, factor in zip(_capsules(item), _LIMB_LIGHT, strict=True):
        cv2.fillConvexPoly(image, outline, shaded(colour, factor), cv2.LINE_AA, SHIFT)


def _capsules(item: Item) -> Ints:
    """Return outlines (3, 12, 2) of a tapered capsule: whole, and twice smaller and nearer the light."""
    p, q = item.pixels[0], item.pixels[1]
    dx, dy = float(q[0] - p[0]), float(q[1] - p[1])
    rp, rq = max(item.radius_px, 0.5) * ONE, max(item.radius2_px, 0.5) * ONE
    length = math.hypot(dx, dy)
    if length <= abs(rp - rq) + 1:  # seen along its axis: the larger end hides the other
        rp = rq = max(rp, rq)
    cosine, sine = (dx / length, dy / length) if length > 0 else (1.0, 0.0)
    caps = _CAPS @ np.array([[cosine, sine], [-sine, cosine]])
    radii = np.array([rq] * _CAP_POINTS + [rp] * _CAP_POINTS)[:, None]
    centres = np.concatenate([np.broadcast_to(q, (_CAP_POINTS, 2)), np.broadcast_to(p, (_CAP_POINTS, 2))])
    outlines = centres + radii * (caps * _LIMB_SHARE + _LIMB_TOWARD)
    points: Ints = np.rint(outlines).astype(np.int32)
    return points


def _paint_plate(image: Image, item: Item) -> None:
    cv2.fillConvexPoly(image, item.pixels, shaded(item.shape.colour, item.light), cv2.LINE_AA, SHIFT)


def _paint_ball(image: Image, item: Item) -> None:
    centre, radius, colour = item.pixels[0], item.radius_px, item.shape.colour
    _disc(image, centre, radius, shaded(colour, 0.75))
    if radius >= 2:
        toward = (np.array([-0.22, -0.28]) * radius * ONE).astype(np.int32)
        _disc(image, centre + toward, radius * 0.7, shaded(colour, 1.05))


def _disc(image: Image, centre: Ints, radius: float, colour: Colour) -> None:
    at = (int(centre[0]), int(centre[1]))
    cv2.circle(image, at, max(1, int(radius * ONE)), colour, -1, cv2.LINE_AA, SHIFT)


_PAINTERS = {
    SolidKind.TUBE: _paint_tube,
    SolidKind.LIMB: _paint_limb,
    SolidKind.PLATE: _paint_plate,
    SolidKind.BALL: _paint_ball,
}
