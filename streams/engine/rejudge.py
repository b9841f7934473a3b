"""Which windows of a site must be judged again, and when: bookkeeping only, its requests are output.

See docs/protocol.md#judging-again.

A late or stored event that a re-judged rule would have taken widens a window. A window belongs to a *drain* (a spool or
a source sending what it had stored) or to the site's strays. A drain is due when its source says that it is drained,
else 10 s after the last event's ``received_ms``; strays also wait until ten minutes after the site's last request.
Each rule's window is due once more when the rule has forgotten it: at ``to_ms`` + twice its horizon.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from heapq import heappush

import msgspec

from contracts.events import BacklogDrained, Event, Lane
from streams.engine.deduplicator import is_telemetry
from streams.engine.release_order import AGAIN, REQUESTS, WINDOW, Entry
from streams.engine.rulebook import BoundRule

QUIET_MS = 10_000
"""A drain that has sent nothing for so long is taken as over."""
STRAYS_EVERY_MS = 600_000
STRAYS = ""
"""The drain name of events that belong to none."""


class MissedSpan(msgspec.Struct, array_like=True):
    """The time that one rule missed, first to last, in event time."""

    from_ms: int
    to_ms: int


class Window(msgspec.Struct, array_like=True):
    """One drain's open window. ``queued_ms``: where the site's queue holds it; kept lazily, like a key's deadline."""

    due_ms: int
    spans: dict[str, MissedSpan]
    queued_ms: int | None = None


class RepeatRequest(msgspec.Struct, frozen=True, array_like=True):
    """A second request, waiting."""

    rule: str
    from_ms: int
    to_ms: int


class RejudgeRow(msgspec.Struct, frozen=True, array_like=True):
    """The bookkeeping as a snapshot keeps it."""

    last_request_ms: int
    windows: dict[str, Window]
    again: tuple[RepeatRequest, ...]


class RejudgeRequest(msgspec.Struct, frozen=True):
    """A request to judge ``rules`` again over ``from_ms…to_ms``."""

    rules: tuple[str, ...]
    from_ms: int
    to_ms: int


def drain_of(event: Event) -> str:
    """Return the drain an event would belong to: its spool, else its source."""
    return event.source_id if event.spool is None else f"{event.spool.box_id}/{event.spool.spool_id}"


class RejudgeSchedule:
    """One site's windows."""

    __slots__ = ("_again", "_count", "_last_request_ms", "_timers", "_windows")

    def __init__(self, timers: list[Entry], count: Callable[[], int]) -> None:
        self._timers = timers
        self._count = count
        self._last_request_ms = 0
        self._windows: dict[str, Window] = {}
        self._again: set[RepeatRequest] = set()

    def window_of(self, event: Event) -> str | None:
        """Return the window of a late event; None for late telemetry outside a drain, which is not judged again."""
        drain = drain_of(event)
        if event.stored or drain in self._windows or (event.spool is not None and event.spool.lane is Lane.BACKLOG):
            return drain
        return None if is_telemetry(event) else STRAYS

    def mark(self, name: str, event: Event, rules: tuple[str, ...]) -> None:
        """Widen the window ``name`` of ``rules`` by ``event``."""
        window = self._windows.get(name)
        if window is None:
            window = self._windows[name] = Window(0, {})
        for rule in rules:
            span = window.spans.get(rule)
            if span is None:
                window.spans[rule] = MissedSpan(event.at_ms, event.at_ms)
            else:
                span.from_ms, span.to_ms = min(span.from_ms, event.at_ms), max(span.to_ms, event.at_ms)
        earliest_ms = self._last_request_ms + STRAYS_EVERY_MS if name == STRAYS else 0
        self._set_due(name, window, max(event.received_ms + QUIET_MS, earliest_ms, window.due_ms))

    def drained(self, event: BacklogDrained) -> None:
        """Make the event's window due now: its spool has sent all it had stored."""
        for name in (f"{event.source_id}/{event.spool_id}", event.source_id):
            window = self._windows.get(name)
            if window is not None:
                self._set_due(name, window, event.received_ms)

    def due(self, entry: Entry, units: Mapping[str, BoundRule]) -> list[RejudgeRequest]:
        """Return the requests of a popped entry, in order; none when its window has moved."""
        if entry[2] == AGAIN:
            return self._due_again(entry[7], entry[0])
        name = entry[3]
        window = self._windows.get(name)
        if window is None or window.queued_ms != entry[0]:
            return []
        window.queued_ms = None
        if window.due_ms > entry[0]:
            self._set_due(name, window, window.due_ms)
            return []
        del self._windows[name]
        self._last_request_ms = max(self._last_request_ms, window.due_ms)
        for rule, span in sorted(window.spans.items()):
            self._plan_again(rule, span, window.due_ms, units)
        return _requests(window.spans)

    def row(self) -> RejudgeRow:
        """Return the bookkeeping for a snapshot."""
        windows = {name: Window(w.due_ms, w.spans) for name, w in sorted(self._windows.items())}
        again = tuple(sorted(self._again, key=msgspec.structs.astuple))
        return RejudgeRow(self._last_request_ms, windows, again)

    def load(self, row: RejudgeRow, units: Mapping[str, BoundRule]) -> None:
        """Take the bookkeeping of a snapshot."""
        self._last_request_ms = row.last_request_ms
        for name, window in row.windows.items():
            self._windows[name] = Window(0, window.spans)
            self._set_due(name, self._windows[name], window.due_ms)
        for again in row.again:
            if again.rule in units:
                self._queue_again(again, units[again.rule])

    def _set_due(self, name: str, window: Window, due_ms: int) -> None:
        window.due_ms = due_ms
        if window.queued_ms is None or due_ms < window.queued_ms:
            window.queued_ms = due_ms
            heappush(self._timers, (due_ms, REQUESTS, WINDOW, name, 0, "", self._count(), None))

    def _plan_again(self, rule: str, span: MissedSpan, asked_ms: int, units: Mapping[str, BoundRule]) -> None:
        bound_rule = units[rule]
        if (
            span.to_ms + 2 * bound_rule.horizon_ms + bound_rule.max_out_of_orderness_ms > asked_ms
        ):  # else the first request reads it all
            self._queue_again(RepeatRequest(rule, span.from_ms, span.to_ms), bound_rule)

    def _queue_again(self, again: RepeatRequest, bound_rule: BoundRule) -> None:
        if again not in self._again:
            self._again.add(again)
            release_ms = again.to_ms + 2 * bound_rule.horizon_ms + bound_rule.max_out_of_orderness_ms
            entry = (release_ms, REQUESTS, AGAIN, again.rule, again.from_ms, "", self._count(), again)
            heappush(self._timers, entry)

    def _due_again(self, again: RepeatRequest, due_ms: int) -> list[RejudgeRequest]:
        self._again.discard(again)
        self._last_request_ms = max(self._last_request_ms, due_ms)
        return [RejudgeRequest((again.rule,), again.from_ms, again.to_ms)]


def _requests(spans: Mapping[str, MissedSpan]) -> list[RejudgeRequest]:
    """Return one request for all rules that missed the same span, in order of time."""
    by_span: dict[tuple[int, int], list[str]] = {}
    for rule, span in sorted(spans.items()):
        by_span.setdefault((span.from_ms, span.to_ms), []).append(rule)
    return [RejudgeRequest(tuple(rules), *span) for span, rules in sorted(by_span.items())]
