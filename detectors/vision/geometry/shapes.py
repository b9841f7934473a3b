"""What a person draws on a camera's picture: zones, lines and privacy masks (storeys and columns: ``facade``).

All coordinates are fractions of the picture, x to the right and y down from the top left corner, so that they hold
at any resolution.
"""

from __future__ import annotations

import enum

import msgspec
import numpy as np
import numpy.typing as npt

from contracts.events import Direction, ObjectLabel
from contracts.names import is_id

Point = tuple[float, float]
"""(x, y), fractions of the picture's width and height."""
Polygon = tuple[Point, ...]
"""At least three corners, in order; closed by itself."""


class Anchor(enum.StrEnum):
    """Which point of a box stands for the object: its foot, or its centre for cameras that look straight down."""

    FOOT = "foot"
    CENTRE = "centre"


class Zone(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A polygon of the picture that is a place. ``labels`` empty: every label of the model counts."""

    place_id: str
    polygon: Polygon
    labels: tuple[ObjectLabel, ...] = ()
    anchor: Anchor = Anchor.FOOT


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line across a door. Seen from ``start`` towards ``end``, ``in`` is crossing it from left to right.

    ``place_id`` is the door.
    """

    place_id: str
    start: Point
    end: Point
    in_is: Direction = Direction.IN  # "out": crossing from left to right leaves
    anchor: Anchor = Anchor.FOOT


class Mask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the picture that is never shown or exported: windows and balconies (docs/requirements.md#p8)."""

    polygon: Polygon


def polygon_px(polygon: Polygon, width: int, height: int) -> npt.NDArray[np.int32]:
    """Return the polygon's corners in pixels, (N, 2) int32."""
    return np.rint(np.asarray(polygon, float) * (width, height)).astype(np.int32)


def check_zone(zone: Zone, where: str) -> list[str]:
    """Return the faults of a zone, one sentence each."""
    return [*_check_id(zone.place_id, where), *_check_polygon(zone.polygon, f"{where} zone {zone.place_id!r}")]


def check_mask(mask: Mask, where: str) -> list[str]:
    """Return the faults of a privacy mask, one sentence each."""
    return _check_polygon(mask.polygon, f"{where} mask")


def check_line(line: Line, where: str) -> list[str]:
    """Return the faults of a line, one sentence each."""
    where = f"{where} line {line.place_id!r}"
    wrong = [f"{where}: point {p} lies outside the picture (0–1)" for p in (line.start, line.end) if not _in_picture(p)]
    if line.start == line.end:
        wrong.append(f"{where}: start and end are the same point")
    if line.in_is is Direction.UNKNOWN:
        wrong.append(f"{where}: in_is must be 'in' or 'out'")
    return [*_check_id(line.place_id, where), *wrong]


def _check_id(name: str, where: str) -> list[str]:
    return [] if is_id(name) else [f"{where}: place_id {name!r} is no id (small letters, digits, - and _, ≤ 40)"]


def _in_picture(point: Point) -> bool:
    return 0 <= point[0] <= 1 and 0 <= point[1] <= 1


def _check_polygon(polygon: Polygon, where: str) -> list[str]:
    if len(polygon) < 3:
        return [f"{where}: a polygon needs at least 3 corners, this one has {len(polygon)}"]
    return [f"{where}: corner {p} lies outside the picture (0–1, fractions)" for p in polygon if not _in_picture(p)]
