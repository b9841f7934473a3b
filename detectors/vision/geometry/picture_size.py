"""Sizes of pictures: whether two show the same view, larger or smaller. Pure."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Size: TypeAlias = tuple[int, int]
"""Width and height, px."""

SAME_SHAPE_PART = 0.02
"""Encoders round sides up to their blocks: 1920×1088 and 640×362 are the same view as 1920×1080."""


def size_of(picture: npt.NDArray[np.generic]) -> Size:
    """Return the size of a picture (H, W) or (H, W, 3)."""
    return picture.shape[1], picture.shape[0]


def same_shape(one: Size, other: Size) -> bool:
    """Return whether width to height is the same; if not, a part was cut off or the picture was squeezed.

    >>> same_shape((1920, 1080), (640, 362)), same_shape((1920, 1080), (1280, 960))
    (True, False)
    """
    return abs(one[0] * other[1] / (one[1] * other[0]) - 1.0) <= SAME_SHAPE_PART
