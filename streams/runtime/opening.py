"""What a partition is opened from: this version's own rows, or copies of those of the version before.

See docs/protocol.md#versions.
"""

from __future__ import annotations

import msgspec

from streams.checkpoints.port import CheckpointStore
from streams.engine.engine import Engine
from streams.engine.manifest import decode_manifest, encode_manifest
from streams.engine.snapshot import SnapshotRow
from streams.runtime.upgrade import copied, reopened, succeeding, takeover


class RestorePoint(msgspec.Struct, frozen=True):
    """Rows and manifest to restore. ``to_claim``: the manifest must be kept before the first finding.

    ``source`` is the digest of the version whose rows these are copies of, empty for one's own; ``cut``: that version
    had not drained.
    """

    rows: list[SnapshotRow]
    manifest: bytes | None
    to_claim: bool = False
    source: str = ""
    cut: bool = False


def find_restore_point(keep: CheckpointStore, engine: Engine, *, accept_cut: bool) -> RestorePoint:
    """Return what ``engine`` goes on from. Nothing is written.

    Raises:
        Superseded: a newer version has the partition.
        Permanent: the version before has not drained, and ``accept_cut`` is not given.
        LogBroken: a manifest cannot be read.
    """
    manifests = {digest: decode_manifest(body) for digest, body in keep.manifests().items()}
    taken = takeover(manifests, engine.digest, accept_cut=accept_cut)
    if taken.source is not None:
        rows, _ = keep.load(taken.source)
        first = succeeding(manifests[taken.source], engine.digest, engine.versions)
        return RestorePoint(
            copied(rows, engine.digest), encode_manifest(first), to_claim=True, source=taken.source, cut=taken.cut
        )
    rows, manifest = keep.load(engine.digest)
    known = None if manifest is None else decode_manifest(manifest)
    if known is not None and known.drained:
        return RestorePoint(rows, encode_manifest(reopened(known)), to_claim=True)
    return RestorePoint(rows, manifest)
