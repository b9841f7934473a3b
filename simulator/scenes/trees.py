"""Trees in the foreground: leaf clusters that sway, drawn once for a row of wind positions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import cv2
import numpy as np

from simulator.scenes.painter import Image

POSITIONS = 24
_SHIFT = 4
_GREENS = ((45, 95, 60), (55, 120, 75), (40, 80, 50), (70, 140, 95), (60, 110, 100))


@dataclass(frozen=True)
class Tree:
    """A tree's part of the picture at ``left, top`` px: per wind position its pixels and where it is opaque."""

    left: int
    top: int
    pictures: tuple[Image, ...]
    masks: tuple[Image, ...]

    def cover(self, image: Image, wind: float) -> None:
        """Draw the tree over ``image``; ``wind`` runs from -1 to 1."""
        index = min(POSITIONS - 1, max(0, round((wind + 1) / 2 * (POSITIONS - 1))))
        height, width = self.masks[0].shape
        view = image[self.top : self.top + height, self.left : self.left + width]
        cv2.copyTo(self.pictures[index], self.masks[index], view)


@dataclass(frozen=True)
class _Leaf:
    x: float
    y: float
    radius: float
    turn: float
    give: float
    phase: float
    colour: tuple[int, int, int]


def grow(rng: Random, left: int, width: int, height: int, frame_height: int) -> Tree:
    """Return a crown whose lower edge is below the picture; ``width`` × ``height`` px, its left edge at ``left``."""
    leaves = sorted(
        (_leaf(rng, width, height) for _ in range(int(width * height / 26))), key=lambda leaf: sum(leaf.colour)
    )
    pictures, masks = [], []
    for index in range(POSITIONS):
        picture, mask = _draw(leaves, width, height, index / (POSITIONS - 1) * 2 - 1)
        pictures.append(picture)
        masks.append(mask)
    return Tree(left, frame_height - height, tuple(pictures), tuple(masks))


def _leaf(rng: Random, width: int, height: int) -> _Leaf:
    angle, far = rng.uniform(0, 2 * math.pi), math.sqrt(rng.random())
    far *= 0.8 + 0.15 * math.sin(5 * angle) + 0.08 * math.sin(11 * angle)
    x, y = width * (0.5 + 0.46 * far * math.cos(angle)), height * (0.62 + 0.55 * far * math.sin(angle))
    shade = rng.uniform(0.6, 1.0) + 0.35 * (1 - y / height)
    blue, green, red = (int(min(255, c * shade)) for c in rng.choice(_GREENS))
    give = 1.5 + 5.0 * (1 - y / height)
    return _Leaf(
        x, y, rng.uniform(2.0, 4.5), rng.uniform(0, 180), give, rng.uniform(0, 2 * math.pi), (blue, green, red)
    )


def _draw(leaves: list[_Leaf], width: int, height: int, wind: float) -> tuple[Image, Image]:
    picture, mask = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)
    one = 1 << _SHIFT
    for leaf in leaves:
        x = leaf.x + leaf.give * wind + 0.8 * math.sin(leaf.phase + 3 * wind)
        y = leaf.y + 0.6 * math.sin(leaf.phase + 4 * wind)
        centre, axes = (round(x * one), round(y * one)), (round(leaf.radius * one), round(leaf.radius * 0.55 * one))
        turn = leaf.turn + 12 * wind
        cv2.ellipse(picture, centre, axes, turn, 0, 360, leaf.colour, -1, cv2.LINE_8, _SHIFT)
        cv2.ellipse(mask, centre, axes, turn, 0, 360, 255, -1, cv2.LINE_8, _SHIFT)
    return picture, mask
