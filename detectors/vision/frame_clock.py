"""When a picture was taken, from the times a stream gives: at a camera's steady beat, not at the moment of arrival.

At the end of a fall 10 ms are 10 px. Live pictures are stamped on arrival, and a 20 pictures/s camera inside a
30 pictures/s file gives its pictures the next free slot: both shake the times by a good part of a period around a beat
that is steady. Exact times pass unchanged.
"""

from __future__ import annotations

# A picture nearer to its beat than this part of a period was taken on the beat.
ON_BEAT_PART = 0.7
# How fast beat and period follow the stream's times: about seven and twenty pictures.
PHASE_GAIN, PERIOD_GAIN = 0.15, 0.05
LEARN_PICTURES = 5
MAX_MISSED = 10


class SteadyClock:
    """Stream times (ms) in, times of taking (ms) out; these grow, too."""

    def __init__(self) -> None:
        self._last_ms = 0.0
        self._raw_ms = 0.0
        self._period_ms = 0.0
        self._seen = 0

    def time_of(self, at_ms: float, *, after_repeat: bool) -> float:
        """Return when the picture stamped ``at_ms`` was taken; ``after_repeat``: repeats of the last lay between."""
        passed = at_ms - self._raw_ms
        self._raw_ms = at_ms
        self._seen += 1
        if self._seen <= LEARN_PICTURES:
            if self._seen > 1:
                self._period_ms += (passed - self._period_ms) / (self._seen - 1)
            self._last_ms = at_ms
            return at_ms
        beats = 1 if after_repeat else min(max(round((at_ms - self._last_ms) / self._period_ms), 1), MAX_MISSED)
        off = at_ms - (self._last_ms + beats * self._period_ms)
        if abs(off) > ON_BEAT_PART * self._period_ms:  # another rate, or a pause
            self._seen = 1
            self._last_ms = at_ms
            return at_ms
        self._last_ms += beats * self._period_ms + PHASE_GAIN * off
        self._period_ms += PERIOD_GAIN * off / beats
        return self._last_ms
