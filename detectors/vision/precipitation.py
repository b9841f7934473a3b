"""Rain, snow and hail before the lens: drops fall, too, but never one alone.

A tiny thing on a smooth way down is a drop when at least two others, elsewhere in the picture, went smoothly down
within two seconds of it. So in rain no fall of that size is told; larger ones are.
"""

from __future__ import annotations

from collections import deque

from detectors.vision.merge import Span

NEAR_MS = 2_000
OTHERS = 2
# Apart in the picture's width: mirror image and fragments of one fall are nearer to it.
APART_PART = 0.06
# A drop of 3 mm a metre from the lens, smeared by its speed, is no larger than this part of the picture's height.
DROP_PART = 0.008
MAX_KEPT = 400


class Precipitation:
    """Remembers small things that went smoothly down. Sizes of the picture in px."""

    def __init__(self, width_px: int, height_px: int) -> None:
        self._apart_px, self._drop_px = APART_PART * width_px, DROP_PART * height_px
        self._seen: deque[Span] = deque(maxlen=MAX_KEPT)

    def note(self, span: Span, size_px: float) -> None:
        """A tracklet of a thing of ``size_px`` that went smoothly down, whatever else it is."""
        if size_px <= self._drop_px:
            self._seen.append(span)

    def is_one_of_many(self, span: Span, size_px: float) -> bool:
        """Whether the thing that made ``span`` is so small, and in such company, that it may be a drop."""
        if size_px > self._drop_px:
            return False
        columns = [_middle(span)]
        for other in self._seen:
            apart_ms = max(other.from_ms, span.from_ms) - min(other.to_ms, span.to_ms)
            if apart_ms <= NEAR_MS and all(abs(_middle(other) - x) > self._apart_px for x in columns):
                columns.append(_middle(other))
        return len(columns) > OTHERS


def _middle(span: Span) -> float:
    return (span.left_px + span.right_px) / 2
