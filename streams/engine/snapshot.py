"""A snapshot row: one site's whole state, compressed, with the position it covers (docs/protocol.md#snapshots)."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from heapq import heappush
from typing import Any

import msgspec

from contracts.errors import LogBroken, Permanent
from contracts.events import AnyEvent
from detectors.core.site_view import SiteView
from streams.engine.deduplicator import Deduplicator, DedupRow
from streams.engine.rejudge import RejudgeRow
from streams.engine.release_order import Frontier, entry_of, frontier_of
from streams.engine.rule_runner import StateRow
from streams.engine.rulebook import ROW_VERSION, VIEW_KINDS, Rulebook
from streams.engine.shared_buffers import SharedBuffers, fold, unfold
from streams.engine.site_state import SiteLatenessGroup, SiteState, order_of

MAX_ROW_BYTES = 8 * 1024 * 1024
_LEVEL = 1  # a third of level 6's time for 1.15 times its size
_MAX_RAW_BYTES = 256 * 1024 * 1024  # a damaged row must not fill the memory
SHARED_FROM = 1_000
"""So many buffered events, counted in each group: from there on each event is written once.

Below it rows keep the form that earlier versions read as well: during an upgrade a partition goes to and fro between
workers of both.
"""
SHARED_ROW_VERSION = 2
SHIFTED_ROW_VERSION = 3
"""The schema of a row whose site's time was shifted: older programs would lose that, so they refuse it."""


class RowTooLarge(Permanent):
    """A site's row does not fit a store now. The row before it stands; the log has the rest."""


class SnapshotRow(msgspec.Struct, frozen=True):
    """A row as its store keeps it. ``position`` is the last one it covers, ``digest`` that of the rules."""

    site_id: str
    digest: str
    position: int
    data: bytes


class LatenessGroupRow(msgspec.Struct, frozen=True, array_like=True):
    """One lateness group: which of the row's views it has, what it last released, and its buffer in order."""

    max_out_of_orderness_ms: int
    view: int
    frontier: Frontier | None
    clocks: dict[str, Frontier]
    events: tuple[AnyEvent, ...]


class SiteRow(msgspec.Struct, frozen=True, array_like=True):
    """The content of a row. ``record_hash`` is the driver's hash of the record at ``position`` (empty: not given)."""

    v: int
    site_id: str
    log_id: str
    position: int
    record_hash: bytes
    views: tuple[SiteView, ...]
    groups: tuple[LatenessGroupRow, ...]
    states: dict[str, tuple[StateRow, ...]]
    dedup: DedupRow
    rejudging: RejudgeRow

    @property
    def offset_ms(self) -> int:
        """The log's time less the site's own."""
        return 0


class SharedSiteRow(SiteRow, frozen=True, array_like=True):
    """A row of schema 2: the buffers of ``groups`` are empty, ``shared`` has each event once."""

    shared: SharedBuffers


class ShiftedSiteRow(SiteRow, frozen=True, array_like=True):
    """A row of schema 3: its site's time lies ``offset_ms`` before the log's. ``shared`` as in schema 2, or None."""

    shared: SharedBuffers | None
    offset_ms: int


def encode_site(site: SiteState, *, log_id: str, position: int, record_hash: bytes, digest: str) -> SnapshotRow:
    """Return the row of a site that has seen the log up to ``position``.

    Raises:
        RowTooLarge: when it is over 8 MiB, as while a very long queue waits in its buffers.
    """
    views, numbers = _distinct([site_group.view for site_group in site.groups])
    row = SiteRow(
        ROW_VERSION,
        site.emitter.site_id,
        log_id,
        position,
        record_hash,
        views,
        tuple(_group_row(site, group, view) for group, view in zip(site.groups, numbers, strict=True)),
        {name: rows for name, runner in site.runners.items() if (rows := runner.rows())},
        site.deduplicator.row(),
        site.rejudging.row(),
    )
    return encode_row(_shifted(row, site.offset_ms) if site.offset_ms else row, digest)


def encode_row(content: SiteRow, digest: str) -> SnapshotRow:
    """Return the content as a store keeps it.

    Raises:
        RowTooLarge: when it is over 8 MiB, as while a very long queue waits in its buffers.
    """
    raw = _ENCODER.encode(_folded(content))
    data = zlib.compress(raw, _LEVEL)
    if len(data) > MAX_ROW_BYTES or len(raw) > _MAX_RAW_BYTES:
        waiting = max(len(group.events) for group in content.groups)
        raise RowTooLarge(
            f"snapshot of site {content.site_id} is {len(data)} bytes, at most {MAX_ROW_BYTES} fit a store; "
            f"{waiting} events wait in it"
        )
    return SnapshotRow(content.site_id, digest, content.position, data)


def decode_row(row: SnapshotRow) -> SiteRow:
    """Return the content of a stored row.

    Raises:
        LogBroken: when it is damaged, of another site or position than its label says, or of a newer schema.
    """
    try:
        inflate = zlib.decompressobj()
        raw = inflate.decompress(row.data, _MAX_RAW_BYTES)
        if not inflate.eof:
            raise LogBroken(f"snapshot of site {row.site_id} is cut or over {_MAX_RAW_BYTES} bytes")
        content = _unfolded(_DECODERS[_version(row.site_id, raw)].decode(raw))
    except (zlib.error, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LogBroken(f"snapshot of site {row.site_id} at position {row.position} cannot be read: {error}") from None
    if (content.site_id, content.position) != (row.site_id, row.position):
        raise LogBroken(f"snapshot labelled {row.site_id}@{row.position} holds {content.site_id}@{content.position}")
    return content


def load_site(content: SiteRow, book: Rulebook, count: Callable[[], int]) -> SiteState:
    """Return the site that a row describes; its queue is made anew from its buffers and states."""
    site = SiteState(content.site_id, book, count)
    site.offset_ms = site.emitter.offset_ms = content.offset_ms
    by_bound = {row.max_out_of_orderness_ms: row for row in content.groups}
    for site_group in site.groups:
        row = by_bound.get(site_group.group.max_out_of_orderness_ms) or _begun(
            content.groups, site_group.group.max_out_of_orderness_ms
        )
        _load_group(site, site_group, row, _allowed(content.views[row.view], book))
    for name, rows in content.states.items():
        if name in site.runners:
            site.runners[name].load(rows)
    site.deduplicator = Deduplicator(content.dedup, _newest_ms(content.groups) + content.offset_ms)
    site.rejudging.load(content.rejudging, book.rules)
    return site


def _group_row(site: SiteState, site_group: SiteLatenessGroup, view: int) -> LatenessGroupRow:
    max_out_of_orderness_ms, index = site_group.group.max_out_of_orderness_ms, site_group.group.index
    last = site_group.frontier
    waiting = sorted(entry for entry in site.waiting if entry[1] == index)
    return LatenessGroupRow(
        max_out_of_orderness_ms,
        view,
        None if last is None else frontier_of(last, max_out_of_orderness_ms),
        {source: frontier_of(entry, max_out_of_orderness_ms) for source, entry in site_group.clocks.items()},
        tuple(entry[7] for entry in waiting),
    )


def _load_group(site: SiteState, site_group: SiteLatenessGroup, row: LatenessGroupRow, view: SiteView) -> None:
    group = site_group.group
    site_group.view = _copy(view)
    if row.frontier is not None:
        site_group.frontier = entry_of(row.frontier, group.max_out_of_orderness_ms, group.index)
    site_group.clocks = {
        source: entry_of(last, group.max_out_of_orderness_ms, group.index) for source, last in row.clocks.items()
    }
    for event in row.events:
        heappush(site.waiting, site.entry(event, order_of(event), group))


def _newest_ms(rows: Sequence[LatenessGroupRow]) -> int:
    """Return the newest time, on the site's line, of what it had taken: it was released, or it waits."""
    released = [row.frontier.at_ms for row in rows if row.frontier is not None]
    released += [last.at_ms for row in rows for last in row.clocks.values()]
    return max([0, *released, *(event.at_ms for row in rows for event in row.events)])


def _begun(rows: Sequence[LatenessGroupRow], max_out_of_orderness_ms: int) -> LatenessGroupRow:
    """Return a group that an earlier version did not have: it knows the site and its time as the nearest one does."""
    nearest = min(rows, key=lambda row: abs(row.max_out_of_orderness_ms - max_out_of_orderness_ms))
    records = tuple(event for event in nearest.events if event.__class__ in VIEW_KINDS)
    return msgspec.structs.replace(nearest, max_out_of_orderness_ms=max_out_of_orderness_ms, events=records)


def _distinct(views: Sequence[SiteView]) -> tuple[tuple[SiteView, ...], list[int]]:
    """Return views without repetitions, and each one's number among them: groups mostly agree."""
    distinct: list[SiteView] = []
    numbers = []
    for view in views:
        if view not in distinct:
            distinct.append(view)
        numbers.append(distinct.index(view))
    return tuple(distinct), numbers


def _allowed(view: SiteView, book: Rulebook) -> SiteView:
    """Return the view without numbers that their rules may not have: snapshots of earlier versions hold them."""
    kept = {key: value for key, value in view.thresholds.items() if not book.refuses(key, value)}
    return msgspec.structs.replace(view, thresholds=kept)


def _copy(view: SiteView) -> SiteView:
    """Return a view whose tables are its own: each group folds its records at its own time."""
    tables = {name: dict(value) for name, value in msgspec.structs.asdict(view).items() if isinstance(value, dict)}
    return msgspec.structs.replace(view, **tables)


def _shifted(content: SiteRow, offset_ms: int) -> ShiftedSiteRow:
    return ShiftedSiteRow(**_fields(content) | {"v": SHIFTED_ROW_VERSION}, shared=None, offset_ms=offset_ms)


def _folded(content: SiteRow) -> SiteRow:
    """Return the row as it is written: long buffers have each event once."""
    buffers = tuple(group.events for group in content.groups)
    shared = fold(buffers) if sum(map(len, buffers)) >= SHARED_FROM else None
    if shared is None:
        return content
    groups = tuple(msgspec.structs.replace(group, events=()) for group in content.groups)
    if isinstance(content, ShiftedSiteRow):
        return msgspec.structs.replace(content, groups=groups, shared=shared)
    return SharedSiteRow(**_fields(content) | {"v": SHARED_ROW_VERSION, "groups": groups}, shared=shared)


def _unfolded(row: SiteRow) -> SiteRow:
    """Return a row that was read with its buffers in their groups."""
    if not isinstance(row, SharedSiteRow | ShiftedSiteRow) or row.shared is None:
        return row
    buffers = unfold(row.shared, len(row.groups))
    groups = tuple(msgspec.structs.replace(g, events=e) for g, e in zip(row.groups, buffers, strict=True))
    if isinstance(row, ShiftedSiteRow):
        return msgspec.structs.replace(row, groups=groups, shared=None)
    return SiteRow(**_fields(row) | {"v": ROW_VERSION, "groups": groups})


def _fields(row: SiteRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in SiteRow.__struct_fields__}


def _version(site_id: str, raw: bytes) -> int:
    version = msgspec.msgpack.decode(raw, type=_RowVersion).v
    if version not in _FORMS:
        raise LogBroken(f"snapshot of site {site_id} has schema {version}, this program reads ≤ {SHIFTED_ROW_VERSION}")
    return version


class _RowVersion(msgspec.Struct, array_like=True):
    v: int


_ENCODER = msgspec.msgpack.Encoder()
_FORMS: dict[int, type[SiteRow]] = {
    ROW_VERSION: SiteRow,
    SHARED_ROW_VERSION: SharedSiteRow,
    SHIFTED_ROW_VERSION: ShiftedSiteRow,
}
_DECODERS = {version: msgspec.msgpack.Decoder(form) for version, form in _FORMS.items()}
