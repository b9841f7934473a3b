"""One rule over one site: it keeps the rule's states, calls it, and holds it to its contract.

See docs/protocol.md#rules-that-fail.

A rule that raises or breaks its contract leaves its state as it was, and a finding ``rule_failed`` says so. That is
part of the pure function: replay gives the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from heapq import heappush
from typing import Any

import msgspec

from contracts.erasure import Eraser
from contracts.events import Event, Origin
from contracts.findings import Finding
from detectors.core.rule import MAX_KEYS, MAX_STATE_BYTES
from detectors.core.site_view import SiteView
from streams.engine.finding_emitter import MAX_KEY, Cause, Desk, Failure, Misbehaved, cause_of
from streams.engine.release_order import DEADLINE, Entry
from streams.engine.rulebook import Unit


class StateRow(msgspec.Struct, frozen=True, array_like=True):
    """One key's state in a snapshot. ``struck``: its deadline failed, and it has none until its next event."""

    key: str
    state: msgspec.Raw
    struck: bool
    source_id: str
    origin: Origin


class Slot:
    """One key's state. ``source_id`` and ``origin`` are those of the event that last changed it.

    ``queued_ms`` is the deadline under which the queue holds it: a deadline that moves later is put off when the
    earlier one comes up, so a key has one entry however often its deadline moves.
    """

    __slots__ = ("deadline_ms", "origin", "queued_ms", "source_id", "state", "struck")

    def __init__(self, state: msgspec.Struct, source_id: str, origin: Origin) -> None:
        self.state = state
        self.source_id = source_id
        self.origin = origin
        self.deadline_ms: int | None = None
        self.queued_ms: int | None = None
        self.struck = False


class Judge:
    """One rule's states of one site."""

    __slots__ = (
        "_count",
        "_deadline_ms",
        "_desk",
        "_index",
        "_initial",
        "_keys_of",
        "_queue",
        "_rule_on_event",
        "slots",
        "unit",
    )

    def __init__(self, unit: Unit, index: int, desk: Desk, queue: list[Entry], count: Callable[[], int]) -> None:
        self.unit = unit
        self.slots: dict[str, Slot] = {}
        self._index = index
        self._desk = desk
        self._queue = queue
        self._count = count
        rule = unit.rule
        self._keys_of, self._initial = rule.keys_of, rule.initial
        self._rule_on_event, self._deadline_ms = rule.on_event, rule.deadline_ms

    def keys_of(self, event: Event, view: SiteView, late_by_ms: int = 0) -> Sequence[str]:
        """The keys the rule names for ``event``; none when it fails, which is handed in."""
        try:
            keys = self._keys_of(event, view)
            if len(keys) > 1:
                _check_keys(keys)
            return keys
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - the border to rules: whatever they raise is a finding
            self._desk.failed(self.unit, "", error, cause_of(event, self.unit.bound_ms, late_by_ms))
            return ()

    def on_event(self, event: Event, view: SiteView, late_by_ms: int = 0) -> None:
        """Give ``event`` to each of its keys."""
        for key in self.keys_of(event, view, late_by_ms):
            self._on_event(key, event, view, late_by_ms)

    def on_deadline(self, key: str, slot: Slot, due_ms: int, view: SiteView) -> None:
        """Give a due deadline to its key."""
        unit = self.unit
        cause = Cause(due_ms, due_ms + unit.bound_ms, slot.origin, self._desk.site_id)
        slot.queued_ms = None
        try:
            outcome = unit.rule.on_deadline(slot.state, due_ms, view)
            state = outcome.state
            deadline_ms = None
            if state is not None:
                deadline_ms = self._checked(state)
                if deadline_ms is not None and deadline_ms <= due_ms:
                    raise Misbehaved(Failure.DEADLINE_NOT_LATER)
            findings = self._desk.findings(unit, key, outcome.drafts, view, cause) if outcome.drafts else ()
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - the border to rules: whatever they raise is a finding
            slot.deadline_ms, slot.struck = None, True
            self._desk.failed(unit, key, error, cause)
            return
        self._desk.hand_in(findings)
        if state is None:
            del self.slots[key]
        else:
            slot.state = state
            self.schedule(key, slot, deadline_ms)

    def erase(self, site_id: str, eraser: Eraser) -> None:
        """Forget the keys that name what was erased: an erasure covers all that came before it."""
        for key in [key for key in self.slots if eraser.text(site_id, key, 0) != key]:
            self._forget(key, self.slots[key])

    def put_off(self, key: str, slot: Slot) -> None:
        """The queue's entry for ``slot`` came up, but its deadline has moved: queue it again."""
        slot.queued_ms = None
        self.schedule(key, slot, slot.deadline_ms)

    def schedule(self, key: str, slot: Slot, deadline_ms: int | None) -> None:
        """Set the slot's deadline, and queue it unless an earlier entry will find it."""
        slot.deadline_ms = deadline_ms
        if deadline_ms is not None and (slot.queued_ms is None or deadline_ms < slot.queued_ms):
            slot.queued_ms = deadline_ms
            name, release_ms = self.unit.name, deadline_ms + self.unit.bound_ms
            heappush(self._queue, (release_ms, self._index, DEADLINE, name, key, "", self._count(), slot))

    def rows(self) -> tuple[StateRow, ...]:
        """The states for a snapshot, in order of key."""
        return tuple(
            StateRow(key, msgspec.Raw(_ENCODER.encode(slot.state)), slot.struck, slot.source_id, slot.origin)
            for key, slot in sorted(self.slots.items())
        )

    def load(self, rows: Sequence[StateRow]) -> None:
        """Take the states of a snapshot; deadlines follow from them."""
        decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(self.unit.state_type)
        for row in rows:
            slot = Slot(decoder.decode(row.state), row.source_id, row.origin)
            slot.struck = row.struck
            self.slots[row.key] = slot
            self.schedule(row.key, slot, None if row.struck else self.unit.rule.deadline_ms(slot.state))

    def _on_event(self, key: str, event: Event, view: SiteView, late_by_ms: int) -> None:
        slot: Slot | None = None
        findings: Sequence[Finding] = ()
        try:
            slot = self.slots.get(key)
            before = self._initial(_key(key)) if slot is None else slot.state
            outcome = self._rule_on_event(before, event, view)
            state = outcome.state
            deadline_ms = None
            if slot is not None and state is before and not slot.struck:
                deadline_ms = slot.deadline_ms  # a function of the state, which is the same
            elif state is not None:
                deadline_ms = self._checked(state)
                if deadline_ms is not None and deadline_ms < event.at_ms:
                    raise Misbehaved(Failure.DEADLINE_BEFORE_EVENT)
            if outcome.drafts:
                cause = cause_of(event, self.unit.bound_ms, late_by_ms)
                findings = self._desk.findings(self.unit, key, outcome.drafts, view, cause)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - the border to rules: whatever they raise is a finding
            self._desk.failed(self.unit, key, error, cause_of(event, self.unit.bound_ms, late_by_ms))
            return
        if findings:
            self._desk.hand_in(findings)
        if state is None:
            self._forget(key, slot)
        elif slot is None:
            slot = self.slots[key] = Slot(state, event.source_id, event.origin)
            self.schedule(key, slot, deadline_ms)
        elif state is not before or slot.struck:
            if state != slot.state:
                slot.source_id, slot.origin = event.source_id, event.origin
            slot.state, slot.struck = state, False
            self.schedule(key, slot, deadline_ms)

    def _forget(self, key: str, slot: Slot | None) -> None:
        if slot is not None:
            slot.queued_ms = None  # what the queue still holds for it is void
            del self.slots[key]

    def _checked(self, state: msgspec.Struct) -> int | None:
        """The deadline of a state that may be kept. Encoding it at every change costs a quarter of a microsecond."""
        if state.__class__ is not self.unit.state_type:
            raise Misbehaved(Failure.WRONG_STATE)
        _ENCODER.encode_into(state, _BUFFER)
        if len(_BUFFER) > MAX_STATE_BYTES:
            del _BUFFER[MAX_STATE_BYTES:]
            raise Misbehaved(Failure.STATE_TOO_LARGE)
        deadline_ms = self._deadline_ms(state)
        if deadline_ms is not None and deadline_ms.__class__ is not int:
            raise TypeError("a deadline is whole milliseconds")
        return deadline_ms


def _check_keys(keys: Sequence[str]) -> None:
    if len(keys) > MAX_KEYS:
        raise Misbehaved(Failure.TOO_MANY_KEYS)
    if any(before >= after for before, after in itertools.pairwise(keys)):
        raise Misbehaved(Failure.BAD_KEY)  # unsorted, or twice the same


def _key(key: str) -> str:
    if not 0 < len(key) <= MAX_KEY:
        raise Misbehaved(Failure.BAD_KEY)
    return key


_ENCODER = msgspec.msgpack.Encoder()
_BUFFER = bytearray(MAX_STATE_BYTES)
"""Scratch space to measure a state in: encode_into needs no allocation. The engine is single-threaded."""
