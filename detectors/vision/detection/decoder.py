"""What a family of detection models is to the product: how a picture goes in, and how the outputs are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from detectors.vision.detection.detections import Detections, Floats, Image
from detectors.vision.detection.letterbox import Letterbox

Shape = tuple[int | None, ...]
"""Of a tensor. None: a dimension that the model leaves free."""


def fits(shape: Shape, expected: Sequence[int]) -> bool:
    """Return whether a tensor of the shape may be of the expected one.

    >>> fits((None, 3, 8, 8), (1, 3, 8, 8)), fits((1, 3, 8), (1, 3, 8, 8)), fits((1, 4), (1, 3))
    (True, False, False)
    """
    known = zip(shape, expected, strict=False)
    return len(shape) == len(expected) and all(size in (None, wanted) for size, wanted in known)


SCORE_SLACK = 1e-3


def check_scores(scores: Floats) -> None:
    """Raise unless all are finite and from 0 to 1.

    Raises:
        ValueError: with their range.
    """
    if not np.isfinite(scores).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(scores))} of {scores.size} scores are no finite numbers")
    least, most = float(scores.min()), float(scores.max())
    if least < -SCORE_SLACK or most > 1 + SCORE_SLACK:
        raise ValueError(f"scores from {least:.3g} to {most:.3g}: expected 0 to 1, so export it with its sigmoid")


class Decoder(Protocol):
    """One family: a module with these functions. ``detectors.vision.detection.families.DECODERS`` lists all."""

    def prepare(self, frame: Image, width: int, height: int) -> tuple[Floats, Letterbox]:
        """Return the input tensor, (1, 3, height, width), and how the picture was fitted."""
        ...

    def check_outputs(self, shapes: Sequence[Shape], width: int, height: int, *, classes: int) -> None:
        """Raise unless a model of this family, input and number of classes may have these outputs.

        Raises:
            ValueError: saying what was found and what was expected.
        """
        ...

    def check_values(self, outputs: Sequence[Floats], width: int, height: int, *, classes: int) -> None:
        """Raise unless the outputs for one picture can be what this family says: finite, and in its units.

        Shapes alone do not tell scores before the sigmoid, or boxes that are pixels already.

        Raises:
            ValueError: saying what was found and what was expected.
        """
        ...

    def decode(
        self,
        outputs: Sequence[Floats],
        width: int,
        height: int,
        fit: Letterbox,
        *,
        classes: int,
        min_score: float,
    ) -> Detections:
        """Return the objects scored at least ``min_score``: boxes in the picture, without duplicates, best first.

        Raises:
            ValueError: as :meth:`check_outputs`, for the tensors as they are.
        """
        ...
