"""What makes a message this one: its id, its device's own time, and what it says. Pure.

An id alone does not: a counter begins again at boot, a device calls every alarm the same. Another delivery of one
message has the same bytes; but ingest settles some fields anew each time, and they play no part here.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from zlib import crc32

import msgspec

from contracts.durations import DAY_MS, HOUR_MS, MINUTE_MS
from contracts.events import EVENT_TYPES, Event, ObjectFell, RowsDropped, is_life_safety

IN_FLIGHT = 4_096
"""Messages that a broker may have given ingest without an answer: all of them may come again. Whoever recognises
duplicates remembers as many of each site, and the session and the brokers that we ship allow no more."""

SETTLED = frozenset({"at_ms", "received_ms", "device_at_ms", "future", "stored", "untrusted", "place_id"})
"""Fields that ingest settles: by the moment, by what it knows of a clock, and the place by the inventory, which people
change. ``at_ms`` counts as the device gave it."""
KEYED = frozenset({"v", "event_id", "site_id", "source_id", "spool"})
"""Fields that are compared apart from what is said, or that say nothing."""
_MOVED: dict[type[Event], tuple[str, ...]] = {ObjectFell: ("started_ms",), RowsDropped: ("from_ms", "to_ms")}
"""Times that ingest moves together with ``at_ms``."""

OWN_TIME_WITHIN_MS = DAY_MS
"""A clock that is further off was never set, and may say the same time after each boot."""
AGAIN_WITHIN_MS = MINUTE_MS
"""So long, and at most twice as long, what such a clock says in the same words counts as sent again."""
STANDS_STILL_MS = HOUR_MS
"""A clock that is further off when a live alarm comes stands still, or begins at the same time at each boot. So long,
and at most twice as long, the alarm in the same words counts as sent again: what a device or a new connection repeats
comes within that time."""
MAX_TOLD_CHARACTERS = 71
"""Of an id that is told apart: with the rest it stays within the 80 of an id."""

_encode = msgspec.msgpack.Encoder().encode


def own_time_ms(event: Event) -> int:
    """Return when it happened by the device's own clock, in epoch ms, whatever ingest made of it."""
    return event.at_ms if event.device_at_ms is None else event.device_at_ms


def content_marks(event: Event) -> tuple[int, ...]:
    """Return 32 bits, never 0, over the device's own time and what it says; the first one is this event's.

    One delivery is a duplicate of another whose mark is any of these. There are three when the device's time is far
    from now. Either it never knew the time: then the minute of receipt stands in, this one or the one before. Or the
    message was taken long ago, when its time was near; but no alarm that ingest received live was.
    """
    own_ms = event.at_ms if event.device_at_ms is None else event.device_at_ms
    mark = crc32(_encode((own_ms, _SAID[event.__class__](event))))
    off_ms = abs(event.received_ms - own_ms)
    if off_ms <= STANDS_STILL_MS or event.stored:
        return (mark or 1,)
    is_live_alarm = (event.untrusted or event.future) and is_life_safety(event)
    if off_ms > OWN_TIME_WITHIN_MS:
        marks = _marks_of_receipt(mark, event.received_ms // AGAIN_WITHIN_MS)
        return marks if is_live_alarm else (*marks, mark or 1)
    return _marks_of_receipt(mark, event.received_ms // STANDS_STILL_MS) if is_live_alarm else (mark or 1,)


def _marks_of_receipt(mark: int, nth: int) -> tuple[int, int]:
    """Return the marks of the ``nth`` span of time and the one before, in which the event was received."""
    return crc32(b"%d" % nth, mark) or 1, crc32(b"%d" % (nth - 1), mark) or 1


def is_same_message(one: Event, other: Event) -> bool:
    """Return whether they are two deliveries of one message of one source."""
    if one.event_id != other.event_id:
        return False
    marks, others = content_marks(one), content_marks(other)
    return others[0] in marks or marks[0] in others


def told_apart(event_id: str, content_mark: int) -> str:
    """Return the id of an event whose own id was used before, for something else.

    >>> told_apart("alarm", 0xBEEF)
    'alarm~0000beef'
    """
    return f"{event_id[:MAX_TOLD_CHARACTERS]}~{content_mark:08x}"


def is_named(event: Event, event_id: str) -> bool:
    """Return whether ``event_id`` names this event of the log, by its own id or as it was told apart."""
    if event.event_id == event_id:
        return True
    return (
        event_id[-9:-8] == "~"
        and event.__class__ in _SAID
        and told_apart(event.event_id, content_marks(event)[0]) == event_id
    )


def _said(kind: type[Event]) -> Callable[[Event], object]:
    """Return what takes out of an event of ``kind`` all that its device says, but for when."""
    moved = _MOVED.get(kind, ())
    said = attrgetter(*(name for name in kind.__struct_fields__ if name not in SETTLED | KEYED | set(moved)))
    if not moved:
        return said
    return lambda event: (said(event), [getattr(event, name) - event.at_ms for name in moved])


_SAID = {kind: _said(kind) for kind in EVENT_TYPES.values()}
