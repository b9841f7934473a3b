"""One site inside the engine: buffers in front of the rules, their states, deduplicator, clocks and views.

``take`` judges lateness and fills the queue; ``release`` gives the rules what lies before a watermark, in one order of
time (streams/engine/release_order.py). Both are pure functions of what the log brought this site.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import cast

from contracts.erasure import Eraser, erasure_of
from contracts.events import (
    RECORD_TYPES,
    AnyEvent,
    BacklogDrained,
    Event,
    ReferenceErased,
    ThresholdConfigured,
    VisitorRegistered,
)
from detectors.core.site_view import SiteView, apply_record, pass_over
from streams.engine.deduplicator import Deduplicator, is_telemetry
from streams.engine.finding_emitter import FindingEmitter
from streams.engine.line_of_time import shift_view, to_line, visit_moved
from streams.engine.rejudge import RejudgeSchedule
from streams.engine.release_order import DEADLINE, EVENT, Entry, is_at, is_copy
from streams.engine.rule_runner import KeyedState, RuleRunner
from streams.engine.rulebook import VIEW_KINDS, LatenessGroup, Rulebook

NEVER = 1 << 62


class SiteLatenessGroup:
    """One group of one site: its view, its runners, and what it last released (``clocks``: per source, ≤ 200 ms)."""

    __slots__ = ("clocks", "frontier", "group", "per_source", "runners", "view")

    def __init__(self, group: LatenessGroup, site_id: str, runners: dict[str, RuleRunner]) -> None:
        self.group, self.per_source = group, group.per_source
        self.view = SiteView(site_id=site_id)
        self.frontier: Entry | None = None
        self.clocks: dict[str, Entry] = {}
        self.runners = {
            kind: tuple(runners[u.name] for u in bound_rules)
            for kind, bound_rules in group.by_kind.items()
            if bound_rules
        }

    def deadline_released(self, entry: Entry, source_id: str) -> None:
        """Note that a deadline was released on behalf of ``source_id``. One that a late event set may lie behind."""
        if self.per_source:
            last = self.clocks.get(source_id)
            if last is None or entry > last:
                self.clocks[source_id] = entry
        elif self.frontier is None or entry > self.frontier:
            self.frontier = entry


class SiteState:
    """Everything the engine knows of one site.

    Its rules live on a line of time that never jumps: the log's time less ``offset_ms``. Only outputs are on the log's
    time again, and ids are made of the line's (docs/protocol.md#steps-of-the-clock).

    Its queue is two heaps of one order (streams/engine/release_order.py): ``waiting`` holds events, few and for a short
    while, ``timers`` deadlines and requests, many and for long. So an event costs little, however much waits.

    ``covered`` is the position that its snapshot covers: the site skips records up to there. ``queued_ms`` is where the
    partition's heap holds it, ``dirty`` whether it has changed since its snapshot.
    """

    __slots__ = (
        "_book",
        "_count",
        "covered",
        "deduplicator",
        "dirty",
        "emitter",
        "groups",
        "offset_ms",
        "queued_ms",
        "rejudging",
        "runners",
        "timers",
        "waiting",
    )

    def __init__(self, site_id: str, book: Rulebook, count: Callable[[], int]) -> None:
        self.waiting: list[Entry] = []
        self.timers: list[Entry] = []
        self.emitter = FindingEmitter(site_id)
        self.deduplicator = Deduplicator()
        self.rejudging = RejudgeSchedule(self.timers, count)
        self.runners = {
            bound_rule.name: RuleRunner(bound_rule, group.index, self.emitter, self.timers, count)
            for group in book.groups
            for bound_rule in group.rules
        }
        self.groups = tuple(SiteLatenessGroup(group, site_id, self.runners) for group in book.groups)
        self.covered = -1
        self.offset_ms = 0
        self.queued_ms = NEVER
        self.dirty = False
        self._book = book
        self._count = count

    def take(self, event: AnyEvent, groups: Sequence[LatenessGroup]) -> int:
        """Buffer an event that is new, or treat it as late; in how many groups it was late (or stored)."""
        if self.offset_ms:
            event = to_line(event, self.offset_ms)
        if event.__class__ is BacklogDrained:
            self.rejudging.drained(event)
        late, source_id, stored, order = 0, event.source_id, event.stored, order_of(event)
        for group in groups:
            entry = self.entry(event, order, group)
            site_group = self.groups[group.index]
            last = site_group.clocks.get(source_id) if site_group.per_source else site_group.frontier
            if stored or (last is not None and entry < last):  # before what was last released: late
                self._late(site_group, event)
                late += 1
            elif last is not None and entry[0] == last[0] and is_at(entry, last):  # come again: nobody has missed it
                self._give_out_of_order(site_group, event)
            else:
                heappush(self.waiting, entry)
        return late

    def first_ms(self) -> int:
        """Return when the first of what waits is released, on the line; :data:`NEVER` when nothing waits."""
        first_ms = self.waiting[0][0] if self.waiting else NEVER
        return self.timers[0][0] if self.timers and self.timers[0][0] < first_ms else first_ms

    def entry(self, event: AnyEvent, order: int, group: LatenessGroup) -> Entry:
        """Return the event's place in the queue for one group; ``order``: as :func:`order_of` says."""
        release_ms = event.at_ms + group.max_out_of_orderness_ms
        return (release_ms, group.index, EVENT, event.source_id, order, event.event_id, self._count(), event)

    def shift(self, by_ms: int) -> None:
        """Take that the log's time moves by ``by_ms``: the line goes on, and what was set for a time moves on it."""
        self.offset_ms += by_ms
        self.emitter.offset_ms = self.offset_ms
        self.deduplicator.shift(by_ms)
        for site_group in self.groups:
            shift_view(site_group.view, by_ms)
        for number, entry in enumerate(self.waiting):
            if isinstance(entry[7], VisitorRegistered):
                self.waiting[number] = (*entry[:7], visit_moved(entry[7], -by_ms))

    def release(self, watermark_ms: int) -> bool:
        """Give the rules everything that lies before ``watermark_ms`` on the line; whether that changed the site."""
        waiting, timers, changed = self.waiting, self.timers, False
        before: Entry | None = None
        while True:
            if waiting and (not timers or waiting[0] < timers[0]):
                entry = waiting[0]
                if entry[0] >= watermark_ms:
                    return changed
                heappop(waiting)
                if before is None or entry[0] != before[0] or not is_copy(entry, before):  # two copies are one event
                    self._release_event(entry)
                before, changed = entry, True
            elif timers and timers[0][0] < watermark_ms:
                entry = heappop(timers)
                is_deadline = entry[2] == DEADLINE
                changed |= self._release_deadline(entry) if is_deadline else self._release_requests(entry)
            else:
                return changed

    def _release_event(self, entry: Entry) -> None:
        event = entry[7]
        site_group = self.groups[entry[1]]
        if site_group.per_source:
            site_group.clocks[entry[3]] = entry  # never before what it replaces: then the event had been late
        else:
            site_group.frontier = entry
        kind, view = event.__class__, site_group.view
        if kind in VIEW_KINDS:
            self._fold(view, event)
            if isinstance(event, ReferenceErased):
                self._erase(site_group, event)
        for runner in site_group.runners.get(kind, ()):
            runner.on_event(event, view)

    def _fold(self, view: SiteView, event: AnyEvent) -> None:
        """Take a record over, unless it sets a number that its rule may not have: then the one before holds."""
        if isinstance(event, ThresholdConfigured) and self._book.passes_over(event):
            pass_over(view, event)
        else:
            apply_record(view, event, self._book.reference_key)

    def _erase(self, site_group: SiteLatenessGroup, record: ReferenceErased) -> None:
        """End states whose key names what was erased, without a finding."""
        eraser = Eraser([erasure_of(record)], self._book.reference_key)
        for bound_rule in site_group.group.rules:
            self.runners[bound_rule.name].erase(record.site_id, eraser)

    def _release_deadline(self, entry: Entry) -> bool:
        keyed: KeyedState = entry[7]
        site_group = self.groups[entry[1]]
        due_ms = entry[0] - site_group.group.max_out_of_orderness_ms
        if keyed.queued_ms != due_ms:
            return False
        runner, key = self.runners[entry[3]], cast(str, entry[4])
        if keyed.deadline_ms != due_ms:
            runner.postpone(key, keyed)
            return False
        site_group.deadline_released(entry, keyed.source_id)
        runner.on_deadline(key, keyed, due_ms, site_group.view)
        return True

    def _release_requests(self, entry: Entry) -> bool:
        requests = self.rejudging.due(entry, self._book.rules)
        for request in requests:
            self.emitter.request(request.rules, request.from_ms, request.to_ms)
        return bool(requests)

    def _late(self, site_group: SiteLatenessGroup, event: AnyEvent) -> None:
        """Give a late event to rules that need no order; for the others widen a window to judge again."""
        if event.__class__ in VIEW_KINDS:
            self._fold(site_group.view, event)  # configuration is never late unless clocks broke; it is never lost
        self._give_out_of_order(site_group, event)
        missed = [
            runner.bound_rule.name
            for runner in site_group.runners.get(type(event), ())
            if runner.bound_rule.rejudged and runner.keys_of(event, site_group.view)
        ]
        if missed:
            window = self.rejudging.window_of(event)
            if window is not None:
                self.rejudging.mark(window, event, tuple(missed))

    def _give_out_of_order(self, site_group: SiteLatenessGroup, event: AnyEvent) -> None:
        """Give an event that was not waited for to rules that decide by one event, or go by its receipt.

        What was stored tells nothing about receipt.
        """
        view, late_by_ms = site_group.view, event.received_ms - event.at_ms
        for runner in site_group.runners.get(type(event), ()):
            if runner.bound_rule.instant or (runner.bound_rule.receipt and not event.stored):
                runner.on_event(event, view, late_by_ms)


def order_of(event: AnyEvent) -> int:
    """Return where an event stands among those of its time and source: by its seq, a record by its version."""
    seq = event.version if event.__class__ in RECORD_TYPES else event.seq
    return -1 if seq is None else seq


def is_late_telemetry(event: Event, late: int) -> bool:
    """Return whether an event that was late in ``late`` groups only goes to results."""
    return late > 0 and is_telemetry(event)
