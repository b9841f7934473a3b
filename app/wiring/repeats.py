"""Which lines of a log are shown, and how often one was said meanwhile that was not. Time comes in as an argument.

What is away is tried again several times a second by every part that needs it. So one line is shown once a minute, and
lines that differ in numbers alone (a partition, a port, a pause) some ten times; the rest is counted, and the count is
shown with the next such line, or by itself once the minute is over.
"""

from __future__ import annotations

import re
from collections import OrderedDict

import msgspec

WINDOW_S = 60.0
ALIKE = 10
"""Lines of one shape that are shown in a window: a warning a partition would be one line 24 times."""
_MOST = 1_000  # lines remembered; the oldest are forgotten first
_NUMBER = re.compile(r"0x[0-9a-f]+|\d+")


class Repeated(msgspec.Struct, frozen=True):
    """A line that was said again ``times`` without being shown."""

    line: str
    times: int


class _Counted(msgspec.Struct):
    since_s: float
    line: str
    shown: int = 0
    hidden: int = 0


class Repeats:
    """Remembers what was said lately. Not thread-safe.

    >>> repeats = Repeats()
    >>> [repeats.take("Kafka is away", s) for s in (0.0, 1.0, 2.0, 61.0)]
    [0, None, None, 2]
    """

    def __init__(self) -> None:
        self._said: OrderedDict[str, _Counted] = OrderedDict()

    def take(self, line: str, now_s: float) -> int | None:
        """Return whether to show a line: None, or how often it was said unshown since it was shown last."""
        exact = self._window(line, line, now_s)
        alike = self._window("~" + _NUMBER.sub("#", line), line, now_s)
        if exact.shown or alike.shown >= ALIKE:
            (exact if exact.shown else alike).hidden += 1
            return None
        hidden, exact.hidden = exact.hidden, 0
        exact.shown += 1
        alike.shown += 1
        return hidden

    def over(self, now_s: float) -> list[Repeated]:
        """Return what was counted in windows that are over, each once."""
        told = []
        while self._said:
            key, first = next(iter(self._said.items()))
            if now_s - first.since_s < WINDOW_S:
                break
            del self._said[key]
            if first.hidden:
                told.append(Repeated(first.line, first.hidden))
        return told

    def _window(self, key: str, line: str, now_s: float) -> _Counted:
        """Return the open window of this key; a new one takes over what the one before has counted."""
        known = self._said.get(key)
        if known is not None and now_s - known.since_s < WINDOW_S:
            return known
        self._said.pop(key, None)
        opened = self._said[key] = _Counted(now_s, line, hidden=0 if known is None else known.hidden)
        while len(self._said) > _MOST:
            self._said.popitem(last=False)
        return opened
