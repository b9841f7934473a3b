"""The shape of an e-bike charger in a circuit's blocks: step, flat plateau, falling tail.

Source of powers and times: docs/standards.md#charger-signature.

A charge is *found* when the circuit's floor has risen by a charger's power in one step and has stayed flat for
``plateau_ms``; from then on it is *followed* block by block until it falls to nothing. Blocks in which something else
runs as well lie above the plateau and are passed over ("covered").

What comes and goes at the same height by itself (a fridge, a thermostat) is *recurring*: it is found only when it stays
1.5 times as long as it ever did, and the caller may not suspect it unless that other load is seen on top of it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Sequence

import msgspec

from contracts.durations import HOUR_MS
from contracts.rules import Threshold
from detectors.charging.load_curve import BLOCK_MS, UNKNOWN, Block
from detectors.core.site_view import SiteView

RULE = "indoor_ebike_charging"
"""Whose thresholds these are."""

MIN_W = Threshold(RULE, "min_w", 80.0, 20, 2_000, "W", "the lowest plateau: a charger of 36 V lead-acid")
MAX_W = Threshold(
    RULE, "max_w", 450.0, 80, 5_000, "W", "the highest plateau: 72 V 32 Ah; above are cookers and air conditioners"
)
VARIATION = Threshold(
    RULE,
    "variation",
    0.05,
    0.005,
    0.5,
    "σ/μ",
    "the most a plateau varies: constant current into a rising voltage climbs up to 15 %, whose σ is 4.3 % of its mean",
)
PLATEAU_LENGTH = Threshold(
    RULE,
    "plateau_ms",
    2_700_000,
    600_000,
    14_400_000,
    "ms",
    "how long it stays flat: longer than a fridge's run, and two thirds of the shortest charge",
)
BASES_MS = (HOUR_MS, 10_800_000)  # the base is the lowest before: within an hour any cycling load has paused
MIN_BEFORE = 3  # blocks
STEP_SHARE = 0.75  # of MIN_W: a smaller rise in one block is no charger's
ONE_STEP = (0.75, 1.35)  # the step by the plateau: it rose at once, and not in small steps or from above
COVER_RATIO, COVER_W = 0.12, 12.0  # above the lowest by this much, something else runs too
MIN_SEEN_MS = 1_500_000  # of the plateau must be seen uncovered
SEEN_SHARE = 0.35  # … and so much of its time
PLATEAU_RATIO = 0.88  # below this share of the plateau it falls
LOW_RATIO, LOW_W = 0.2, 20.0  # below either it is over: floating chargers draw 3–15 W
TAPER_LENGTH = Threshold(
    RULE,
    "taper_ms",
    1_200_000,
    300_000,
    7_200_000,
    "ms",
    "how long it falls at the end: shorter is a switch, not a charge",
)
TAPER_TO = 0.5  # a tail has at least halved
STEEP_DROP = 0.4  # of the plateau in one block: switched off, not tapering
SMALL_DROP, RISE = 0.015, 0.08  # of the plateau: a block's noise, and more than it
MIN_DROPS, DROP_SHARE = 3, 0.6  # a tail sinks in most of its blocks; a computer sinks in steps
FLAT_BLOCKS = 4  # level for 20 min while low: not the same fall any more
SINKS = 0.98  # last third by first third: a charger's plateau climbs, a motor warming up sinks by 5–20 %
END_MS = 600_000  # low for ten minutes: over
LOST_MS = HOUR_MS  # an hour without readings: nothing can be said any more
COVERED_MS = 10_800_000  # three hours under something else: the same
RESUME_MS = 2_700_000  # back at the plateau for 45 min after a dip: it was no tail (a fridge's run is shorter)
MAX_CHARGE_MS = 50_400_000  # 14 h: a charge takes 2–12 h
LOOK_BACK = 3  # blocks
SAME_START_MS = 600_000  # a step may be dated a block earlier or later
SWITCHED = 0.15  # a drop this close to a load's height is that load being switched off
SIMILAR = (0.8, 1.25)  # the heights of one appliance's runs
RECURS, STAY_LONGER = 2, 1.5


class Limits(msgspec.Struct, frozen=True):
    """The thresholds a site may replace."""

    min_w: float
    max_w: float
    variation: float
    plateau_ms: float
    taper_ms: float


class Charge(msgspec.Struct, frozen=True, array_like=True):
    """A charger-shaped load being followed. Ratios are of the plateau; times are ms; ``power_factor`` -1: not measured.

    ``known_before_ms``: how much of the circuit was known before its start. ``seen_ratio``/``seen_ms``: its newest
    block that nothing covered. ``fall_ms``: when it began to fall (0: has not), in how many blocks and
    drops, and how many level ones just now. ``steep``: it fell as if switched off.
    """

    start_ms: int
    end_ms: int
    base_w: float
    level_w: float
    variation: float
    power_factor: float
    known_before_ms: int
    recurring: bool
    energy_kwh: float
    seen_ratio: float = 1.0
    seen_ms: int = 0
    fall_ms: int = 0
    drops: int = 0
    fall_blocks: int = 0
    flat_blocks: int = 0
    steep: bool = False
    tapered_ms: int = 0
    low_ms: int = 0
    covered_ms: int = 0
    lost_ms: int = 0
    over: str = ""

    @property
    def length_ms(self) -> int:
        """How long it has lasted."""
        return self.end_ms - self.start_ms


def limits_of(site: SiteView) -> Limits:
    """Return the thresholds in force at a site."""
    return Limits(
        site.threshold(MIN_W),
        site.threshold(MAX_W),
        site.threshold(VARIATION),
        site.threshold(PLATEAU_LENGTH),
        site.threshold(TAPER_LENGTH),
    )


# --- finding ----------------------------------------------------------------------------------------------------------


def find_charge(
    pairs: Sequence[tuple[int, int]],
    end_ms: int,
    limits: Limits,
    *,
    done: Collection[int] = (),
    levels_w: Collection[float] = (),
) -> Charge | None:
    """Return the newest charge whose plateau is long enough at the end of these blocks, or None.

    Args:
        pairs: watts and var of consecutive blocks, oldest first.
        end_ms: when the last of them ended.
        limits: the thresholds in force.
        done: starts (ms) of what has been followed to its end; nothing that began about then is given.
        levels_w: plateaus of what is being followed; nothing of about that height is given.
    """
    need = math.ceil(limits.plateau_ms / BLOCK_MS)
    lowest_w = UNKNOWN
    thorough = end_ms // BLOCK_MS % LOOK_BACK == 0  # older steps, covered so far, need no look at every block
    for start in range(len(pairs) - 1, 2, -1):
        lowest_w = min(lowest_w, pairs[start][0])
        if lowest_w < limits.min_w:
            return None  # whatever ran before has ended since
        rise_w = pairs[start][0] - min(pairs[start - 1][0], pairs[start - 2][0])
        age = len(pairs) - start
        if rise_w < STEP_SHARE * limits.min_w or age < need or (age > need + 1 and not thorough):
            continue
        start_ms = end_ms - (len(pairs) - start) * BLOCK_MS
        if any(abs(start_ms - other_ms) <= SAME_START_MS for other_ms in done):
            continue
        charge = _from_step(pairs, start, lowest_w, end_ms, limits, levels_w)
        if charge is not None:
            return charge
    return None


def _steps_w(pairs: Sequence[tuple[int, int]], start: int) -> tuple[float, ...]:
    """Return how far the circuit rose into block ``start`` and stayed for the next, if that may be a charger's step.

    From the block before, and from the one before that: with slow readings a step lies across two blocks.
    """
    after = [watts for watts, _ in pairs[start : start + 2]]
    before = [watts for watts, _ in pairs[start - 2 : start] if watts != UNKNOWN]
    if UNKNOWN in after:
        return ()
    return tuple(min(after) - watts for watts in before)


def _from_step(
    pairs: Sequence[tuple[int, int]],
    start: int,
    lowest_w: int,
    end_ms: int,
    limits: Limits,
    levels_w: Collection[float],
) -> Charge | None:
    """Return the charge begun with the step into ``start``, judged from the base of the last hour or the last three.

    What ran before it may have been switched off since, or may still run: the step's own height tells which base it is.
    """
    steps_w = _steps_w(pairs, start)
    for base_ms in BASES_MS:
        before = [pair for pair in pairs[max(0, start - base_ms // BLOCK_MS) : start] if pair[0] != UNKNOWN]
        if len(before) < MIN_BEFORE:
            continue
        base = min(before)
        least_w = lowest_w - base[0]  # the plateau's mean lies at most a cover above it
        if least_w < limits.min_w / (1 + COVER_RATIO) - COVER_W or least_w > limits.max_w:
            continue
        if any(SIMILAR[0] <= least_w / level_w <= SIMILAR[1] for level_w in levels_w):
            continue
        if not any(
            ONE_STEP[0] * least_w <= step_w <= ONE_STEP[1] * (least_w + COVER_W) * (1 + COVER_RATIO)
            for step_w in steps_w
        ):
            continue
        charge = _judged(pairs, start, steps_w, base, end_ms, limits)
        if charge is not None:
            return charge
    return None


def _judged(
    pairs: Sequence[tuple[int, int]],
    start: int,
    steps_w: Sequence[float],
    base: tuple[int, int],
    end_ms: int,
    limits: Limits,
) -> Charge | None:
    run = [pair for pair in pairs[start:] if pair[0] != UNKNOWN]
    lowest_w = min(watts for watts, _ in run)
    ceiling_w = lowest_w + max(COVER_W, COVER_RATIO * (lowest_w - base[0]))
    seen = [pair for pair in run if pair[0] <= ceiling_w]
    newest = max(n for n, pair in enumerate(pairs) if n >= start and pair[0] <= ceiling_w)
    length_ms = (newest + 1 - start) * BLOCK_MS  # as far as it has been seen
    if len(seen) * BLOCK_MS < MIN_SEEN_MS or len(seen) < SEEN_SHARE * len(run) or length_ms < limits.plateau_ms:
        return None
    level_w = statistics.fmean(watts for watts, _ in seen) - base[0]
    at_once = any(ONE_STEP[0] <= step_w / level_w <= ONE_STEP[1] for step_w in steps_w) if level_w > 0 else False
    if not at_once or not limits.min_w <= level_w <= limits.max_w:
        return None
    watts_seen = [watts - base[0] for watts, _ in seen]
    variation = statistics.pstdev(watts_seen) / level_w
    if variation >= limits.variation or _sinks(watts_seen):
        return None
    runs = _similar_runs(pairs[:start], base[0], level_w)
    if runs and length_ms < STAY_LONGER * max(runs) * BLOCK_MS:
        return None
    humps = any(SIMILAR[0] <= (watts - lowest_w) / level_w <= SIMILAR[1] for watts, _ in run[2:])
    return Charge(
        start_ms=end_ms - (len(pairs) - start) * BLOCK_MS,
        end_ms=end_ms,
        base_w=base[0],
        level_w=level_w,
        variation=variation,
        power_factor=_power_factor(seen, base, level_w),
        known_before_ms=sum(pair[0] != UNKNOWN for pair in pairs[:start]) * BLOCK_MS,
        recurring=len(runs) >= RECURS and not humps,
        energy_kwh=level_w * length_ms / 3.6e9,
        seen_ms=end_ms,
    )


def _sinks(watts_seen: Sequence[float]) -> bool:
    third = max(1, len(watts_seen) // 3)
    return statistics.fmean(watts_seen[-third:]) < SINKS * statistics.fmean(watts_seen[:third])


def _similar_runs(pairs: Sequence[tuple[int, int]], base_w: float, level_w: float) -> list[int]:
    """Return lengths, in blocks, of earlier runs of the same height that have ended."""
    runs, length = [], 0
    for watts, _ in pairs:
        if watts != UNKNOWN and SIMILAR[0] <= (watts - base_w) / level_w <= SIMILAR[1]:
            length += 1
        elif length:
            runs.append(length)
            length = 0
    return [*runs, length] if length else runs


def _power_factor(seen: Sequence[tuple[int, int]], base: tuple[int, int], level_w: float) -> float:
    """Return the load's own power factor, the base's reactive power taken off; -1 when too little was measured."""
    measured = [var for _, var in seen if var != UNKNOWN]
    if len(measured) * 2 < len(seen):
        return -1.0
    base_var = 0 if base[1] == UNKNOWN else base[1]
    return level_w / math.hypot(level_w, max(0.0, statistics.fmean(measured) - base_var))


def is_like(charge: Charge, other: Charge) -> bool:
    """Return whether both are one load, dated or based differently."""
    return SIMILAR[0] <= charge.level_w / other.level_w <= SIMILAR[1]


def without(charge: Charge, other: Charge, drop_w: float) -> Charge:
    """Return ``charge`` after a fall by ``drop_w``, when that was ``other`` in its base being switched off."""
    others = abs(drop_w - other.level_w) <= SWITCHED * other.level_w
    own = abs(drop_w - charge.level_w) <= SWITCHED * charge.level_w
    if not others or own or other.start_ms >= charge.start_ms or charge.base_w < other.level_w:
        return charge
    return msgspec.structs.replace(charge, base_w=charge.base_w - other.level_w)


# --- following --------------------------------------------------------------------------------------------------------


def follow(charge: Charge, block: Block, limits: Limits) -> Charge:
    """Return the charge one block later. ``over`` is set when it has ended or nothing more can be said."""
    charge = msgspec.structs.replace(charge, end_ms=block.end_ms)
    if charge.length_ms > MAX_CHARGE_MS:
        return msgspec.structs.replace(charge, over="too_long")
    if block.power_w is None:
        lost_ms = charge.lost_ms + BLOCK_MS
        return msgspec.structs.replace(charge, lost_ms=lost_ms, over="no_samples" if lost_ms >= LOST_MS else "")
    ratio = (block.power_w - charge.base_w) / charge.level_w
    charge = msgspec.structs.replace(charge, lost_ms=0)
    if _is_covered(charge, ratio):
        resumed = charge.covered_ms >= RESUME_MS and charge.fall_ms and not charge.tapered_ms
        if not (resumed and PLATEAU_RATIO <= ratio <= 1.0 + COVER_RATIO):
            return _covered(charge)
    drawn_w = max(0.0, ratio) * charge.level_w
    charge = msgspec.structs.replace(charge, covered_ms=0, energy_kwh=charge.energy_kwh + drawn_w * BLOCK_MS / 3.6e9)
    if ratio >= PLATEAU_RATIO:
        return _on_plateau(charge, block)
    return _falling(charge, block, ratio, limits)


def _is_covered(charge: Charge, ratio: float) -> bool:
    """Return whether it is higher than it can be by itself: over the plateau, or, once it falls, rising again."""
    return ratio > 1.0 + COVER_RATIO or (charge.fall_ms > 0 and ratio > charge.seen_ratio + RISE)


def _covered(charge: Charge) -> Charge:
    covered_ms = charge.covered_ms + BLOCK_MS
    drawn_w = min(1.0, charge.seen_ratio) * charge.level_w
    energy_kwh = charge.energy_kwh + drawn_w * BLOCK_MS / 3.6e9
    over = "too_long" if covered_ms >= COVERED_MS else ""
    return msgspec.structs.replace(charge, covered_ms=covered_ms, energy_kwh=energy_kwh, low_ms=0, over=over)


def _on_plateau(charge: Charge, block: Block) -> Charge:
    """Return the charge on its plateau, which may climb: constant current into a rising voltage."""
    assert block.power_w is not None
    level_w = charge.level_w + 0.1 * (block.power_w - charge.base_w - charge.level_w)
    return msgspec.structs.replace(
        charge,
        level_w=level_w,
        seen_ratio=1.0,
        seen_ms=block.end_ms,
        fall_ms=0,
        drops=0,
        fall_blocks=0,
        flat_blocks=0,
        steep=False,
        low_ms=0,
    )


def _falling(charge: Charge, block: Block, ratio: float, limits: Limits) -> Charge:
    """Judge below the plateau: a tail counts when it sinks in several visible drops, none of them a switch."""
    drop = charge.seen_ratio - ratio
    elapsed = max(1, (block.end_ms - charge.seen_ms) // BLOCK_MS)
    flat_blocks = 0 if drop >= SMALL_DROP else charge.flat_blocks + 1
    if elapsed * BLOCK_MS > RESUME_MS or flat_blocks >= FLAT_BLOCKS:
        # What happened under a cover is not known, and what is level again does not sink: the fall begins anew.
        charge = msgspec.structs.replace(charge, fall_ms=block.end_ms, drops=0, fall_blocks=0)
        drop = flat_blocks = 0
    low = ratio <= LOW_RATIO or ratio * charge.level_w <= LOW_W
    low_ms = charge.low_ms + BLOCK_MS if low else 0
    after = msgspec.structs.replace(
        charge,
        seen_ratio=ratio,
        seen_ms=block.end_ms,
        fall_ms=charge.fall_ms or charge.seen_ms,
        drops=charge.drops + (SMALL_DROP <= drop <= STEEP_DROP),
        fall_blocks=charge.fall_blocks + 1,
        flat_blocks=flat_blocks,
        steep=charge.steep or (drop > STEEP_DROP and elapsed <= 2),
        low_ms=low_ms,
        over="power_off" if low_ms >= END_MS else "",
    )
    return after if after.tapered_ms or not _is_tail(after, limits) else _with_tail(after)


def _is_tail(charge: Charge, limits: Limits) -> bool:
    long_enough = charge.end_ms - charge.fall_ms >= limits.taper_ms and charge.seen_ratio <= TAPER_TO
    visible = charge.drops >= max(MIN_DROPS, DROP_SHARE * charge.fall_blocks)
    return long_enough and visible and not charge.steep


def _with_tail(charge: Charge) -> Charge:
    return msgspec.structs.replace(charge, tapered_ms=charge.end_ms - charge.fall_ms)
