"""Pure: when a picture was taken. One clock a source, for recordings and for streams.

Three clocks are at hand, and each is good for one thing. The stream's own stamps (PTS) are good for intervals: they do
not shake with the network. The monotonic clock is good for what passes here. The wall clock says the date, and nothing
else. So analysers see a timeline that is made of the stream's intervals, never still and never back; what they say is
moved to the date by ``shift_ms`` at the end. A wall clock that steps moves the date and no interval.

Stamps lie, too: they begin again, jump, are missing, or run at another rate than time. A step that cannot be is
replaced by the stream's usual one, or by the time that passed here when the stream paused.
"""

from __future__ import annotations

import math
from collections import deque

import msgspec

LONGEST_PAUSE_MS = 60_000.0  # in a recording: a recorder that keeps only what moves leaves pauses, a jump is longer
AHEAD_MS = 1_000.0  # a picture cannot come before it was taken; a stamp that says so by more than this jumped
PAUSE_MS = 500.0  # a jump during such a silence is a pause, one without it is a restart between two pictures
WAITED_PART = 0.3  # who waited for a picture at least this part of a period has nothing older waiting
WINDOW_MS = 10_000.0
EDGES = 3  # pictures waited for in a window, below which it says nothing about the delay
DRIFT_PART = 0.05  # a stream whose time runs faster or slower by more than this has the wrong rate …
DRIFT_WINDOWS = 3  # … when it does so for so many windows in a row
MOST_LATE_MS = 10_000.0  # no camera keeps so much back: its stamps are wrong, not its pictures old
RISE_MS = 100.0  # the delay may grow by so much a window: a camera's clock that runs 1% slow
SHIFT_STEP_MS = 100  # the date follows in steps: tracks would jitter
MANY_JUMPS, JUMPS_MS = 3, 60_000.0
FEW_PICTURES, MANY_PICTURES = 25, 200  # without stamps, the interval is that of so many arrivals
_LEARN = 0.1


class PictureArrival(msgspec.Struct, frozen=True, kw_only=True):
    """A picture as it came: its stamp in the stream if it has one, both clocks, and how long it was waited for (ms)."""

    stream_ms: float | None
    mono_ms: float
    wall_ms: int
    waited_ms: float


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """When it was taken: on the timeline, what to add for the date (epoch ms), and how old it is now."""

    at_ms: int
    shift_ms: int
    lag_ms: int


class StreamSteps:
    """The intervals between a stream's stamps, without those that cannot be.

    Args:
        period_ms: the stream's usual interval, until it is learned.
    """

    def __init__(self, period_ms: float = 40.0) -> None:
        self.period_ms = period_ms
        self.jumps = 0
        self._stamp_ms: float | None = None
        self._ahead_ms = 0.0  # of the stamps: pictures with one stamp were spread

    def forget(self) -> None:
        """Take that the next stamp has nothing to do with the last one."""
        self._stamp_ms, self._ahead_ms = None, 0.0

    def step_ms(self, stamp_ms: float | None, most_ms: float) -> float | None:
        """Return the time since the picture before; None when there is no stamp, or it jumped.

        >>> steps = StreamSteps()
        >>> [steps.step_ms(at, 1_000) for at in (0, 40, 80, 20, 60, 99_000, None)]
        [None, 40.0, 40.0, None, 40.0, None, None]
        """
        if stamp_ms is not None and not math.isfinite(stamp_ms):
            stamp_ms = None
        before, self._stamp_ms = self._stamp_ms, stamp_ms
        if before is None or stamp_ms is None:
            return None
        passed_ms = stamp_ms - before
        if passed_ms == 0 and self._ahead_ms < PAUSE_MS:
            self._ahead_ms += self.period_ms
            return self.period_ms
        if not 0 < passed_ms <= most_ms:
            self.jumps += passed_ms != 0
            return None
        return self._spread(passed_ms)

    def _spread(self, passed_ms: float) -> float:
        step_ms = max(passed_ms - self._ahead_ms, 1.0)
        self._ahead_ms = max(self._ahead_ms - passed_ms + 1.0, 0.0)
        if step_ms <= PAUSE_MS * 4:
            self.period_ms += _LEARN * (step_ms - self.period_ms)
        return step_ms


class RecordingClock:
    """Times in a recording, from 0: what it says, with restarts and jumps taken out."""

    def __init__(self, period_ms: float = 40.0) -> None:
        self._steps = StreamSteps(period_ms)
        self._at_ms: float | None = None

    def next_ms(self, stamp_ms: float | None) -> float:
        """Return the time of the next picture.

        >>> clock = RecordingClock(50)
        >>> [clock.next_ms(at) for at in (700.0, 750.0, 800.0, 0.0, 50.0, None)]
        [0.0, 50.0, 100.0, 150.0, 200.0, 250.0]
        """
        step_ms = self._steps.step_ms(stamp_ms, LONGEST_PAUSE_MS)
        if self._at_ms is None:
            self._at_ms = 0.0
        else:
            self._at_ms += self._steps.period_ms if step_ms is None else step_ms
        return self._at_ms

    def again(self) -> None:
        """Take that the recording begins anew: the next picture comes one interval after the last."""
        self._steps.forget()


class LiveClock:
    """Times of a stream that comes as it is taken.

    ``delay_ms`` is the least that lately lay between a picture's place on the timeline and its arrival: of two pictures
    the fresher one came through sooner. What a picture is later than that is its age.
    """

    def __init__(self, period_ms: float = 40.0) -> None:
        self._steps = StreamSteps(period_ms)
        self._at_ms = 0.0
        self._came_ms: deque[float] = deque(maxlen=MANY_PICTURES)
        self._delay_ms = 0.0
        self._shift_ms: int | None = None
        self._distrusted = False
        self._jumped_ms: deque[float] = deque(maxlen=MANY_JUMPS)
        self._window = _Window()

    def reconnected(self) -> None:
        """Take that the stream was opened anew: its stamps begin anywhere."""
        self._steps.forget()

    def is_wrong(self, mono_ms: float) -> bool:
        """Return whether the stream's stamps are of no use: they jump again and again, or run at another rate."""
        often = len(self._jumped_ms) == MANY_JUMPS and mono_ms - self._jumped_ms[0] <= JUMPS_MS
        return self._distrusted or often

    def taken(self, arrival: PictureArrival) -> Taken:
        """Return when the next picture was taken. ``mono_ms`` never goes back; ``wall_ms`` may do anything."""
        mono_ms = arrival.mono_ms
        if not self._came_ms:
            self._at_ms, self._delay_ms = float(arrival.wall_ms), mono_ms - arrival.wall_ms
            self._steps.step_ms(arrival.stream_ms, math.inf)
        else:
            self._at_ms += max(self._step_ms(arrival), 1.0)
        self._came_ms.append(mono_ms)
        self._follow_delay(arrival)
        late_ms = mono_ms - self._delay_ms - self._at_ms
        return Taken(at_ms=round(self._at_ms), shift_ms=self._shift(arrival), lag_ms=max(0, round(late_ms)))

    def _step_ms(self, arrival: PictureArrival) -> float:
        due_ms = arrival.mono_ms - self._delay_ms - self._at_ms
        jumps = self._steps.jumps
        stamp_ms = None if self._distrusted else arrival.stream_ms
        step_ms = self._steps.step_ms(stamp_ms, max(due_ms, 0.0) + AHEAD_MS)
        if self._steps.jumps > jumps:
            self._jumped_ms.append(arrival.mono_ms)
        if step_ms is not None:
            return step_ms
        return self._unstamped_ms(arrival, due_ms, arrives_only=stamp_ms is None)

    def _unstamped_ms(self, arrival: PictureArrival, due_ms: float, *, arrives_only: bool) -> float:
        """Return a step without a stamp: the usual one, pulled to the arrivals; after a pause, all that passed."""
        if arrives_only and len(self._came_ms) > FEW_PICTURES:
            self._steps.period_ms = (self._came_ms[-1] - self._came_ms[0]) / (len(self._came_ms) - 1)
        period_ms = self._steps.period_ms
        if not self._waited(arrival):
            return period_ms
        late_ms = due_ms - period_ms
        most_ms = _LEARN * period_ms
        return due_ms if late_ms > PAUSE_MS else period_ms + min(max(_LEARN * late_ms, -most_ms), most_ms)

    def _waited(self, arrival: PictureArrival) -> bool:
        return arrival.waited_ms >= WAITED_PART * self._steps.period_ms

    def _follow_delay(self, arrival: PictureArrival) -> None:
        offset_ms = arrival.mono_ms - self._at_ms
        self._delay_ms = min(self._delay_ms, offset_ms)
        least_ms = self._window.least_ms(arrival.mono_ms, offset_ms if self._waited(arrival) else None)
        if least_ms is None:
            return
        late_ms = least_ms - self._delay_ms
        if self._window.drifts or late_ms > MOST_LATE_MS:
            self._distrusted, self._delay_ms = True, least_ms
        else:
            self._delay_ms += min(max(late_ms, 0.0), RISE_MS)

    def _shift(self, arrival: PictureArrival) -> int:
        shift_ms = round(self._delay_ms + arrival.wall_ms - arrival.mono_ms)
        if self._shift_ms is None or abs(shift_ms - self._shift_ms) >= SHIFT_STEP_MS:
            self._shift_ms = shift_ms
        return self._shift_ms


class _Window:
    """The least delay of each ten seconds, of pictures that were waited for, and whether it keeps on moving."""

    def __init__(self) -> None:
        self._began_ms: float | None = None
        self._offsets: list[float] = []
        self._before_ms: float | None = None
        self._drifted = 0
        self.drifts = False

    def least_ms(self, mono_ms: float, offset_ms: float | None) -> float | None:
        """Return the least of a window that is over now; None within one, and when it had too few pictures."""
        if self._began_ms is None:
            self._began_ms = mono_ms
        if offset_ms is not None:
            self._offsets.append(offset_ms)
        if mono_ms - self._began_ms < WINDOW_MS:
            return None
        passed_ms, self._began_ms = mono_ms - self._began_ms, mono_ms
        offsets, self._offsets = self._offsets, []
        if len(offsets) < EDGES:
            self._before_ms, self._drifted, self.drifts = None, 0, False
            return None
        self._note(min(offsets), passed_ms)
        return self._before_ms

    def _note(self, least_ms: float, passed_ms: float) -> None:
        moved_ms = 0.0 if self._before_ms is None else least_ms - self._before_ms
        sign = 0 if abs(moved_ms) < DRIFT_PART * passed_ms else (1 if moved_ms > 0 else -1)
        self._drifted = 0 if sign == 0 else self._drifted + sign if self._drifted * sign >= 0 else sign
        self.drifts = abs(self._drifted) >= DRIFT_WINDOWS
        self._before_ms = least_ms
