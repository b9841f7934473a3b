"""One speaker's clock, as far as its messages tell: its skew, whether it is right now, and why it cannot be used. Pure.

The skew is the least of ``received − claimed`` over an epoch of at least a minute and eight events, but for one
outlier: delays on the way only add to it. An epoch in which most lags differ from the one before is no clock but a
device that sends what it had kept, and measures nothing.
"""

from __future__ import annotations

import enum

import msgspec

from contracts.durations import DAY_MS

SHIFT_ABOVE_MS = 250
FUTURE_MS = 2_000
LIVE_MS = 10_000
"""What is sent later than this must be marked ``stored``; a live message that claims to be older is doubted."""
TOO_OLD_MS = 30 * DAY_MS
EPOCH_MS = 60_000
EPOCH_EVENTS = 8
FAULT_TOLD_MS = 60_000
"""So long a clock is called wrong after a stored alarm without a time, whatever its live messages tell: people look
every few seconds."""
STEADY_MS = 5_000
"""Lags of one wrong clock differ by no more; two of them must be this far apart in time to say so."""
_NEVER = 2**62


class Age(enum.Enum):
    """What a live message that claims to be old is taken for."""

    CLOCK = "clock"  # the clock is wrong: it happened now
    KEPT = "kept"  # the device had kept it, and did not say so
    UNCLEAR = "unclear"  # the first such word of a clock that was right: either may be


class SourceClock(msgspec.Struct):
    """One clock. ``right``: its last word, or an earlier run of ingest, showed that it can be relied on.

    ``live_lag_ms`` is by how much its last live message seemed late: the age of a stored one counts from there.
    """

    skew_ms: int = 0
    measured_ms: int = 0
    right: bool = False
    fault: str = ""
    fault_ms: int = 0
    live_lag_ms: int | None = None
    _began_ms: int = 0
    _events: int = 0
    _steady: int = 0
    _last_ms: int = 0
    _least_ms: int = _NEVER
    _second_ms: int = _NEVER
    _off_lag_ms: int | None = None
    _off_ms: int = 0
    _keeps: bool = False
    _told_until_ms: int = 0

    def observe(self, lag_ms: int, received_ms: int) -> None:
        """Measure by one live message that nothing on the way delayed but the network."""
        if self._events == 0:
            self._began_ms, self._last_ms = received_ms, lag_ms
        self._events += 1
        self._steady += abs(lag_ms - self._last_ms) <= LIVE_MS
        self._last_ms = lag_ms
        if lag_ms < self._least_ms:
            self._least_ms, self._second_ms = lag_ms, self._least_ms
        elif lag_ms < self._second_ms:
            self._second_ms = lag_ms
        if self._events >= EPOCH_EVENTS and received_ms - self._began_ms >= EPOCH_MS:
            if 2 * self._steady > self._events:
                self.skew_ms, self.measured_ms = self._second_ms, received_ms
            self._events = self._steady = 0
            self._least_ms = self._second_ms = _NEVER

    def shift_ms(self) -> int:
        """Return what is added to its times."""
        return self.skew_ms if abs(self.skew_ms) > SHIFT_ABOVE_MS else 0

    def age_ms(self, lag_ms: int) -> int:
        """Return how old a message is by this clock; forgets a skew when the clock was plainly put right since."""
        shift_ms = self.shift_ms()
        if shift_ms and is_live(lag_ms) and not is_live(lag_ms - shift_ms):
            self.skew_ms = shift_ms = 0
        return lag_ms - shift_ms

    def shift(self, by_ms: int) -> None:
        """Take that received times move by ``by_ms`` from now on."""
        self.skew_ms += by_ms if self.measured_ms else 0
        self._events = self._steady = 0
        self._least_ms = self._second_ms = _NEVER
        self._off_lag_ms = None
        if self.live_lag_ms is not None:
            self.live_lag_ms += by_ms

    def told_right(self) -> None:
        """Note that its last live message told a time that can be."""
        self.right, self._off_lag_ms, self._keeps = True, None, False

    def judge(self, lag_ms: int, received_ms: int) -> Age:
        """Return what a live message is whose clock claims that it is old, by those before it.

        A wrong clock is behind by the same each time. What a device kept comes faster than it happened, or back and
        forth.
        """
        if self._off_lag_ms is None:
            self._off_lag_ms, self._off_ms = lag_ms, received_ms
        elif abs(lag_ms - self._off_lag_ms) > STEADY_MS:
            self._keeps = True
            self._off_lag_ms, self._off_ms = lag_ms, received_ms
        elif received_ms - self._off_ms >= STEADY_MS:
            self._keeps = self.right = False
        if self._keeps:
            return Age.KEPT
        return Age.UNCLEAR if self.right else Age.CLOCK

    def mended(self, received_ms: int) -> bool:
        """Note that a live message told a time that can be; whether that ends a fault.

        It says nothing of a stored alarm before it.
        """
        if not self.fault or 0 < self._told_until_ms - received_ms <= FAULT_TOLD_MS:
            return False
        self.fault = ""
        return True

    def failed(self, claimed: int | None, received_ms: int, *, stored: bool = False) -> None:
        """Note that a live message told no time that can be, or a ``stored`` alarm."""
        if stored:
            self._told_until_ms = received_ms + FAULT_TOLD_MS
        if not self.fault:
            self.fault_ms = received_ms
        self.fault = fault_of(claimed, received_ms)
        self.right = False


def is_live(age_ms: int) -> bool:
    """Return whether a message of this age may be a live one.

    >>> is_live(-2_000), is_live(10_000), is_live(10_001)
    (True, True, False)
    """
    return -FUTURE_MS <= age_ms <= LIVE_MS


_UNITS = ((1_000, "seconds"), (1 / 1_000, "microseconds"), (1 / 1_000_000, "nanoseconds"))
_NEVER_SET_MS = 20 * 365 * DAY_MS  # up to 1990: a clock that counts from its own start


def fault_of(claimed: int | None, received_ms: int) -> str:
    """Return why a time cannot be used, with the unit that was probably meant. Codes and numbers, no text of a device.

    >>> fault_of(1_790_000_000, 1_790_000_000_000)
    'at_ms 1790000000: seconds instead of milliseconds?'
    >>> fault_of(11_000, 1_790_000_000_000)
    'at_ms 11000: never set since it started (1970)?'
    """
    if claimed is None:
        return "at_ms cannot be read"
    for factor, unit in _UNITS:
        if abs(claimed * factor - received_ms) <= 2 * DAY_MS:
            return f"at_ms {claimed}: {unit} instead of milliseconds?"
    if 0 <= claimed <= _NEVER_SET_MS:
        return f"at_ms {claimed}: never set since it started (1970)?"
    days = (received_ms - claimed) // DAY_MS
    return f"at_ms {claimed}: {abs(days)} days {'behind' if days > 0 else 'ahead'}"
