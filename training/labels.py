"""What the demo model names, and how large its input is."""

from __future__ import annotations

from contracts.events import ObjectLabel

LABELS: tuple[ObjectLabel, ...] = (
    ObjectLabel.PERSON,
    ObjectLabel.E_BIKE,
    ObjectLabel.BICYCLE,
    ObjectLabel.WHEELCHAIR,
    ObjectLabel.PRAM,
    ObjectLabel.TOY_VEHICLE,
)
"""In order of class number."""

WIDTH, HEIGHT = 320, 192
"""The model's input, px."""

STRIDES = (8, 16, 32)
PAD = 114
UNSEEN_SEED = 1_000_000
"""Training takes seeds below this, evaluation from it on."""
