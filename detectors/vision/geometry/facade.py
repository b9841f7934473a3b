"""What an operator says about a facade: storey edges clicked in the picture, and the columns of flats.

A camera without storey edges is *uncalibrated*: falls are still found, but floors and heights are not known.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from contracts.names import Id

Pixel = Annotated[float, msgspec.Meta(ge=-20_000, le=20_000)]

STOREY_EDGES_NEEDED = 3
"""The perspective of a vertical line has three unknowns; so has the shape (a + b·s)/(1 − c·s)."""


class StoreyEdge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The lower edge (floor slab) of ``floor`` seen at picture row ``y_px``, 0 at the top. The ground is floor 1."""

    floor: Annotated[float, msgspec.Meta(ge=-10, le=200)]
    y_px: Pixel


class FacadeColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A vertical strip of flats: a place, and the picture columns it fills at the bottom of its walls."""

    place_id: Id
    x_from_px: Pixel
    x_to_px: Pixel


class FacadeGeometry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one camera sees one facade.

    ``storey_edges`` are three or more clicks; fewer means uncalibrated. All pixels are those of a picture of
    ``width_px`` × ``height_px`` (None: of the first picture); they hold at every size of the same shape.
    ``storey_height_m`` is the height of one storey.
    """

    storey_edges: tuple[StoreyEdge, ...] = ()
    storey_height_m: Annotated[float, msgspec.Meta(ge=2.0, le=8.0)] = 3.0
    columns: tuple[FacadeColumn, ...] = ()
    width_px: Annotated[int, msgspec.Meta(ge=16, le=16_384)] | None = None
    height_px: Annotated[int, msgspec.Meta(ge=16, le=16_384)] | None = None

    @property
    def calibrated(self) -> bool:
        """Whether heights are known."""
        return len(self.storey_edges) >= STOREY_EDGES_NEEDED
