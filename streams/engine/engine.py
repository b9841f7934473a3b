"""The engine: batches of one partition in, findings and requests out. Pure: no clock, no I/O.

State and outputs are functions of the log alone (docs/protocol.md). A driver reads records in order of position,
feeds each once, keeps what comes out, and now and then keeps :meth:`Engine.snapshot` rows and the
:meth:`Engine.manifest`.

After any error but :class:`LogBroken` on entry the engine must not be used again: restore a new one.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any

import msgspec

from contracts.batch import Batch
from contracts.erasure import UNKEYED, ReferenceKey
from contracts.errors import LogBroken
from contracts.events import RECORD_TYPES, AnyEvent, ClockStepped, ThresholdConfigured
from contracts.findings import Output
from contracts.names import partition_of
from detectors.core.rule import Rule
from streams.engine.finding_emitter import unreadable
from streams.engine.manifest import (
    PartitionManifest,
    check_manifest,
    covered,
    decode_manifest,
    encode_manifest,
    first_to_read,
)
from streams.engine.rulebook import LatenessGroup, Rulebook
from streams.engine.site_state import NEVER, SiteState, is_late_telemetry
from streams.engine.snapshot import SiteRow, SnapshotRow, decode_row, encode_site, load_site


class EngineCounts(msgspec.Struct):
    """Counts since this engine was made; for metrics, no part of the state."""

    events: int = 0
    duplicates: int = 0
    ids_reused: int = 0
    """Events whose id their device had used before, for something else; each is judged under an id of its own."""
    late: int = 0
    late_telemetry: int = 0
    thresholds_passed_over: int = 0
    """Records of a site's own number that no rule reads or that is out of its range; the number before it holds."""


class SnapshotAnchor(msgspec.Struct, frozen=True):
    """A record that snapshots rest on: the driver re-reads it on opening; another hash means ``log_replaced``."""

    position: int
    record_hash: bytes


class Engine:
    """All rules over all sites of one partition. ``reference_key``: by which it recognises what was erased."""

    def __init__(
        self,
        rules: Sequence[Rule[Any]],
        *,
        partition: int,
        partitions: int,
        log_id: str,
        reference_key: ReferenceKey = UNKEYED,
    ) -> None:
        self.counts = EngineCounts()
        self.anchors: tuple[SnapshotAnchor, ...] = ()
        self._book = Rulebook(rules, reference_key)
        self._partition, self._partitions, self._log_id = partition, partitions, log_id
        self._count = itertools.count().__next__
        self._next = 0
        self._generation = 0
        self._sites: dict[str, SiteState] = {}
        self._rows: dict[str, int] = {}
        self._dirty: dict[str, int] = {}  # site → first position that changed it since its row, oldest first
        self._due: list[tuple[int, str]] = []  # one heap of all sites' next release times
        self._asleep: list[tuple[int, str]] = []  # restored sites whose rows reach beyond ``_next``, farthest first

    @property
    def digest(self) -> str:
        """The digest of these rules and the schemas of their states."""
        return self._book.digest

    @property
    def versions(self) -> dict[str, int]:
        """The version of each rule, by name."""
        return {name: unit.version for name, unit in self._book.rules.items()}

    @property
    def next_position(self) -> int:
        """The position to be fed next."""
        return self._next

    def feed(self, batch: Batch, position: int) -> list[Output]:
        """Return the outputs that the record at ``position`` decides, in order; [] when it was fed before.

        Raises:
            LogBroken: positions are missing before it, or it is another partition's.
        """
        if not self._is_next(position):
            return []
        if batch.partition != self._partition:
            raise LogBroken(f"position {position} holds partition {batch.partition}, this is {self._partition}")
        self._wake(position)
        out: list[Output] = []
        routes = self._book.routes
        touched: list[SiteState] = []
        for event in batch.events:
            groups = routes.get(event.__class__)
            if groups is not None:
                self._take(event, groups, position, out, touched)
        for site in touched:
            self._queue(site)
        self._release(batch.watermark_ms, position, out)
        self._next = position + 1
        return out

    def misplaced(self, batch: Batch) -> str:
        """Return why a batch is not of this partition; empty when it is. The driver passes such a record over."""
        if batch.partition != self._partition:
            return f"holds partition {batch.partition}, this is {self._partition}"
        for site_id in {event.site_id for event in batch.events}:
            if site_id not in self._sites and partition_of(site_id, self._partitions) != self._partition:
                return f"site {site_id} does not live in partition {self._partition} of {self._partitions}"
        return ""

    def unreadable(self, position: int, detail: str) -> list[Output]:
        """Return the finding for a record that is no batch of it; the position advances. Raises as :meth:`feed`."""
        if not self._is_next(position):
            return []
        self._wake(position)
        self._next = position + 1
        return [unreadable(self._partition, position, detail)]

    def skip_to(self, position: int) -> None:
        """Go on at ``position`` though records before it are gone. The driver raises ``log_gap`` when it does this.

        Raises:
            LogBroken: the engine is already past ``position``.
        """
        if position < self._next:
            raise LogBroken(f"cannot go back from position {self._next} to {position}")
        self._next = position

    def site_ids(self) -> list[str]:
        """Return every site the partition has seen, the ones with the oldest rows (or none) first."""
        return sorted(self._sites, key=lambda site_id: (self._rows.get(site_id, -1), site_id))

    def changed_sites(self) -> list[str]:
        """Return sites that have changed since their last snapshot, longest ago first."""
        return list(self._dirty)

    def snapshot(self, site_id: str, record_hash: bytes = b"") -> SnapshotRow:
        """Return the site's row at the last position fed; it counts as saved, so keep it before the next manifest.

        ``record_hash`` is the driver's hash of the record last fed.
        """
        site = self._sites[site_id]
        position = max(self._next - 1, site.covered)
        known_hash = record_hash if position == self._next - 1 else b""
        row = encode_site(
            site, log_id=self._log_id, position=position, record_hash=known_hash, digest=self._book.digest
        )
        self._rows[site_id] = position
        self._dirty.pop(site_id, None)
        site.dirty = False
        return row

    def manifest(self, record_hash: bytes = b"", *, drained: bool = False) -> bytes:
        """Return what says which rows stand and how far they reach; to be kept after (or with) the rows it lists.

        ``drained`` hands the partition over to another version of the rules: no record may be fed any more.

        Raises:
            LogBroken: ``drained`` while a site has changed since its row.
        """
        if drained and self._dirty:
            raise LogBroken(f"{len(self._dirty)} sites have changed since their rows; a drain saves every site first")
        position = self._next - 1
        return encode_manifest(
            PartitionManifest(
                log_id=self._log_id,
                partition=self._partition,
                partitions=self._partitions,
                digest=self._book.digest,
                generation=self._generation,
                drained=drained,
                versions=self.versions,
                through=min(self._dirty.values(), default=position + 1) - 1,
                position=position,
                record_hash=record_hash,
                sites=dict(self._rows),
            )
        )

    def restore(self, rows: Sequence[SnapshotRow], manifest: bytes | None) -> int:
        """Take over rows and manifest, of whatever ages; the first position to read. Only on a new engine.

        Without a manifest rows say nothing: the log is read from position 0.

        Raises:
            LogBroken: a row or the manifest is damaged or belongs to another log, partition or set of rules.
        """
        if self._next or self._sites:
            raise LogBroken("restore needs a new engine")
        if manifest is None:
            return 0
        known = decode_manifest(manifest)
        check_manifest(
            known,
            log_id=self._log_id,
            partition=self._partition,
            partitions=self._partitions,
            digest=self._book.digest,
        )
        self._generation = known.generation
        contents = [self._content(row) for row in rows]
        positions = {content.site_id: content.position for content in contents}
        self._next = first_to_read(positions, known)
        for content in contents:
            self._load(content, covered(positions, known)[content.site_id])
        self._asleep.sort(reverse=True)
        self._wake(self._next)
        anchors = {(c.position, c.record_hash) for c in contents} | {(known.position, known.record_hash)}
        self.anchors = tuple(
            SnapshotAnchor(position, record_hash) for position, record_hash in sorted(anchors) if record_hash
        )
        return self._next

    def _is_next(self, position: int) -> bool:
        if position > self._next:
            raise LogBroken(f"positions {self._next} to {position - 1} are missing; fill the gap from the log")
        return position == self._next

    def _take(
        self,
        event: AnyEvent,
        groups: Sequence[LatenessGroup],
        position: int,
        out: list[Output],
        touched: list[SiteState],
    ) -> None:
        """Give an event to its site, which is ``touched`` once, however many it has in this record."""
        if event.__class__ is ClockStepped and not event.shift_ms:
            return
        site = self._sites.get(event.site_id)
        if site is None:
            site = self._new_site(event.site_id)
        elif site.covered >= position:
            return
        self.counts.events += 1
        taken = site.deduplicator.take(event)
        if taken is not event:
            if taken is None:
                self.counts.duplicates += 1
                return
            self.counts.ids_reused += 1
            event = taken
        elif event.__class__ in RECORD_TYPES:
            event = site.deduplicator.numbered(event)
            if type(event) is ThresholdConfigured:
                self.counts.thresholds_passed_over += not self._book.is_followed(event)
        if site.emitter.position != position:
            site.emitter.begin(position, out)
            touched.append(site)
        if event.__class__ is ClockStepped:
            self._shift(site, event.shift_ms, position)
            return
        late = site.take(event, groups)
        if late:
            self.counts.late += 1
            self.counts.late_telemetry += is_late_telemetry(event, late)
        if not site.dirty:
            self._changed(site, position)

    def _shift(self, site: SiteState, by_ms: int, position: int) -> None:
        """Move the site's time: its queue stays as it is, and comes up at other times of the log."""
        site.shift(by_ms)
        site.queued_ms = NEVER
        if not site.dirty:
            self._changed(site, position)

    def _release(self, watermark_ms: int, position: int, out: list[Output]) -> None:
        due = self._due
        while due and due[0][0] < watermark_ms:
            at_ms, site_id = heappop(due)
            site = self._sites[site_id]
            if site.queued_ms != at_ms:
                continue  # an earlier entry has taken its place
            site.queued_ms = NEVER
            if site.emitter.position != position:
                site.emitter.begin(position, out)
            if site.release(watermark_ms - site.offset_ms) and not site.dirty:
                self._changed(site, position)
            self._queue(site)

    def _queue(self, site: SiteState) -> None:
        first_ms = site.first_ms()
        if first_ms < NEVER and first_ms + site.offset_ms < site.queued_ms:
            site.queued_ms = first_ms + site.offset_ms
            heappush(self._due, (site.queued_ms, site.emitter.site_id))

    def _changed(self, site: SiteState, position: int) -> None:
        site.dirty = True
        self._dirty[site.emitter.site_id] = position

    def _new_site(self, site_id: str) -> SiteState:
        if partition_of(site_id, self._partitions) != self._partition:
            raise LogBroken(f"site {site_id} does not live in partition {self._partition} of {self._partitions}")
        site = self._sites[site_id] = SiteState(site_id, self._book, self._count)
        return site

    def _content(self, row: SnapshotRow) -> SiteRow:
        if row.digest != self._book.digest:
            raise LogBroken(f"snapshot of site {row.site_id} is of rules {row.digest}, these are {self._book.digest}")
        content = decode_row(row)
        if content.log_id != self._log_id:
            raise LogBroken(f"log_replaced: snapshot of site {row.site_id} is of log {content.log_id}")
        return content

    def _load(self, content: SiteRow, covers: int) -> None:
        site_id = content.site_id
        if site_id in self._sites:
            raise LogBroken(f"two snapshots of site {site_id}")
        site = self._sites[site_id] = load_site(content, self._book, self._count)
        site.covered = covers
        self._rows[site_id] = content.position
        self._asleep.append((covers, site_id))

    def _wake(self, position: int) -> None:
        """Let restored sites take part from the first position that their rows do not cover."""
        while self._asleep and self._asleep[-1][0] < position:
            self._queue(self._sites[self._asleep.pop()[1]])
