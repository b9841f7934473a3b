"""Endless load out of fixed patterns: what is sent between two moments is arithmetic, and its bytes are made before.

A lane says one kind of thing at one steady rate, by each of its devices in turn. Only the numbers that must differ are
put in when it is sent: id, sequence number, time, track. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from contracts.events import Event, Lane
from contracts.names import Topic

FALL_MS = 1_200
_JSON = msgspec.json.Encoder()


class Line(msgspec.Struct, frozen=True):
    """One thing that one device says, again and again.

    ``speaker``: whose counter numbers it; ``body``: its JSON with places for ``run``, ``n``, ``now``, ``began`` and
    ``track``.
    """

    site_id: str
    topic: bytes
    speaker: str
    body: bytes
    qos: int = 1
    retain: bool = False

    def payload(self, run: str, n: int, now_ms: int, track: int) -> bytes:
        """Return it as the device says it now.

        Args:
            run: a name that no earlier run had, so that no id is used twice.
            n: how often its speaker has spoken.
            now_ms: epoch ms.
            track: the number of the occurrence, for what cameras follow.
        """
        return self.body % {
            b"run": run.encode(),
            b"n": n,
            b"now": now_ms,
            b"began": now_ms - FALL_MS,
            b"track": track,
        }


def telemetry(event: Event, topic: Topic) -> Line:
    """Return a reading: QoS 0, without a number of its own."""
    return _line(event, topic, event.source_id, "", qos=0)


def numbered(event: Event, topic: Topic) -> Line:
    """Return what a gate or sensor says, with its own sequence number."""
    return _line(event, topic, event.source_id, ',"seq":%(n)d')


def state(event: Event, topic: Topic) -> Line:
    """Return what a last will or its recall says: retained, without a number."""
    return _line(event, topic, event.source_id, "", retain=True)


def spooled(event: Event, topic: Topic) -> Line:
    """Return what a box says for one of its cameras: a row of the live lane of its spool."""
    box = topic.device_id
    mark = f',"spool":{{"box_id":"{box}","spool_id":"sp-%(run)s","lane":"{Lane.LIVE}","seq":%(n)d}}'
    return _line(event, topic, box, mark)


def _line(event: Event, topic: Topic, speaker: str, number: str, *, qos: int = 1, retain: bool = False) -> Line:
    said = _JSON.encode(event).replace(b"%", b"%%")
    for fixed, place in (
        (b'"event_id":""', f'"event_id":"{speaker}-%(run)s-%(n)d"'.encode()),
        (b'"at_ms":0', b'"at_ms":%(now)d'),
        (b'"started_ms":0', b'"started_ms":%(began)d'),
        (b'"track_id":0', b'"track_id":%(track)d'),
    ):
        said = said.replace(fixed, place, 1)
    return Line(
        event.site_id,
        str(topic).encode(),
        f"{event.site_id}/{speaker}",
        said[:-1] + number.encode() + b"}",
        qos,
        retain,
    )


class Stream(msgspec.Struct, frozen=True):
    """One kind of thing, said ``rate_per_s`` times a second from ``from_s`` on, by each of ``lines`` in turn."""

    share: str
    rate_per_s: float
    lines: Sequence[Line]
    from_s: float = 0.0

    def between(self, from_s: float, to_s: float) -> range:
        """Return the numbers of what is due from ``from_s`` up to, not including, ``to_s``."""
        first = max(math.ceil((from_s - self.from_s) * self.rate_per_s), 0)
        return range(first, max(math.ceil((to_s - self.from_s) * self.rate_per_s), first))


def due(streams: Sequence[Stream], from_s: float, to_s: float) -> list[tuple[Line, int]]:
    """Return what all ``streams`` say from ``from_s`` up to ``to_s``, and the number of each occurrence."""
    return [
        (stream.lines[number % len(stream.lines)], number)
        for stream in streams
        for number in stream.between(from_s, to_s)
    ]
