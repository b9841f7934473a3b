"""A partition's manifest: which row of each site stands, and up to where the clean ones still hold.

See docs/protocol.md#snapshots.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from contracts.errors import LogBroken

MANIFEST_VERSION = 2
"""1 knew no ``drained``."""


class PartitionManifest(msgspec.Struct, frozen=True, kw_only=True):
    """``through``: the last position up to which no site has changed since its row. ``sites``: each one's row position.

    ``record_hash`` is the driver's hash of the record at ``position`` (the last one fed); empty when not given.
    ``generation`` is one more at each change of the digest. ``drained``: every row reaches ``position``, and whoever
    wrote this decides nothing after it; so another version may go on from here (docs/protocol.md#versions).
    """

    v: int = MANIFEST_VERSION
    log_id: str
    partition: int
    partitions: int
    digest: str
    generation: int = 0
    drained: bool = False
    versions: dict[str, int]
    through: int
    position: int
    record_hash: bytes = b""
    sites: dict[str, int]


def decode_manifest(data: bytes) -> PartitionManifest:
    """Return the manifest in ``data``.

    Raises:
        LogBroken: when it cannot be read or is of a newer schema.
    """
    try:
        version = msgspec.msgpack.decode(data, type=_ManifestVersion).v
        if version > MANIFEST_VERSION:
            raise LogBroken(f"manifest has schema {version}, this program reads ≤ {MANIFEST_VERSION}")
        return _DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LogBroken(f"manifest of {len(data)} bytes cannot be read: {error}") from None


def encode_manifest(manifest: PartitionManifest) -> bytes:
    """Return the manifest as bytes."""
    return msgspec.msgpack.encode(manifest)


def check_manifest(manifest: PartitionManifest, *, log_id: str, partition: int, partitions: int, digest: str) -> None:
    """Refuse a manifest that is not of this log, this partition and these rules.

    Raises:
        LogBroken: naming what differs, and what to do.
    """
    if manifest.log_id != log_id:
        raise LogBroken(
            f"log_replaced: snapshots are of log {manifest.log_id}, the log is {log_id}; bring the old log back, or "
            "move the snapshots away to judge this log from its start"
        )
    if (manifest.partition, manifest.partitions) != (partition, partitions):
        raise LogBroken(
            f"snapshots are of partition {manifest.partition} of {manifest.partitions}, "
            f"this is {partition} of {partitions}; the number of partitions is chosen once"
        )
    if manifest.digest != digest:
        raise LogBroken(f"snapshots are of rules {manifest.digest}, these are {digest}")


def covered(positions: Mapping[str, int], manifest: PartitionManifest) -> dict[str, int]:
    """Return up to where each site's row covers the log; one as new as the manifest says covers to ``through``."""
    return {
        site_id: max(position, manifest.through) if position >= manifest.sites.get(site_id, position + 1) else position
        for site_id, position in positions.items()
    }


def first_to_read(positions: Mapping[str, int], manifest: PartitionManifest) -> int:
    """Return the position to read from: after ``through``, or earlier for rows older than listed, or missing."""
    return min((manifest.through, *_behind(positions, manifest))) + 1


def _behind(positions: Mapping[str, int], manifest: PartitionManifest) -> Iterable[int]:
    for site_id, listed in manifest.sites.items():
        position = positions.get(site_id, -1)
        if position < listed:
            yield position


class _ManifestVersion(msgspec.Struct):
    v: int = MANIFEST_VERSION


_DECODER = msgspec.msgpack.Decoder(PartitionManifest)
