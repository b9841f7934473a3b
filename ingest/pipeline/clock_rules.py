"""When things happened: clocks are shifted, doubted or set aside; a live message was received now. Pure.

See docs/protocol.md#device-clocks.

A clock belongs to whoever speaks: all cameras of a box have the box's clock. Stored rows are old by nature and are
never measured, nor is anything that came while the broker had a queue for us (``timely`` false): a queue of 30 s would
look like a clock 30 s behind.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from contracts.durations import DAY_MS
from contracts.errors import Rejected, RejectReason
from contracts.event_times import other_times
from contracts.events import (
    RECORD_TYPES,
    AccessAttempted,
    ClockStepped,
    DeviceStateChanged,
    Event,
    IngestInterrupted,
    is_life_safety,
)
from ingest.pipeline.bounded import LruDict
from ingest.pipeline.device_time import UNREADABLE_MS
from ingest.pipeline.source_clock import FUTURE_MS, LIVE_MS, TOO_OLD_MS, Age, SourceClock, is_live
from inventory.clocks import ClockRecord

MAX_CLOCKS = 20_000
LONGEST_KEPT_MS = 365 * DAY_MS
"""No device keeps an alarm longer: what claims to be older by a clock that is right for others has no time at all."""
LATE_MS = 2_000
"""A credential that is older comes too late for the rules that wait for it: then it counts as of its receipt."""

_OF_NO_DEVICE: frozenset[type] = frozenset((*RECORD_TYPES, IngestInterrupted, ClockStepped))

E = TypeVar("E", bound=Event)


class ClockRules:
    """The one function that settles ``at_ms`` before the log; ``replay`` and ``log load`` run it on a file's events.

    Its state is bounded (20,000 clocks), and depends on nothing but the events, their ``received_ms`` and the records
    of an earlier run. ``agreed``: while the machine's clock was doubted, a device told the same time as it.
    ``has_news``: a fault came or ended, or the log's time moved, since that was set back.
    """

    def __init__(self) -> None:
        self._clocks: LruDict[tuple[str, str], SourceClock] = LruDict(MAX_CLOCKS, SourceClock, exact=False)
        self.agreed = self.has_news = False

    def apply(
        self, event: E, received_ms: int, *, timely: bool = True, claimed: int | None = None, doubted: bool = False
    ) -> E:
        """Return ``event`` as it goes to the log: with ``received_ms``, ``at_ms`` settled, its own in ``device_at_ms``.

        Args:
            event: as it was sent; ``at_ms`` is 0 where that could not be read.
            received_ms: now.
            timely: whether the broker had no queue for us.
            claimed: the number that the device sent, where it is none that ``at_ms`` can hold.
            doubted: ``received_ms`` is itself known to be wrong; then no clock is measured by it, and nothing refused.

        Raises:
            Rejected: ``too_old`` when it is marked as stored and older than 30 days, by its own clock as well; but no
                alarm whose time cannot be: that is none of a stored message, so it was received now.
        """
        kind = type(event)
        if kind in _OF_NO_DEVICE:
            return _settled(event, received_ms if kind in RECORD_TYPES else event.at_ms, received_ms)
        clock = self._clocks[event.site_id, event.spool.box_id if event.spool else event.source_id]
        if kind is DeviceStateChanged and event.spool is None:
            # the broker's word as of now: a last will carries the time of the connection it ends
            return _settled(event, received_ms, received_ms, untrusted=bool(clock.fault))
        lag_ms = received_ms - event.at_ms
        if event.stored and not (is_life_safety(event) and _has_no_time(event, clock, lag_ms)):
            return _stored(event, clock, lag_ms, received_ms, doubted=doubted)
        readable = event.at_ms != UNREADABLE_MS
        if not event.stored:
            clock.live_lag_ms = lag_ms if readable else None
        if doubted:
            self.agreed |= is_live(lag_ms)
        elif not readable or abs(lag_ms) > TOO_OLD_MS:
            self.has_news |= not clock.fault
            clock.failed(event.at_ms if readable else claimed, received_ms, stored=event.stored)
        if doubted or not readable or abs(lag_ms) > TOO_OLD_MS:
            return _received_now(event, lag_ms, received_ms)
        self.has_news |= clock.mended(received_ms)
        if timely:
            clock.observe(lag_ms, received_ms)
        return _live(event, clock, lag_ms, received_ms, timely=timely)

    def shift(self, by_ms: int) -> None:
        """Take that the log's time moves: all that was measured, was measured by the old one."""
        self.has_news = True
        for _, clock in self._clocks.items():
            clock.shift(by_ms)

    def skews_ms(self) -> dict[tuple[str, str], int]:
        """Return (site, speaker) → measured skew, of every clock that is being shifted."""
        return {key: clock.skew_ms for key, clock in self._clocks.items() if clock.shift_ms()}

    def records(self) -> list[ClockRecord]:
        """Return what is to outlive this run: of every clock that was measured, or cannot be used."""
        return [
            ClockRecord(
                site_id=site_id,
                speaker=speaker,
                skew_ms=clock.shift_ms(),
                measured_ms=clock.measured_ms,
                fault=clock.fault,
                fault_ms=clock.fault_ms if clock.fault else 0,
            )
            for (site_id, speaker), clock in self._clocks.items()
            if clock.measured_ms or clock.fault
        ]

    def load(self, records: Iterable[ClockRecord]) -> None:
        """Take what an earlier run measured: it counts until it is measured anew."""
        for record in records:
            self._clocks[record.site_id, record.speaker] = SourceClock(
                skew_ms=record.skew_ms,
                measured_ms=record.measured_ms,
                right=record.measured_ms > 0 and not record.fault,
                fault=record.fault,
                fault_ms=record.fault_ms,
            )


def _received_now(event: E, lag_ms: int, received_ms: int) -> E:
    """Settle a message whose time tells nothing: live or stored, nobody knows how old it is."""
    live = msgspec.structs.replace(event, stored=False)
    return _settled(live, received_ms, received_ms, future=lag_ms < 0, untrusted=True)


def _has_no_time(event: Event, clock: SourceClock, lag_ms: int) -> bool:
    """Return whether what its device had kept tells no time that can be, by a clock that may be right for others."""
    if event.at_ms == UNREADABLE_MS:
        return True
    if abs(lag_ms) <= TOO_OLD_MS or _own_age_ms(clock, lag_ms) is not None:
        return False
    is_right = clock.right or event.spool is not None
    return not (is_right and 0 < lag_ms <= LONGEST_KEPT_MS)


def _own_age_ms(clock: SourceClock, lag_ms: int) -> int | None:
    """Return how old a stored message is by its device's own clock, or None: its live ones tell how far that is off."""
    own_ms = None if clock.live_lag_ms is None else lag_ms - clock.live_lag_ms
    return own_ms if own_ms is not None and 0 <= own_ms <= TOO_OLD_MS else None


def _stored(event: E, clock: SourceClock, lag_ms: int, received_ms: int, *, doubted: bool) -> E:
    own_ms = _own_age_ms(clock, lag_ms)
    if abs(lag_ms) > TOO_OLD_MS and event.at_ms and own_ms is not None:
        return _settled(event, received_ms - own_ms, received_ms, untrusted=True)
    if doubted:
        return _settled(event, min(event.at_ms or received_ms, received_ms), received_ms, untrusted=True)
    if lag_ms > TOO_OLD_MS:
        days = lag_ms // DAY_MS
        raise Rejected(RejectReason.TOO_OLD, f"at_ms lies {days} days back, at most 30 are taken")
    if lag_ms >= -FUTURE_MS and lag_ms - clock.shift_ms() < -FUTURE_MS:  # the clock was put right since
        clock.skew_ms = 0
    if lag_ms - clock.shift_ms() < -FUTURE_MS:
        return _settled(event, received_ms, received_ms, future=True)
    return _settled(event, event.at_ms + clock.shift_ms(), received_ms)


def _live(event: E, clock: SourceClock, lag_ms: int, received_ms: int, *, timely: bool) -> E:
    """Settle a message that nobody marked as stored, by a clock that may be shifted."""
    age_ms = clock.age_ms(lag_ms)
    if age_ms < -FUTURE_MS:
        return _settled(event, received_ms, received_ms, future=True)
    if age_ms <= LIVE_MS:
        clock.told_right()
        late = age_ms > LATE_MS and timely and type(event) is AccessAttempted
        return _settled(event, received_ms if late else received_ms - age_ms, received_ms, untrusted=late)
    if is_life_safety(event):
        return _settled(event, received_ms, received_ms, untrusted=timely)
    if not timely:  # the broker kept it for us
        return _settled(event, received_ms - age_ms, received_ms)
    if event.spool is None and _was_kept(event, clock.judge(lag_ms, received_ms)):
        return _settled(event, received_ms - age_ms, received_ms, stored=True, untrusted=True)
    return _settled(event, received_ms, received_ms, untrusted=True)  # a box marks what it had kept


def _was_kept(event: Event, age: Age) -> bool:
    """Return whether nothing is judged by ``event`` now. In doubt a credential counts: its loss would accuse."""
    return age is Age.KEPT or (age is Age.UNCLEAR and type(event) is not AccessAttempted)


def _settled(
    event: E, at_ms: int, received_ms: int, *, future: bool = False, untrusted: bool = False, stored: bool = False
) -> E:
    stored = stored or event.stored
    by_ms = at_ms - event.at_ms
    times = {name: max(getattr(event, name) + by_ms, 0) for name in other_times(event)} if by_ms else {}
    return msgspec.structs.replace(
        event,
        at_ms=at_ms,
        device_at_ms=event.at_ms if by_ms else None,
        received_ms=received_ms,
        future=future,
        untrusted=untrusted,
        stored=stored,
        **times,
    )
