"""The rules' state into the new log, where the old one no longer begins at its beginning. Pure.

A drained engine has seen the whole log: each site's row holds its state at the end. At the end of the new log it is the
same state, so the rows are given the new log's name and position. Where the old log is complete this is not needed: the
district judges the copy from its start and comes to the same findings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from contracts.errors import ConfigurationError
from contracts.names import partition_of
from streams.engine.manifest import PartitionManifest, decode_manifest
from streams.engine.snapshot import SnapshotRow, decode_row, encode_row


class LogEnd(msgspec.Struct, frozen=True):
    """The last record of a partition of the new log."""

    position: int
    record_hash: bytes


class PartitionState(msgspec.Struct, frozen=True):
    """The state of a partition of the old log whose engine has seen all of it."""

    rows: Sequence[SnapshotRow]
    manifest: PartitionManifest


def newest_of(manifests: Iterable[bytes]) -> PartitionManifest | None:
    """Return the one written last by the newest version of the rules, if there is any."""
    known = map(decode_manifest, manifests)
    return max(known, key=lambda manifest: (manifest.generation, manifest.position), default=None)


def check_drained(manifest: PartitionManifest | None, end: int, rules: str) -> PartitionManifest:
    """Return the manifest once the engine has seen the whole log and decides nothing more; ``rules`` is what runs it.

    Raises:
        ConfigurationError: it has not.
    """
    if manifest is None or not manifest.drained or manifest.position != end - 1:
        raise ConfigurationError(
            "the log's first days are dropped, so the rules' state must come along, and it does not reach the log's "
            f"end: start {rules} once more and end it with SIGTERM (it drains), then migrate"
        )
    return manifest


def carried(
    states: Sequence[PartitionState], *, log_id: str, partitions: int, ends: Mapping[int, LogEnd]
) -> dict[int, tuple[list[SnapshotRow], PartitionManifest]]:
    """Return rows and manifest of every partition of the new log that has sites.

    Args:
        states: of every partition of the old log that has one, drained.
        log_id: of the new log.
        partitions: of it.
        ends: where each partition that has sites ends.

    Raises:
        ConfigurationError: they were drained by different versions of the rules.
    """
    if len({state.manifest.digest for state in states}) > 1:
        raise ConfigurationError(
            "the log's partitions were drained by different versions of the rules: start the workers of the newest "
            "version once more and end them with SIGTERM, then migrate"
        )
    newest = max((state.manifest for state in states), key=lambda manifest: manifest.generation)
    moved: dict[int, list[SnapshotRow]] = {}
    for row in (row for state in states for row in state.rows):
        partition = partition_of(row.site_id, partitions)
        end = ends[partition]
        content = decode_row(row)
        there = msgspec.structs.replace(content, log_id=log_id, position=end.position, record_hash=end.record_hash)
        moved.setdefault(partition, []).append(encode_row(there, row.digest))
    return {p: (mine, _manifest(newest, mine, log_id, partitions, p, ends[p])) for p, mine in moved.items()}


def _manifest(
    old: PartitionManifest, rows: Sequence[SnapshotRow], log_id: str, partitions: int, partition: int, end: LogEnd
) -> PartitionManifest:
    return msgspec.structs.replace(
        old,
        log_id=log_id,
        partition=partition,
        partitions=partitions,
        through=end.position,
        position=end.position,
        record_hash=end.record_hash,
        sites={row.site_id: end.position for row in rows},
    )
