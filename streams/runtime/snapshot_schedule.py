"""Which sites' rows are saved when: each changed one in its turn, and every one within the hour.

See docs/protocol.md#snapshots.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence

SNAPSHOT_EVERY_S = 10.0  # each changed site: a smaller number costs more rows, a larger one more reading
REFRESH_S = 1800.0  # every site at least hourly: a row is old after half of it, its turn comes within the rest


class SnapshotSchedule:
    """Remembers when each site's row was last taken. ``monotonic_s`` only spaces rows; any row is right."""

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._last_s = monotonic_s()
        self._taken_s: dict[str, float] = {}

    def since_s(self) -> float:
        """Return seconds since the last turn."""
        return self._monotonic_s() - self._last_s

    def take(self, changed: Sequence[str], site_ids: Sequence[str]) -> list[str]:
        """Return the sites of this turn: ``changed``, and some of ``site_ids`` (oldest rows first) whose row is old."""
        now_s = self._monotonic_s()
        turn_s = max(now_s - self._last_s, SNAPSHOT_EVERY_S)
        old = old_rows(site_ids, self._taken_s, now_s=now_s, turn_s=turn_s)
        sites = list(dict.fromkeys([*changed, *old]))
        self._last_s = now_s
        self._taken_s |= dict.fromkeys(sites, now_s)
        return sites


def old_rows(site_ids: Sequence[str], kept_s: Mapping[str, float], *, now_s: float, turn_s: float) -> list[str]:
    """Return sites whose row is due although nothing changed: else a quiet site's row falls behind the log's retention.

    Args:
        site_ids: the ones with the oldest rows first.
        kept_s: when this process kept each one's row; what an earlier process kept counts as old.
        now_s: on the same clock.
        turn_s: since the last turn. So many are taken that all sites have had theirs within half an hour.

    >>> old_rows(["a", "b", "c"], {"b": 0.0, "c": 900.0}, now_s=1800.0, turn_s=900.0)
    ['a', 'b']
    >>> old_rows(["a", "b", "c"], {}, now_s=10.0, turn_s=10.0)
    ['a']
    """
    most = math.ceil(len(site_ids) * min(turn_s / REFRESH_S, 1.0))
    old = (site_id for site_id in site_ids if now_s - kept_s.get(site_id, -math.inf) >= REFRESH_S)
    return list(itertools.islice(old, most))
