"""For each decoder family a tensor made by hand, and what a family lacks when somebody has added only its decoder."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec
import numpy as np

from detectors.vision.detection.detections import Floats

SIZE = 64
CLASSES = 3
DOCS = "docs/edge.md"


class MadeByHand(msgspec.Struct, frozen=True):
    """Outputs of a model of 64×64 and three classes that sees one object, and that object."""

    outputs: list[Floats]
    class_id: int
    score: float
    xyxy: tuple[float, float, float, float]


def of_yolox() -> MadeByHand:
    """Stride 16, cell (2, 1): half a cell right and a quarter below its corner, 2 × 1.5 strides large."""
    output = np.zeros((1, 64 + 16 + 4, 5 + CLASSES), np.float32)
    output[0, 64 + 1 * 4 + 2] = [0.5, 0.25, np.log(2), np.log(1.5), 0.9, 0.1, 0.8, 0.3]
    return MadeByHand([output], 1, 0.72, (40 - 16, 20 - 12, 40 + 16, 20 + 12))


def of_distributions(levels: int) -> MadeByHand:
    """Stride 16, cell (2, 1): 1, 0.5, 1.5 and 1 strides from the cell's centre to the left, top, right and bottom."""
    cells = [(SIZE // (8 << level)) ** 2 for level in range(levels)]
    scores = [np.zeros((1, n, CLASSES), np.float32) for n in cells]
    sides = [np.zeros((1, n, 4 * 8), np.float32) for n in cells]
    scores[1][0, 1 * 4 + 2] = [0.1, 0.8, 0.3]
    bins = np.full((4, 8), -50, np.float32)
    bins[0, 1] = bins[1, 0] = bins[1, 1] = bins[2, 1] = bins[2, 2] = bins[3, 1] = 50
    sides[1][0, 1 * 4 + 2] = bins.reshape(-1)
    x, y = 2.5 * 16 - 0.5, 1.5 * 16 - 0.5
    return MadeByHand([*scores, *sides], 1, 0.8, (x - 16, y - 8, x + 24, y + 16))


MADE: Mapping[str, MadeByHand] = {
    "yolox": of_yolox(),
    "picodet": of_distributions(levels=4),
    "nanodet": of_distributions(levels=3),
}


def missing(families: Collection[str], made: Collection[str], docs: str) -> list[str]:
    """Return what a decoder family lacks besides its decoder, and what stands there for a family that is none."""
    lacking = [f"family {name} has no tensor made by hand in {__name__}.MADE" for name in families if name not in made]
    undocumented = [name for name in families if f"| `{name}` |" not in docs]
    lacking += [f"{DOCS} has no row `{name}` in its table of families" for name in undocumented]
    return lacking + [f"{name} is made by hand, but no decoder family" for name in made if name not in families]
