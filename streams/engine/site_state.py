"""One site inside the engine: buffers in front of the rules, their states, dedupe marks, clocks and views.

``take`` judges lateness and fills the queue; ``release`` gives the rules what lies before a watermark, in one order of
time (streams/engine/release_order.py). Both are pure functions of what the log brought this site.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import cast

from contracts.erasure import Eraser, erasure_of
from contracts.events import (
    AnyEvent,
    BacklogDrained,
    ConfigurationRecord,
    Event,
    ReferenceErased,
    ThresholdConfigured,
)
from detectors.core.site_view import SiteView, apply_record, pass_over
from streams.engine.deduplicator import Marks, is_telemetry
from streams.engine.finding_emitter import Desk
from streams.engine.rejudge import Rejudging
from streams.engine.release_order import DEADLINE, EVENT, Entry
from streams.engine.rule_runner import Judge, Slot
from streams.engine.rulebook import VIEW_KINDS, Rulebook, RuleClass

NEVER = 1 << 62


class SiteClass:
    """One class of one site: its view, its judges, and what it last released (``clocks``: per source, ≤ 200 ms)."""

    __slots__ = ("book", "clocks", "frontier", "judges", "view")

    def __init__(self, book: RuleClass, site_id: str, judges: dict[str, Judge]) -> None:
        self.book = book
        self.view = SiteView(site_id=site_id)
        self.frontier: Entry | None = None
        self.clocks: dict[str, Entry] = {}
        self.judges = {kind: tuple(judges[u.name] for u in units) for kind, units in book.by_kind.items() if units}

    def deadline_released(self, entry: Entry, source_id: str) -> None:
        """Note that a deadline was released on behalf of ``source_id``. One that a late event set may lie behind."""
        if self.book.per_source:
            last = self.clocks.get(source_id)
            if last is None or entry > last:
                self.clocks[source_id] = entry
        elif self.frontier is None or entry > self.frontier:
            self.frontier = entry


class SiteState:
    """Everything the engine knows of one site.

    ``covered`` is the position that its snapshot covers: the site skips records up to there. ``queued_ms`` is where the
    partition's heap holds it, ``dirty`` whether it has changed since its snapshot.
    """

    __slots__ = (
        "_book",
        "_count",
        "classes",
        "covered",
        "desk",
        "dirty",
        "judges",
        "marks",
        "queue",
        "queued_ms",
        "rejudging",
    )

    def __init__(self, site_id: str, book: Rulebook, count: Callable[[], int]) -> None:
        self.queue: list[Entry] = []
        self.desk = Desk(site_id)
        self.marks = Marks()
        self.rejudging = Rejudging(self.queue, count)
        self.judges = {
            unit.name: Judge(unit, rule_class.index, self.desk, self.queue, count)
            for rule_class in book.classes
            for unit in rule_class.units
        }
        self.classes = tuple(SiteClass(rule_class, site_id, self.judges) for rule_class in book.classes)
        self.covered = -1
        self.queued_ms = NEVER
        self.dirty = False
        self._book = book
        self._count = count

    def take(self, event: AnyEvent, classes: Sequence[RuleClass]) -> int:
        """Buffer an event that is new, or treat it as late; in how many classes it was late (or stored)."""
        if isinstance(event, BacklogDrained):
            self.rejudging.drained(event)
        late = 0
        for book in classes:
            entry = self.entry(event, book)
            site_class = self.classes[book.index]
            last = site_class.clocks.get(event.source_id) if book.per_source else site_class.frontier
            if event.stored or (last is not None and entry < last):  # before what was last released: late
                self._late(site_class, event)
                late += 1
            else:
                heappush(self.queue, entry)
        return late

    def entry(self, event: AnyEvent, book: RuleClass) -> Entry:
        """The event's place in the queue for one class; a record's version stands in for its seq."""
        seq = event.version if isinstance(event, ConfigurationRecord) else event.seq
        order = -1 if seq is None else seq
        release_ms = event.at_ms + book.bound_ms
        return (release_ms, book.index, EVENT, event.source_id, order, event.event_id, self._count(), event)

    def release(self, watermark_ms: int) -> bool:
        """Give the rules everything that lies before ``watermark_ms``; whether that changed the site."""
        queue, changed = self.queue, False
        while queue and queue[0][0] < watermark_ms:
            entry = heappop(queue)
            if entry[2] == EVENT:
                self._release_event(entry)
                changed = True
            elif entry[2] == DEADLINE:
                changed |= self._release_deadline(entry)
            else:
                changed |= self._release_requests(entry)
        return changed

    def _release_event(self, entry: Entry) -> None:
        event = entry[7]
        site_class = self.classes[entry[1]]
        if site_class.book.per_source:
            site_class.clocks[entry[3]] = entry  # never before what it replaces: then the event had been late
        else:
            site_class.frontier = entry
        kind, view = event.__class__, site_class.view
        if kind in VIEW_KINDS:
            self._fold(view, event)
            if isinstance(event, ReferenceErased):
                self._erase(site_class, event)
        for judge in site_class.judges.get(kind, ()):
            judge.on_event(event, view)

    def _fold(self, view: SiteView, event: AnyEvent) -> None:
        """Take a record over, unless it sets a number that its rule may not have: then the one before holds."""
        if isinstance(event, ThresholdConfigured) and self._book.passes_over(event):
            pass_over(view, event)
        else:
            apply_record(view, event)

    def _erase(self, site_class: SiteClass, record: ReferenceErased) -> None:
        """States whose key names what was erased end here, without a finding."""
        eraser = Eraser([erasure_of(record)])
        for unit in site_class.book.units:
            self.judges[unit.name].erase(record.site_id, eraser)

    def _release_deadline(self, entry: Entry) -> bool:
        slot: Slot = entry[7]
        site_class = self.classes[entry[1]]
        due_ms = entry[0] - site_class.book.bound_ms
        if slot.queued_ms != due_ms:
            return False
        judge, key = self.judges[entry[3]], cast(str, entry[4])
        if slot.deadline_ms != due_ms:
            judge.put_off(key, slot)
            return False
        site_class.deadline_released(entry, slot.source_id)
        judge.on_deadline(key, slot, due_ms, site_class.view)
        return True

    def _release_requests(self, entry: Entry) -> bool:
        requests = self.rejudging.due(entry, self._book.units)
        for request in requests:
            self.desk.request(request.rules, request.from_ms, request.to_ms)
        return bool(requests)

    def _late(self, site_class: SiteClass, event: AnyEvent) -> None:
        """Instant rules take a late event at once; for the others it widens a window to judge again."""
        if event.__class__ in VIEW_KINDS:
            self._fold(site_class.view, event)  # configuration is never late unless clocks broke; it is never lost
        missed = []
        for judge in site_class.judges.get(type(event), ()):
            if judge.unit.instant:
                judge.on_event(event, site_class.view, event.received_ms - event.at_ms)
            elif judge.unit.rejudged and judge.keys_of(event, site_class.view):
                missed.append(judge.unit.name)
        if missed:
            window = self.rejudging.window_of(event)
            if window is not None:
                self.rejudging.mark(window, event, tuple(missed))


def is_late_telemetry(event: Event, late: int) -> bool:
    """Whether an event that was late in ``late`` classes only goes to results."""
    return late > 0 and is_telemetry(event)
