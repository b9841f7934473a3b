"""What the demo says of itself at its end, counted from what lies on disk: nothing lost, nothing twice, how fast."""

from __future__ import annotations

import collections
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import msgspec

from contracts.batch import decode_batch
from contracts.events import AnyEvent, ConfigurationRecord, Event
from contracts.findings import Finding, Phase, Severity
from contracts.rules import RuleFacts
from delivery.receivers.webhook.stand_in import StandIn
from detectors.core.rule import Outcome
from detectors.core.site_view import SiteView
from edge.spool.box_db import BoxDb
from incidents.store.schema import findings, incidents
from incidents.store.store import Store
from ingest.shard.dead_letters import DeadLetters
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.engine.engine import Engine
from streams.log.sqlite.day_log import DayLog

READ_RECORDS = 512
BOX_FILE = Path("box", "box.db")


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The demo's last word. ``lost`` and ``duplicates`` must be 0.

    ``lost``: events published and not refused that are not in the log, rows that the box numbered, holds no longer and
    the log does not have, and incidents without an accepted delivery. ``duplicates``: events applied twice, and news
    accepted twice under different keys.
    """

    events: int
    findings: dict[str, int]
    incidents: dict[str, int]
    from_video: dict[str, int]
    lost: int
    duplicates: int
    rejected: int
    latency_ms: dict[str, int]
    lost_from: dict[str, int]
    """``lost``, taken apart: devices (their promise begins at the log), boxes, and incidents nobody was told of."""


class Published(msgspec.Struct, frozen=True):
    """One event that was handed to the broker."""

    site_id: str
    event_id: str
    from_box: bool


class _Applied(msgspec.Struct, frozen=True):
    v: int = 1


class CountingRule:
    """Not a rule of the product: it counts what the engine applies, so that an event applied twice shows."""

    name: ClassVar[str] = "audit"
    version: ClassVar[int] = 1
    accepts: ClassVar[tuple[type[Event], ...]] = tuple(AnyEvent.__args__)
    max_out_of_orderness_ms: ClassVar[int] = 0
    horizon_ms: ClassVar[int | None] = None
    instant: ClassVar[bool] = True  # late events count too
    receipt: ClassVar[bool] = True
    facts: ClassVar[RuleFacts] = RuleFacts(severity=Severity.INFO)
    state_type = _Applied

    def __init__(self) -> None:
        self.times: collections.Counter[tuple[str, str]] = collections.Counter()

    def keys_of(self, event: Event, site: SiteView) -> tuple[str, ...]:
        """Count the event; name no key."""
        # a record that another store says again is another one: its numbers begin anew
        said = f"{event.store}/{event.event_id}" if isinstance(event, ConfigurationRecord) else event.event_id
        self.times[event.site_id, said] += 1
        return ()

    def initial(self, key: str) -> _Applied:
        """Return a state that is never asked for."""
        return _Applied()

    def on_event(self, state: _Applied, event: Event, site: SiteView) -> Outcome[_Applied]:
        """Return an outcome that is never asked for."""
        return Outcome(None)

    def deadline_ms(self, state: _Applied) -> int | None:
        """Return None: it waits for nothing."""
        return None

    def on_deadline(self, state: _Applied, due_ms: int, site: SiteView) -> Outcome[_Applied]:
        """Return an outcome that is never asked for."""
        return Outcome(None)


def audit(folder: Path, published: Mapping[str, Published], receiver: StandIn, live_ms: int) -> Report:
    """Count everything in ``folder`` after its processes have ended.

    Args:
        published: SHA-256 of each payload → what it was.
        receiver: who was told.
        live_ms: when live publishing began; latency counts what was due after it.
    """
    batches = [decode_batch(data) for data in _records(folder)]
    events = [event for batch in batches for event in batch.events]
    rule = CountingRule()
    engine = Engine([rule], partition=0, partitions=1, log_id="audit")
    for position, batch in enumerate(batches):
        engine.feed(batch, position)
    engine.feed(msgspec.structs.replace(batches[-1], events=(), watermark_ms=2**53), len(batches))  # the buffer's rest
    refused = _refused(folder)
    logged = {(event.site_id, event.event_id) for event in events}
    decided = _findings(folder)
    told = receiver.told_incidents()
    known, latencies = _incidents(folder, live_ms)
    gone = [p for sha, p in published.items() if sha not in refused and (p.site_id, p.event_id) not in logged]
    lost = {
        "devices": sum(not p.from_box for p in gone),
        "boxes": sum(p.from_box for p in gone) + _rows_lost(events, folder / BOX_FILE),
        "incidents": len(set(known) - told),
    }
    return Report(
        events=len(logged),
        findings=_by_rule(decided),
        incidents=dict(sorted(collections.Counter(known.values()).items())),
        from_video=_from_video(decided),
        lost=sum(lost.values()),
        lost_from=lost,
        duplicates=sum(n - 1 for n in rule.times.values()) + receiver.told_twice(),
        rejected=len(refused),
        latency_ms={"p50": _quantile(latencies, 0.50), "p99": _quantile(latencies, 0.99)},
    )


def _records(folder: Path) -> Iterator[bytes]:
    log = DayLog(folder)
    try:
        position = log.begin()
        while records := log.read(position, READ_RECORDS):
            yield from (record.data for record in records)
            position += len(records)
    finally:
        log.close()


def _findings(folder: Path) -> list[Finding]:
    store = SqliteCheckpointStore(folder / "engine.db")
    try:
        return [finding for _, finding in store.findings_after(0, 10_000_000)]
    finally:
        store.close()


def _by_rule(decided: list[Finding]) -> dict[str, int]:
    return dict(sorted(collections.Counter(f.rule for f in decided if f.phase is Phase.OPEN).items()))


def _from_video(decided: list[Finding]) -> dict[str, int]:
    """Return rule → its episodes with pictures: these come with a later finding, the word goes first."""
    seen = {finding.open_id: finding.rule for finding in decided if finding.evidence}
    return dict(sorted(collections.Counter(seen.values()).items()))


def _incidents(folder: Path, live_ms: int) -> tuple[dict[str, str], list[int]]:
    """Return incident → scenario, and how long after their due time live findings were on the feed, ms."""
    store = Store(f"sqlite:///{folder / 'incidents.db'}")
    try:
        with store.read() as connection:
            known = {
                str(row[0]): str(row[1])
                for row in connection.execute(
                    incidents.select().with_only_columns(incidents.c.incident_id, incidents.c.scenario)
                )
            }
            times = connection.execute(
                findings.select()
                .with_only_columns(findings.c.taken_ms - findings.c.due_ms)
                .where(findings.c.due_ms >= live_ms)
            )
            return known, sorted(max(0, int(row[0])) for row in times)
    finally:
        store.close()


def _refused(folder: Path) -> set[str]:
    letters = DeadLetters(folder / "dead-letters")
    try:
        return {letter.sha256 for letter in letters.list(1_000_000)}
    finally:
        letters.close()


class _LaneOfBox(msgspec.Struct):
    """A box's view of one lane: the highest number it gave, and the numbers it still holds."""

    highest: int = 0
    held: set[int] = msgspec.field(default_factory=set)


def _rows_lost(events: list[AnyEvent], box_file: Path) -> int:
    """Count rows numbered from 1 on, held no longer, and not in the log; lane by lane of each spool."""
    logged: dict[tuple[str, str], set[int]] = collections.defaultdict(set)
    for event in events:
        if event.spool is not None:
            logged[event.spool.spool_id, event.spool.lane].add(event.spool.seq)
    known = _lanes_of_box(box_file) if box_file.exists() else {}
    lost = 0
    for key in known.keys() | logged.keys():
        lane = known.get(key, _LaneOfBox())
        highest = max(lane.highest, *logged[key], 0)
        lost += len(set(range(1, highest + 1)) - lane.held - logged[key])
    return lost


def _lanes_of_box(file: Path) -> dict[tuple[str, str], _LaneOfBox]:
    lanes: dict[tuple[str, str], _LaneOfBox] = collections.defaultdict(_LaneOfBox)
    db = BoxDb(file)
    try:
        with db.reading() as connection:
            for spool_id, lane, next_seq in connection.execute("SELECT id, lane, next_seq FROM spool, lane"):
                lanes[spool_id, lane].highest = next_seq - 1
            for spool_id, lane, seq in connection.execute("SELECT id, lane, seq FROM spool, row WHERE seq IS NOT NULL"):
                lanes[spool_id, lane].held.add(seq)
    finally:
        db.close()
    return dict(lanes)


def _quantile(ordered: list[int], q: float) -> int:
    """Return the nearest-rank quantile; 0 of nothing."""
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)] if ordered else 0
