"""Which silences a plan of faults and mutes must give: canaries that were muted while we listened, and nobody else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from contracts.findings import Finding, Phase
from tests.chaos.faults import DEAF
from tests.chaos.life import HEARTBEAT_S, SILENT_S, UNHEARD, Mute
from tests.chaos.runner import Happened

MARGIN_S = 3.0
"""What a connection and the first probe take before it is proven again that we listen."""
RULE = "device_silent"
TAIL_MS = 3_600_000
"""Devices that have said their last are silent after it. What is later yet was found under a clock put ahead."""


class Silences(msgspec.Struct, frozen=True):
    """``false``: silences of devices that spoke, or more than one of a mute; ``missed``: mutes that had to show."""

    expected: int
    found: int
    false: int
    missed: int
    open_to_both: int


def silences(
    found: Iterable[Finding],
    mutes: Sequence[Mute],
    happened: Sequence[Happened],
    spoken_ms: tuple[int, int],
    sites: Sequence[str],
) -> Silences:
    """Compare what was found, while devices spoke (from, to), with what faults and mutes predict.

    A muted canary must be found when we listened through enough of its silence at a stretch. When faults left no such
    stretch it may be, and is counted as open to both.
    """
    start_ms, end_ms = spoken_ms
    opens = [f for f in found if f.rule == RULE and f.phase is Phase.OPEN]
    opened = Counter((f.site_id, f.key) for f in opens if not end_ms < f.onset_ms < end_ms + TAIL_MS)
    deaf = [(_since_s(h.began_ms, start_ms), _since_s(h.ended_ms, start_ms)) for h in happened if h.kind in DEAF]
    may = {(mute.site_id, mute.device_id) for mute in mutes}
    must = {(m.site_id, m.device_id) for m in mutes if longest_heard_s(m, deaf) >= SILENT_S + HEARTBEAT_S + MARGIN_S}
    unheard = {(site_id, UNHEARD) for site_id in sites}
    false = sum(count - (1 if key in may | unheard else 0) for key, count in opened.items())
    return Silences(
        expected=len(must | unheard),
        found=sum(opened.values()),
        false=false,
        missed=len((must | unheard) - opened.keys()),
        open_to_both=len(may - must),
    )


def longest_heard_s(mute: Mute, deaf: Sequence[tuple[float, float]]) -> float:
    """The longest stretch of a mute in which nothing kept us from listening.

    >>> longest_heard_s(Mute("s", "c", 10.0, 50.0), [(0.0, 12.0), (20.0, 25.0)])
    25.0
    """
    longest, at_s = 0.0, mute.from_s
    for began_s, ended_s in sorted(deaf):
        if ended_s <= at_s or began_s >= mute.to_s:
            continue
        longest = max(longest, began_s - at_s)
        at_s = max(at_s, ended_s)
    return max(longest, mute.to_s - at_s)


def _since_s(at_ms: int, start_ms: int) -> float:
    return (at_ms - start_ms) / 1_000
