"""Which lane a spool row takes, and what counts as stored (docs/protocol.md#box-spools). Pure."""

from __future__ import annotations

from contracts.durations import DAY_MS
from contracts.events import Lane

STORED_AFTER_MS = 10_000
DOUBTFUL_AFTER_MS = 30 * DAY_MS


def lane_of(at_ms: int, now_ms: int, *, life_safety: bool) -> Lane:
    """Return the lane of a row about to be sent for the first time.

    >>> lane_of(0, 20_000, life_safety=False).value, lane_of(0, 20_000, life_safety=True).value
    ('backlog', 'live')
    """
    return Lane.LIVE if life_safety or not is_stored(at_ms, now_ms) else Lane.BACKLOG


def is_stored(at_ms: int, now_ms: int) -> bool:
    """Return whether something that happened at ``at_ms`` and is sent now is marked ``stored``."""
    return now_ms - at_ms > STORED_AFTER_MS


def is_doubtful(at_ms: int, now_ms: int) -> bool:
    """Return whether a date is so old that the clock was rather wrong when it was written: in a start in 1970."""
    return now_ms - at_ms > DOUBTFUL_AFTER_MS


class RowTokenBucket:
    """A token bucket in rows: how many more rows of the backlog may go now.

    Args:
        rows_per_s: the rate; also the most it saves up (one second's worth, at least 1).
    """

    def __init__(self, rows_per_s: float) -> None:
        self._rate, self._saved, self._at_ms = rows_per_s, max(rows_per_s, 1.0), 0

    def allowance(self, now_ms: int) -> int:
        """Return rows that may go now. A clock that steps back only pauses the saving up."""
        gained = max(now_ms - self._at_ms, 0) / 1000.0 * self._rate
        self._saved, self._at_ms = min(self._saved + gained, max(self._rate, 1.0)), now_ms
        return int(self._saved)

    def spend(self, rows: int) -> None:
        """Say that ``rows`` went."""
        self._saved -= rows
