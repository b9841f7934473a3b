"""An edge box's two-lane spool as its rows reach ingest: numbers, outages, backlog, resends, "drained".

See docs/protocol.md#box-spools.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec

from contracts.events import AnyEvent, BacklogDrained, Lane, SpoolMark, is_life_safety
from simulator.faults import FaultKind
from simulator.script import Script

replace = msgspec.structs.replace

FRESH_MS = 10_000
"""A row older than this at its first send goes to the backlog, and whatever is sent so late is marked stored."""
BACKLOG_PAUSE_MS = 50
"""The backlog lane is rate-limited to 20 rows a second."""
RECONNECT_MS = 1_200
RESENT_ROWS = 3
"""Rows sent just before the network went, whose acknowledgement was lost: they are sent again after it."""

Take = Callable[[AnyEvent, int], None]
Outage = tuple[int, int]


def send_spool(script: Script, box_id: str, events: list[AnyEvent], take: Take) -> None:
    """Send a box's ``events`` (by ``at_ms``) through its spool; ``take(event, received_ms)`` accepts them."""
    rng = script.stream(f"{box_id}/spool")
    outages = _outages(script, box_id)
    spool_id = f"sp-{rng.getrandbits(48):012x}"
    live, backlog = _lanes(events, outages)
    drained = _send_backlog(box_id, spool_id, backlog, take)
    for at_ms in drained:
        live.append((_drained(script, box_id, spool_id, at_ms), at_ms))
    live.sort(key=lambda row: row[1])
    _send_live(rng, box_id, spool_id, live, outages, take)


def _outages(script: Script, box_id: str) -> list[Outage]:
    """Return the box's times without network, in order, joined where they touch."""
    spans = sorted((f.from_ms, f.to_ms) for f in script.faults if f.kind is FaultKind.OFFLINE and f.device_id == box_id)
    joined: list[Outage] = []
    for from_ms, to_ms in spans:
        if joined and from_ms <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(to_ms, joined[-1][1]))
        else:
            joined.append((from_ms, to_ms))
    return joined


def _lanes(events: list[AnyEvent], outages: list[Outage]) -> tuple[list[tuple[AnyEvent, int]], list[list[AnyEvent]]]:
    """Return live rows with the earliest time they can be sent, and each outage's backlog rows, its reconnect last."""
    live: list[tuple[AnyEvent, int]] = []
    backlogs: list[list[AnyEvent]] = [[] for _ in outages]
    for event in events:
        number = next((n for n, (a, b) in enumerate(outages) if a <= event.at_ms < b), None)
        if number is None:
            live.append((event, event.at_ms))
            continue
        back_ms = outages[number][1] + RECONNECT_MS
        stored = back_ms - event.at_ms > FRESH_MS
        if not stored or is_life_safety(event):
            live.append((replace(event, stored=stored), back_ms))
        else:
            backlogs[number].append(replace(event, stored=True, received_ms=back_ms))
    return live, backlogs


def _send_backlog(box_id: str, spool_id: str, backlogs: list[list[AnyEvent]], take: Take) -> list[int]:
    """Send each outage's rows after its reconnect; returns when each backlog was empty."""
    seq, drained = 0, []
    for rows in backlogs:
        sent_ms = 0
        for event in rows:
            seq += 1
            sent_ms = max(sent_ms, event.received_ms) + BACKLOG_PAUSE_MS
            take(_marked(event, box_id, spool_id, Lane.BACKLOG, seq), sent_ms)
        if rows:
            drained.append(sent_ms + BACKLOG_PAUSE_MS)
    return drained


def _send_live(
    rng: random.Random,
    box_id: str,
    spool_id: str,
    rows: list[tuple[AnyEvent, int]],
    outages: list[Outage],
    take: Take,
) -> None:
    """Send the live lane in order: no row overtakes another, and after an outage the last ones come again."""
    pending = list(outages)
    sent: list[AnyEvent] = []
    last_ms = 0
    for seq, (event, ready_ms) in enumerate(rows, start=1):
        if pending and ready_ms >= pending[0][1]:
            last_ms = max(last_ms, pending[0][1] + RECONNECT_MS)
            for old in sent[-RESENT_ROWS:]:
                take(replace(old, stored=True), last_ms)
            pending.pop(0)
        marked = _marked(event, box_id, spool_id, Lane.LIVE, seq)
        last_ms = max(last_ms, ready_ms + 30 + min(420, int(rng.expovariate(1 / 60))))
        take(marked, last_ms)
        sent = [*sent[1 - RESENT_ROWS :], marked]


def _marked(event: AnyEvent, box_id: str, spool_id: str, lane: Lane, seq: int) -> AnyEvent:
    mark = SpoolMark(box_id=box_id, spool_id=spool_id, lane=lane, seq=seq)
    return replace(event, event_id=f"{spool_id}-{lane}-{seq}", spool=mark)


def _drained(script: Script, box_id: str, spool_id: str, at_ms: int) -> BacklogDrained:
    place_id = script.community.device(box_id).place_id
    return BacklogDrained(
        **script.header(box_id, place_id, at_ms),
        spool_id=spool_id,
    )
