"""Sites whose row does not fit a store now: their older row stands, and they are tried again from time to time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

RETRY_S = 60.0  # to make a row of 8 MiB in vain takes seconds


class WaitingRows:
    """Which sites wait, and why. ``monotonic_s`` only spaces the attempts; any row is right."""

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._not_before_s: dict[str, float] = {}
        self._why: dict[str, str] = {}

    def due(self, site_ids: Sequence[str]) -> list[str]:
        """Return those of ``site_ids`` whose row may be made now."""
        if not self._not_before_s:
            return list(site_ids)
        now_s = self._monotonic_s()
        return [site_id for site_id in site_ids if self._not_before_s.get(site_id, now_s) <= now_s]

    def refused(self, site_id: str, why: str) -> None:
        """Note that a row was too large."""
        self._not_before_s[site_id] = self._monotonic_s() + RETRY_S
        self._why[site_id] = why

    def made(self, site_id: str) -> None:
        """Note that a row was made; do nothing when the site did not wait."""
        if self._why.pop(site_id, None) is not None:
            del self._not_before_s[site_id]

    def why(self) -> str:
        """Return what waits and why, in a sentence; empty when nothing does."""
        return "; ".join(self._why[site_id] for site_id in sorted(self._why))
