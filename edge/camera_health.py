"""Pure: what keeps a camera from being relied on, of all that is known of it. Times are monotonic, in seconds."""

from __future__ import annotations

from collections import deque

import msgspec

from contracts.events import CameraImpairment

NO_FRAMES_S = 10.0
NOT_JUDGED_S = 15.0
MISFIT_S = 15.0
OVER_S = 10.0  # a camera at the edge of too little is not well and ill in turn
LAGGING_MS, LAGGING_S = 3_000, 20.0
DROPS, DROPS_S = 2, 60.0  # who drops to live twice a minute sees half of what happens


class CameraSigns(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a camera at ``now_s``: counters of its threads, the age of its pictures, what they look like.

    ``last_frame_s``: 0 before the first. ``judged_too_little``: what is judged is not enough for its analysers to see.
    ``misfit``: the pictures are not those in which its facade was clicked.
    """

    now_s: float
    frames: int
    last_frame_s: float
    judged: int
    lag_ms: int
    drops_to_live: int
    clock_is_wrong: bool
    judged_too_little: bool
    misfit: bool
    picture: frozenset[CameraImpairment]


class _Hold:
    """A sign counts when it has been there for ``hold_s`` without a break, and until it was away for ``OVER_S``."""

    def __init__(self, hold_s: float) -> None:
        self._hold_s, self._holds = hold_s, False
        self._turned_s: float | None = None  # since when the sign says other than what counts

    def of(self, now_s: float, *, sign: bool) -> bool:
        """Return whether it counts, now that the sign is this."""
        if sign is self._holds:
            self._turned_s = None
        elif self._turned_s is None:
            self._turned_s = now_s
        elif now_s - self._turned_s > (OVER_S if self._holds else self._hold_s):
            self._holds, self._turned_s = sign, None
        return self._holds


class CameraHealth:
    """Follows one camera's signs.

    Args:
        now_s: when it is started: it has its time to begin.
        ignored: what this camera is not judged by.
    """

    def __init__(self, now_s: float, ignored: frozenset[CameraImpairment] = frozenset()) -> None:
        self._began_s = self._judged_s = now_s
        self._ignored = ignored
        self._judged = self._frames = self._drops = 0
        self._new_holds()
        self._late_since_s: float | None = None
        self._dropped_s: deque[float] = deque(maxlen=DROPS)

    def reasons(self, signs: CameraSigns) -> tuple[CameraImpairment, ...]:
        """Return all that keeps it from being relied on, the gravest first."""
        if self._has_no_frames(signs):
            self._new_holds()  # the counts of a time without pictures say nothing of those that come again
            found = {CameraImpairment.NO_FRAMES}
        else:
            found = self._of_pictures(signs)
        return tuple(reason for reason in CameraImpairment if reason in found - self._ignored)

    def _new_holds(self) -> None:
        self._too_little, self._misfit = _Hold(NOT_JUDGED_S), _Hold(MISFIT_S)

    def _has_no_frames(self, signs: CameraSigns) -> bool:
        return signs.now_s - max(signs.last_frame_s, self._began_s) > NO_FRAMES_S

    def _of_pictures(self, signs: CameraSigns) -> set[CameraImpairment]:
        found = set(signs.picture)
        too_little = self._too_little.of(signs.now_s, sign=signs.judged_too_little)
        if self._is_not_judged(signs) or too_little:
            found.add(CameraImpairment.NOT_JUDGED)
        if self._misfit.of(signs.now_s, sign=signs.misfit):
            found.add(CameraImpairment.MOVED)
        if self._lags(signs):
            found.add(CameraImpairment.LAGGING)
        if signs.clock_is_wrong:
            found.add(CameraImpairment.WRONG_TIME)
        return found

    def _is_not_judged(self, signs: CameraSigns) -> bool:
        if signs.judged != self._judged or signs.frames == self._frames:
            self._judged, self._frames, self._judged_s = signs.judged, signs.frames, signs.now_s
        return signs.now_s - self._judged_s > NOT_JUDGED_S

    def _lags(self, signs: CameraSigns) -> bool:
        self._dropped_s.extend([signs.now_s] * (signs.drops_to_live - self._drops))
        self._drops = signs.drops_to_live
        if signs.lag_ms <= LAGGING_MS:
            self._late_since_s = None
        elif self._late_since_s is None:
            self._late_since_s = signs.now_s
        late = self._late_since_s is not None and signs.now_s - self._late_since_s > LAGGING_S
        return late or (len(self._dropped_s) == DROPS and signs.now_s - self._dropped_s[0] <= DROPS_S)
