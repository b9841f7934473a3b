"""A meter's readings as five-minute blocks, each with its lowest minute: what is left when everything brief is gone.

Loads on one circuit add up, and what others switch on and off only adds. So the lowest minute of a block is the base
plus whatever runs all the time, which is where a charger shows. Readings may come every ten seconds, every five minutes
or on change: a reading holds until the next one, for at most ``MAX_HOLD_MS``.

Only aggregates are kept: 72 blocks of real and reactive power in whole watts, 288 bytes (no
waveform: docs/requirements.md#p13).
"""

from __future__ import annotations

import math
import struct

import msgspec

from contracts.durations import MINUTE_MS

BLOCK_MS = 300_000
KEPT_BLOCKS = 72  # six hours: enough to know what comes and goes on this circuit
MAX_HOLD_MS = 900_000  # meters that report on change speak at least every ten minutes
MIN_KNOWN_MS = 20_000  # less of a minute than this is not a minute
UNKNOWN = 0xFFFF
MAX_W = 65_000.0


class Curve(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One meter. Sums are of the running minute, in W·ms; ``low_*`` is the running block's lowest minute (-1: none).

    Reactive power is -1 where it was not measured. ``blocks`` are packed pairs, oldest first, ending at ``block_ms``.
    """

    last_ms: int
    last_w: float
    last_var: float
    minute_ms: int
    block_ms: int
    known_ms: int = 0
    sum_w: float = 0.0
    var_ms: int = 0
    sum_var: float = 0.0
    low_w: float = -1.0
    low_var: float = -1.0
    blocks: bytes = b""


class Block(msgspec.Struct, frozen=True, gc=False):
    """Five minutes that ended at ``end_ms``: the lowest minute in watts and var; None where it is not known."""

    end_ms: int
    power_w: float | None
    reactive_var: float | None


def reactive_var(power_w: float, power_factor: float | None, volts: float | None, amperes: float | None) -> float:
    """Return reactive (and distortion) power in var; -1 if neither power factor nor voltage and current are known."""
    if power_factor is None:
        if not volts or amperes is None:
            return -1.0
        return math.sqrt(max(0.0, (volts * amperes) ** 2 - power_w * power_w))
    factor = abs(power_factor)
    return power_w * math.sqrt(1.0 - factor * factor) / factor if factor > 0.05 else -1.0


def begin(at_ms: int, power_w: float, var: float) -> Curve:
    """Return a curve that starts with this reading."""
    return Curve(at_ms, power_w, var, at_ms // MINUTE_MS * MINUTE_MS, at_ms // BLOCK_MS * BLOCK_MS)


def advance(curve: Curve, at_ms: int, power_w: float, var: float) -> tuple[Curve, tuple[Block, ...]]:
    """Return the curve with one more reading, and the blocks it finished. A reading not later changes nothing."""
    gap_ms = at_ms - curve.last_ms
    if gap_ms <= 0:
        return curve, ()
    if at_ms < curve.minute_ms + MINUTE_MS:  # the usual case: the minute goes on
        measured = curve.last_var >= 0.0
        return Curve(
            at_ms,
            power_w,
            var,
            curve.minute_ms,
            curve.block_ms,
            curve.known_ms + gap_ms,
            curve.sum_w + curve.last_w * gap_ms,
            curve.var_ms + gap_ms if measured else curve.var_ms,
            curve.sum_var + curve.last_var * gap_ms if measured else curve.sum_var,
            curve.low_w,
            curve.low_var,
            curve.blocks,
        ), ()
    return _cross(curve, at_ms, power_w, var)


def unpacked(blocks: bytes) -> list[tuple[int, int]]:
    """Return the kept blocks as pairs of watts and var, oldest first; ``UNKNOWN`` where not known."""
    return list(struct.iter_unpack("<HH", blocks))


# --- crossing a minute ------------------------------------------------------------------------------------------------


def _cross(curve: Curve, at_ms: int, power_w: float, var: float) -> tuple[Curve, tuple[Block, ...]]:
    """Return the curve at a reading in a later minute: the running minute ends, and whole minutes lie in between."""
    if at_ms - curve.block_ms > BLOCK_MS * KEPT_BLOCKS:
        return begin(at_ms, power_w, var), ()  # nothing of what was known matters any more
    holds = at_ms - curve.last_ms <= MAX_HOLD_MS
    low_w, low_var = _minute(curve, holds=holds)
    held_w, held_var = (curve.last_w, curve.last_var) if holds else (-1.0, -1.0)
    ended_ms, block_ms = curve.minute_ms + MINUTE_MS, curve.block_ms
    minute_ms = at_ms - at_ms % MINUTE_MS
    finished: list[Block] = []
    while at_ms >= block_ms + BLOCK_MS:
        if ended_ms < block_ms + BLOCK_MS:  # at least one whole minute of it was held
            low_w, low_var = _lower(low_w, low_var, held_w, held_var)
        block_ms += BLOCK_MS
        finished.append(Block(block_ms, None if low_w < 0.0 else low_w, None if low_var < 0.0 else low_var))
        low_w = low_var = -1.0
        ended_ms = max(ended_ms, block_ms)
    if ended_ms < minute_ms:
        low_w, low_var = _lower(low_w, low_var, held_w, held_var)
    known_ms = at_ms - minute_ms if holds else 0
    var_ms = known_ms if held_var >= 0.0 else 0
    blocks = curve.blocks
    if finished:
        blocks = (blocks + b"".join([_packed(block) for block in finished]))[-4 * KEPT_BLOCKS :]
    after = Curve(
        at_ms,
        power_w,
        var,
        minute_ms,
        block_ms,
        known_ms,
        held_w * known_ms,
        var_ms,
        held_var * var_ms,
        low_w,
        low_var,
        blocks,
    )
    return after, tuple(finished)


def _minute(curve: Curve, *, holds: bool) -> tuple[float, float]:
    """Return the running block's lowest minute once the running one has ended, the last reading held to its end."""
    known_ms, sum_w, var_ms, sum_var = curve.known_ms, curve.sum_w, curve.var_ms, curve.sum_var
    if holds:
        rest_ms = curve.minute_ms + MINUTE_MS - curve.last_ms
        known_ms += rest_ms
        sum_w += curve.last_w * rest_ms
        if curve.last_var >= 0.0:
            var_ms += rest_ms
            sum_var += curve.last_var * rest_ms
    if known_ms < MIN_KNOWN_MS:
        return curve.low_w, curve.low_var
    minute_var = sum_var / var_ms if var_ms * 2 > known_ms else -1.0
    return _lower(curve.low_w, curve.low_var, sum_w / known_ms, minute_var)


def _lower(low_w: float, low_var: float, watts: float, var: float) -> tuple[float, float]:
    """Return the lower of two minutes; -1 watts is none."""
    if watts < 0.0 or 0.0 <= low_w <= watts:
        return low_w, low_var
    return watts, var


def _packed(block: Block) -> bytes:
    return struct.pack("<HH", _whole(block.power_w), _whole(block.reactive_var))


def _whole(value: float | None) -> int:
    return UNKNOWN if value is None else round(min(max(value, 0.0), MAX_W))
