"""The perspective of a facade: picture row ↔ height, from storey edges an operator clicked.

A camera that looks up sees a vertical wall as y = (a + b·h)/(1 + c·h): rows crowd together towards the top. Three
known heights give a, b and c; more are fitted in the least-squares sense.
"""

from __future__ import annotations

import itertools
from typing import TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from contracts.errors import ConfigurationError
from detectors.vision.geometry.facade import STOREY_EDGES_NEEDED, FacadeGeometry, StoreyEdge

Floats: TypeAlias = npt.NDArray[np.float64]

# Clicks further than this from the fitted wall, in parts of their span, are not three edges of one wall.
MAX_CLICK_ERROR_PART = 0.05


class Perspective(msgspec.Struct, frozen=True):
    """Row y (px, down) of height h (m, up): y = (a + b·h)/(1 + c·h)."""

    a: float
    b: float
    c: float

    def row_px(self, height_m: Floats) -> Floats:
        """Return rows (N,) of heights (N,) in metres above the ground."""
        return (self.a + self.b * height_m) / (1.0 + self.c * height_m)

    def height_m(self, row_px: Floats) -> Floats:
        """Return heights (N,) in metres above the ground of rows (N,); NaN at or above the vanishing point."""
        beyond = self.c * row_px - self.b
        with np.errstate(divide="ignore", invalid="ignore"):
            heights = (self.a - row_px) / beyond
        return np.where(beyond > 0, heights, np.nan)

    def px_per_m(self, height_m: Floats) -> Floats:
        """Return how many rows a metre takes at each height; positive."""
        return np.asarray(abs(self.b - self.a * self.c) / (1.0 + self.c * height_m) ** 2)


def calibrate(geometry: FacadeGeometry, height_px: int) -> Perspective | None:
    """Return the perspective of a stream ``height_px`` high; None when the camera is not calibrated.

    Raises:
        ConfigurationError: the edges contradict each other or are not one wall's.
    """
    if not geometry.storey_edges:
        return None
    if not geometry.calibrated:
        given = len(geometry.storey_edges)
        raise ConfigurationError(f"storey_edges: {given} given; click {STOREY_EDGES_NEEDED} or more, or leave them out")
    scale = height_px / geometry.height_px if geometry.height_px else 1.0
    edges = sorted(geometry.storey_edges, key=lambda edge: edge.floor)
    _check_order(edges)
    heights = np.array([(edge.floor - 1.0) * geometry.storey_height_m for edge in edges])
    rows = np.array([edge.y_px * scale for edge in edges])
    found = _solve(heights, rows)
    _check_fit(found, heights, rows)
    return found


def check_facade(geometry: FacadeGeometry, where: str) -> list[str]:
    """Return the faults of what a person clicked, one sentence each."""
    if not geometry.storey_edges and not geometry.columns:
        return []
    where = f"{where} facade"
    if geometry.width_px is None or geometry.height_px is None:
        return [f"{where}: width_px and height_px are missing: say the size of the picture that was clicked in"]
    wrong = [
        f"{where}: storey_edges: row {edge.y_px:g} lies outside a picture of {geometry.height_px} rows"
        for edge in geometry.storey_edges
        if not 0 <= edge.y_px <= geometry.height_px
    ]
    wrong += [
        f"{where}: column {one.place_id!r}: {one.x_from_px:g}–{one.x_to_px:g} px is no strip of a picture "
        f"{geometry.width_px} px wide"
        for one in geometry.columns
        if not 0 <= one.x_from_px < one.x_to_px <= geometry.width_px
    ]
    try:
        calibrate(geometry, geometry.height_px)
    except ConfigurationError as error:
        wrong.append(f"{where}: {error}")
    return wrong


def _check_order(edges: list[StoreyEdge]) -> None:
    for lower, upper in itertools.pairwise(edges):
        if upper.floor <= lower.floor or upper.y_px >= lower.y_px:
            raise ConfigurationError(
                f"storey_edges: floor {upper.floor:g} at row {upper.y_px:g} must lie above "
                f"floor {lower.floor:g} at row {lower.y_px:g}; rows count from the top"
            )


def _solve(heights_m: Floats, rows_px: Floats) -> Perspective:
    # y·(1 + c·h) = a + b·h is linear in a, b, c; heights and rows are scaled to about 1 so that it is well conditioned
    unit_m, unit_px = float(np.max(np.abs(heights_m))), float(np.max(np.abs(rows_px)))
    h, y = heights_m / unit_m, rows_px / unit_px
    columns = np.stack([np.ones_like(h), h, -h * y], axis=1)
    (a, b, c), *_ = np.linalg.lstsq(columns, y, rcond=None)
    return Perspective(float(a) * unit_px, float(b) * unit_px / unit_m, float(c) / unit_m)


def _check_fit(found: Perspective, heights_m: Floats, rows_px: Floats) -> None:
    depth = 1.0 + found.c * heights_m
    error_px = np.max(np.abs(found.row_px(heights_m) - rows_px)) if np.all(depth > 0) else np.inf
    allowed_px = MAX_CLICK_ERROR_PART * (rows_px.max() - rows_px.min())
    if not error_px <= allowed_px:
        raise ConfigurationError(
            f"storey_edges: no wall fits them (off by {error_px:.0f} px, {allowed_px:.0f} allowed); "
            "click edges of one vertical line and check the floor numbers"
        )
