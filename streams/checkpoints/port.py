"""Where one partition's findings, snapshots and failures are kept, as a port: ``engine.db`` or Kafka's topics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from contracts.contradictions import OnContradiction
from contracts.findings import Output
from streams.engine.snapshot import SnapshotRow


class CheckpointStore(Protocol):
    """A store of a driver's findings and snapshots. Any snapshot is right: rows of older and newer writers may mix."""

    on_contradiction: OnContradiction
    """Told of a finding kept under its id, but otherwise; the first stands. Whoever opens the partition sets it.

    A store that does not know ids tells nobody: the readers of its findings do (the incidents).
    """

    def append_findings(self, outputs: Sequence[Output]) -> int:
        """Hand over outputs in order; how many findings may be new. They are durable after :meth:`flush`.

        Raises:
            Transient: the store cannot be written now; none of them was taken.
            Permanent: an earlier one could not be kept: nothing may follow it.
        """
        ...

    def flush(self) -> None:
        """Return when everything handed over is durable. Raises as :meth:`append_findings`."""
        ...

    def save(self, rows: Sequence[SnapshotRow], manifest: bytes, digest: str) -> None:
        """Replace the rows of these sites, then the manifest of this version of the rules; durable on return."""
        ...

    def load(self, digest: str) -> tuple[list[SnapshotRow], bytes | None]:
        """Return the rows and the manifest kept for this version; nothing when there are none."""
        ...

    def manifests(self) -> Mapping[str, bytes]:
        """Return the manifest of every version, by digest, as they stand now."""
        ...

    def forget(self, digest: str) -> None:
        """Take back the manifest of this version; durable on return."""
        ...

    def note_failure(self, position: int, detail: str) -> int:
        """Record that feeding ``position`` raised an uncaught error; how often it has now. Durable on return."""
        ...

    def failures(self) -> Mapping[int, int]:
        """Return position → how often feeding it raised an uncaught error."""
        ...

    def skipped(self) -> frozenset[int]:
        """Return positions that a person has given up."""
        ...

    def place(self) -> str:
        """Return where it lies, for messages to people: a file, or a topic and partition."""
        ...
