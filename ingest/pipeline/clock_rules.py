"""When things happened: skewed clocks are shifted, the future is brought to now, the ancient is refused. Pure.

See docs/protocol.md#device-clocks.

A clock's skew is the least of ``received − claimed`` over an epoch of at least a minute and eight events, but for one
outlier: delays on the way only add to it. Stored rows are old by nature and are never measured, nor is anything that
came while the broker had a queue for us (``timely`` false): a queue of 30 s would look like a clock 30 s behind.
A clock belongs to whoever speaks: all cameras of a box have the box's clock.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from contracts.durations import DAY_MS
from contracts.errors import Rejected, RejectReason
from contracts.events import ConfigurationRecord, DeviceStateChanged, Event, IngestEvent, ObjectFell, RowsDropped
from ingest.pipeline.bounded import LruDict

SHIFT_ABOVE_MS = 250
FUTURE_MS = 2_000
TOO_OLD_MS = 30 * DAY_MS
EPOCH_MS = 60_000
EPOCH_EVENTS = 8
MAX_CLOCKS = 20_000
_NEVER = 2**62

E = TypeVar("E", bound=Event)


class _Clock(msgspec.Struct):
    began_ms: int = 0
    events: int = 0
    least_ms: int = _NEVER
    second_ms: int = _NEVER
    skew_ms: int = 0

    def observe(self, lag_ms: int, received_ms: int) -> None:
        if self.events == 0:
            self.began_ms = received_ms
        self.events += 1
        if lag_ms < self.least_ms:
            self.least_ms, self.second_ms = lag_ms, self.least_ms
        elif lag_ms < self.second_ms:
            self.second_ms = lag_ms
        if self.events >= EPOCH_EVENTS and received_ms - self.began_ms >= EPOCH_MS:
            self.skew_ms = self.second_ms
            self.events, self.least_ms, self.second_ms = 0, _NEVER, _NEVER

    def shift_ms(self) -> int:
        return self.skew_ms if abs(self.skew_ms) > SHIFT_ABOVE_MS else 0


class ClockRules:
    """The one function that settles ``at_ms`` before the log; ``replay`` and ``log load`` run it on a file's events.

    Its state is bounded (20,000 clocks), and depends on nothing but the events and their ``received_ms``.
    """

    def __init__(self) -> None:
        self._clocks: LruDict[tuple[str, str], _Clock] = LruDict(MAX_CLOCKS, _Clock)

    def apply(self, event: E, received_ms: int, *, timely: bool = True) -> E:
        """Return ``event`` as it goes to the log: with ``received_ms``, ``at_ms`` settled, its own in ``device_at_ms``.

        Raises:
            Rejected: ``too_old`` when it claims to be older than 30 days.
        """
        if isinstance(event, ConfigurationRecord):
            return _settled(event, received_ms, received_ms, future=False)
        if isinstance(event, IngestEvent):
            return _settled(event, event.at_ms, received_ms, future=False)
        if received_ms - event.at_ms > TOO_OLD_MS:
            days = (received_ms - event.at_ms) // DAY_MS
            raise Rejected(RejectReason.TOO_OLD, f"at_ms lies {days} days back, at most 30 are taken")
        if isinstance(event, DeviceStateChanged) and event.spool is None:
            # the broker's word as of now: a last will carries the time of the connection it ends
            return _settled(event, received_ms, received_ms, future=False)
        clock = self._clocks[event.site_id, event.spool.box_id if event.spool else event.source_id]
        lag_ms = received_ms - event.at_ms
        if timely and not event.stored:
            clock.observe(lag_ms, received_ms)
        shift_ms = clock.shift_ms()
        if shift_ms > lag_ms + FUTURE_MS and lag_ms >= -FUTURE_MS:  # the clock was put right since
            clock.skew_ms = shift_ms = 0
        at_ms = event.at_ms + shift_ms
        if at_ms > received_ms + FUTURE_MS:
            return _settled(event, received_ms, received_ms, future=True)
        return _settled(event, at_ms, received_ms, future=False)

    def skews_ms(self) -> dict[tuple[str, str], int]:
        """Return (site, speaker) → measured skew, of every clock that is being shifted."""
        return {key: clock.skew_ms for key, clock in self._clocks.items() if clock.shift_ms()}


def _settled(event: E, at_ms: int, received_ms: int, *, future: bool) -> E:
    by_ms = at_ms - event.at_ms
    if by_ms == 0:
        return msgspec.structs.replace(event, received_ms=received_ms, device_at_ms=None, future=future)
    times = {name: max(getattr(event, name) + by_ms, 0) for name in _other_times(event)}
    return msgspec.structs.replace(
        event, at_ms=at_ms, received_ms=received_ms, device_at_ms=event.at_ms, future=future, **times
    )


def _other_times(event: Event) -> tuple[str, ...]:
    """Return times the same clock gave, which move with ``at_ms``. Evidence keeps the times that its file shows."""
    match event:
        case ObjectFell():
            return ("started_ms",)
        case RowsDropped():
            return ("from_ms", "to_ms")
        case _:
            return ()
