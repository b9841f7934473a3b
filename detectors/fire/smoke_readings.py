"""Smoke as a sensor measured it last, and whether it makes the next reading likely. Pure functions on small structs.

A single reading may be what a sensor says when it gets power, or the end of its scale: 100, 65.535, 25.5.
"""

from __future__ import annotations

import msgspec

from contracts.durations import HOUR_MS, MINUTE_MS

ELEVATED = 0.2
"""From this part of the limit on a reading is remembered: clean air is a tenth of it."""
RISES_PCT_M = 0.2
FULL_PCT_M = 100.0
"""The end of the scale in dense smoke. Repeated within minutes it is smoke; any other number that repeats is none."""
SOON_MS = 10 * MINUTE_MS
KEPT_MS = 2 * HOUR_MS


class SmokeReading(msgspec.Struct, frozen=True, array_like=True):
    """How much, and when."""

    at_ms: int
    pct_m: float


Recent = tuple[SmokeReading, ...]
"""At most two, the newest last; none after clean air."""


def remembered(recent: Recent, at_ms: int, pct_m: float, limit: float) -> Recent:
    """Return the readings with this one; the same again, or clean air, leaves what there is, or nothing."""
    if recent and at_ms <= recent[-1].at_ms:
        return recent
    return (*recent[-1:], SmokeReading(at_ms, pct_m)) if pct_m >= ELEVATED * limit else ()


def agrees(recent: Recent, at_ms: int, pct_m: float, limit: float) -> bool:
    """Return whether what was read before ``pct_m``, which is over the limit, was so too, or on its way there."""
    if not recent or not 0 < at_ms - recent[-1].at_ms <= KEPT_MS:
        return False
    last = recent[-1]
    if last.pct_m >= limit:
        return last.pct_m != pct_m or (pct_m >= FULL_PCT_M and at_ms - last.at_ms <= SOON_MS)
    return at_ms - last.at_ms <= SOON_MS and (len(recent) == 1 or last.pct_m - recent[0].pct_m >= RISES_PCT_M)
