"""Pure: what keeps a camera from being relied on, of all that is known of it. Times are monotonic, in seconds."""

from __future__ import annotations

from collections import deque

import msgspec

from contracts.events import CameraImpairment

NO_FRAMES_S = 10.0
NOT_JUDGED_S = 15.0
LAGGING_MS, LAGGING_S = 3_000, 20.0
DROPS, DROPS_S = 2, 60.0  # who drops to live twice a minute sees half of what happens


class CameraSigns(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a camera at ``now_s``: counters of its threads, the age of its pictures, what they look like.

    ``last_frame_s``: 0 before the first.
    """

    now_s: float
    frames: int
    last_frame_s: float
    judged: int
    lag_ms: int
    drops_to_live: int
    clock_is_wrong: bool
    picture: frozenset[CameraImpairment]


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
        self._late_since_s: float | None = None
        self._dropped_s: deque[float] = deque(maxlen=DROPS)

    def reasons(self, signs: CameraSigns) -> tuple[CameraImpairment, ...]:
        """Return all that keeps it from being relied on, the gravest first."""
        found = {CameraImpairment.NO_FRAMES} if self._has_no_frames(signs) else self._of_pictures(signs)
        return tuple(reason for reason in CameraImpairment if reason in found - self._ignored)

    def _has_no_frames(self, signs: CameraSigns) -> bool:
        return signs.now_s - max(signs.last_frame_s, self._began_s) > NO_FRAMES_S

    def _of_pictures(self, signs: CameraSigns) -> set[CameraImpairment]:
        found = set(signs.picture)
        if self._is_not_judged(signs):
            found.add(CameraImpairment.NOT_JUDGED)
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
