"""Which version of the rules may open a partition, and what it takes over from the one before. Pure.

See docs/protocol.md#versions.

A version is named by its digest and its generation, one more at each change. It takes over what its predecessor
drained. Without a drain it would decide again, by other rules, what may have been decided already: that needs a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from contracts.errors import Permanent
from streams.engine.manifest import MANIFEST_VERSION, PartitionManifest
from streams.engine.snapshot import SnapshotRow


class Superseded(Permanent):
    """A newer version of the rules has this partition."""


class Takeover(msgspec.Struct, frozen=True):
    """Whose rows a version goes on from: its own when ``source`` is None, else copies of another version's.

    ``cut``: that version had not drained, so what it decided after its rows is decided again.
    """

    source: str | None = None
    cut: bool = False


def takeover(manifests: Mapping[str, PartitionManifest], digest: str, *, accept_cut: bool = False) -> Takeover:
    """Return how the version ``digest`` opens a partition in which ``manifests`` (by digest) are kept.

    Raises:
        Superseded: a version of a higher generation has the partition.
        Permanent: the version before has not drained, and ``accept_cut`` is not given.
    """
    newest = max(manifests.values(), key=_age, default=None)
    own = manifests.get(digest)
    if newest is None or newest is own:
        return Takeover()
    if own is not None and not accept_cut:
        raise Superseded(_superseded(newest, digest))
    if not newest.drained and not accept_cut:
        raise Permanent(
            f"partition {newest.partition}: rules {newest.digest} (generation {newest.generation}) have not drained; "
            f"these are {digest}. Stop every worker of the old version with SIGTERM and start again, or start with "
            f"--accept-cut, which may decide positions from {newest.through + 1} on twice"
        )
    return Takeover(newest.digest, cut=not newest.drained)


def check_not_superseded(manifests: Iterable[PartitionManifest], own: PartitionManifest) -> None:
    """Raise unless no other version has taken the partition over.

    Raises:
        Superseded: one has.
    """
    for manifest in manifests:
        if manifest.digest != own.digest and _age(manifest) > _age(own):
            raise Superseded(_superseded(manifest, own.digest))


def check_still_drained(manifest: PartitionManifest | None) -> None:
    """Raise unless the version that was taken over from has not begun again meanwhile.

    Raises:
        Permanent: it has.
    """
    if manifest is None or not manifest.drained:
        raise Permanent("a worker of the old version was started during the upgrade; stop it, then start again")


def copied(rows: Iterable[SnapshotRow], digest: str) -> list[SnapshotRow]:
    """Return the rows under another version's digest."""
    return [msgspec.structs.replace(row, digest=digest) for row in rows]


def succeeding(manifest: PartitionManifest, digest: str, versions: dict[str, int]) -> PartitionManifest:
    """Return the first manifest of the version that takes over from ``manifest``."""
    return msgspec.structs.replace(
        reopened(manifest), digest=digest, versions=versions, generation=manifest.generation + 1
    )


def reopened(manifest: PartitionManifest) -> PartitionManifest:
    """Return the manifest without its drained mark: from here on something may be decided again."""
    return msgspec.structs.replace(manifest, v=MANIFEST_VERSION, drained=False)


def _age(manifest: PartitionManifest) -> tuple[int, str]:
    """Return the order of two versions with one generation (both took over at once): every worker prefers the same."""
    return (manifest.generation, manifest.digest)


def _superseded(newer: PartitionManifest, digest: str) -> str:
    return (
        f"partition {newer.partition}: rules {newer.digest} (generation {newer.generation}) have taken over; these are "
        f"{digest}. Install the newer version here. Going back on purpose: stop the newer version's workers and start "
        "this one with --accept-cut"
    )
