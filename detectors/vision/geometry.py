"""What a person draws on a camera's picture: zones, lines, columns, storey edges, masks.

All coordinates are fractions of the picture, x to the right and y down from the top left corner, so that they hold
at any resolution.
"""

from __future__ import annotations

import enum

import msgspec
import numpy as np
import numpy.typing as npt

from contracts.errors import ConfigurationError
from contracts.events import Direction, ObjectLabel
from contracts.names import is_id

Point = tuple[float, float]
"""(x, y), fractions of the picture's width and height."""
Polygon = tuple[Point, ...]
"""At least three corners, in order; closed by itself."""

DEFAULT_STOREY_M = 3.0
STOREY_EDGES_NEEDED = 3  # a, b and c of the perspective of an upward camera


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


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A vertical strip of a facade, the flats one above the other, from ``left`` to ``right``."""

    column_id: str
    left: float
    right: float


class StoreyEdge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The picture's height ``y`` of the upper edge of storey ``floor`` (1 is the ground floor: its edge is floor 2's).

    ``height_m`` is the edge's height above the ground, when it is known better than floor × storey height.
    """

    floor: float
    y: float
    height_m: float | None = None


class Mask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the picture that is never shown or exported: windows and balconies (P8)."""

    polygon: Polygon


class CameraGeometry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything drawn on one camera's picture."""

    zones: tuple[Zone, ...] = ()
    lines: tuple[Line, ...] = ()
    columns: tuple[Column, ...] = ()
    storey_edges: tuple[StoreyEdge, ...] = ()
    storey_m: float = DEFAULT_STOREY_M
    masks: tuple[Mask, ...] = ()

    @property
    def calibrated(self) -> bool:
        """Whether three storey edges fix the perspective, so that metres and floors can be said."""
        return len(self.storey_edges) >= STOREY_EDGES_NEEDED


def height_m(edge: StoreyEdge, storey_m: float) -> float:
    """Height in metres of a storey's upper edge above the ground."""
    return edge.height_m if edge.height_m is not None else edge.floor * storey_m


def polygon_px(polygon: Polygon, width: int, height: int) -> npt.NDArray[np.int32]:
    """The polygon's corners in pixels, (N, 2) int32."""
    return np.rint(np.asarray(polygon, float) * (width, height)).astype(np.int32)


def check_geometry(geometry: CameraGeometry, where: str) -> list[str]:
    """What is wrong with what was drawn, one sentence each; empty when nothing is."""
    wrong = [
        *_check_ids(geometry, where),
        *(w for zone in geometry.zones for w in _check_polygon(zone.polygon, f"{where} zone {zone.place_id!r}")),
        *(w for mask in geometry.masks for w in _check_polygon(mask.polygon, f"{where} mask")),
        *(w for line in geometry.lines for w in _check_line(line, f"{where} line {line.place_id!r}")),
    ]
    for column in geometry.columns:
        if not 0 <= column.left < column.right <= 1:
            wrong.append(f"{where} column {column.column_id!r}: expected 0 ≤ left < right ≤ 1")
    return wrong + _check_storeys(geometry, where)


def require_geometry(geometry: CameraGeometry, where: str) -> CameraGeometry:
    """The geometry itself.

    Raises:
        ConfigurationError: naming everything that is wrong with it.
    """
    wrong = check_geometry(geometry, where)
    if wrong:
        raise ConfigurationError("; ".join(wrong))
    return geometry


def _check_ids(geometry: CameraGeometry, where: str) -> list[str]:
    ids = [zone.place_id for zone in geometry.zones] + [line.place_id for line in geometry.lines]
    ids += [column.column_id for column in geometry.columns]
    return [f"{where}: {name!r} is no id (small letters, digits, - and _, ≤ 40)" for name in ids if not is_id(name)]


def _in_picture(point: Point) -> bool:
    return 0 <= point[0] <= 1 and 0 <= point[1] <= 1


def _check_polygon(polygon: Polygon, where: str) -> list[str]:
    if len(polygon) < 3:
        return [f"{where}: a polygon needs at least 3 corners, this one has {len(polygon)}"]
    return [f"{where}: corner {p} lies outside the picture (0–1, fractions)" for p in polygon if not _in_picture(p)]


def _check_line(line: Line, where: str) -> list[str]:
    wrong = [f"{where}: point {p} lies outside the picture (0–1)" for p in (line.start, line.end) if not _in_picture(p)]
    if line.start == line.end:
        wrong.append(f"{where}: start and end are the same point")
    if line.in_is is Direction.UNKNOWN:
        wrong.append(f"{where}: in_is must be 'in' or 'out'")
    return wrong


def _check_storeys(geometry: CameraGeometry, where: str) -> list[str]:
    edges = sorted(geometry.storey_edges, key=lambda edge: edge.floor)
    wrong = []
    if edges and len(edges) < STOREY_EDGES_NEEDED:
        wrong.append(f"{where}: {len(edges)} storey edges given, at least {STOREY_EDGES_NEEDED} are needed (or none)")
    for lower, upper in zip(edges, edges[1:], strict=False):
        if upper.floor <= lower.floor or upper.y >= lower.y:
            wrong.append(
                f"{where}: storey {upper.floor} must lie above storey {lower.floor} in the picture (smaller y)"
            )
    if not 2 <= geometry.storey_m <= 10:
        wrong.append(f"{where}: storey_m = {geometry.storey_m}: expected 2–10 metres")
    return wrong
