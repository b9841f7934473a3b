"""Login throttling: after five failures a name, or an address after twenty, waits ever longer. Time comes in."""

from __future__ import annotations

from collections import OrderedDict

FREE_FAILURES = 5
_FIRST_WAIT_MS = 2_000
_LONGEST_WAIT_MS = 15 * 60_000
_FORGET_MS = 60 * 60_000
_MAX_KEYS = 10_000


class LoginThrottle:
    """Counts failures per key; bounded, the least recently failed key is forgotten first."""

    def __init__(self, free_failures: int = FREE_FAILURES) -> None:
        self._free = free_failures
        self._failures: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def wait_ms(self, key: str, now_ms: int) -> int:
        """Return how long ``key`` must still wait before its next try; 0 when it may try now."""
        count, last_ms = self._failures.get(key, (0, 0))
        if count < self._free or now_ms - last_ms > _FORGET_MS:
            return 0
        wait = min(_FIRST_WAIT_MS << min(count - self._free, 20), _LONGEST_WAIT_MS)
        return max(0, last_ms + wait - now_ms)

    def failed(self, key: str, now_ms: int) -> None:
        """Count a failure."""
        count, last_ms = self._failures.pop(key, (0, now_ms))
        self._failures[key] = (1 if now_ms - last_ms > _FORGET_MS else count + 1, now_ms)
        while len(self._failures) > _MAX_KEYS:
            self._failures.popitem(last=False)

    def succeeded(self, key: str) -> None:
        """Forget the key's failures."""
        self._failures.pop(key, None)
