"""A log and a keep in memory, with everything they ever held, so that a test can put old things back."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from contracts.batch import Batch, encode_batch
from contracts.contradictions import Contradiction, OnContradiction, contradiction_of, pass_over_contradiction
from contracts.errors import LogBroken
from contracts.findings import Finding, Output
from streams.engine.snapshot import SnapshotRow
from streams.log.port import LogRecord

RowKey = tuple[str, str]


class MemoryLog:
    """Records of one partition up to ``visible``; the first ``gone`` of them are no longer held."""

    def __init__(self, batches: Sequence[Batch], visible: int = 0, identity: str = "log1") -> None:
        self.records = [encode_batch(batch) for batch in batches]
        self.visible = visible
        self.gone = 0
        self.reads: list[int] = []
        self._identity = identity

    def identity(self) -> str:
        return self._identity

    def begin(self) -> int:
        return self.gone

    def end(self) -> int:
        return self.visible

    def read(self, position: int, limit: int) -> list[LogRecord]:
        if position < self.gone:
            raise LogBroken(f"position {position} is gone")
        records = [LogRecord(n, self.records[n]) for n in range(position, min(position + limit, self.visible))]
        self.reads += [record.position for record in records]
        return records


class MemoryCheckpointStore:
    """What an :class:`CheckpointStore` holds; findings once each, as their reader takes them."""

    def __init__(self) -> None:
        self.outputs: list[Output] = []
        self.rows: dict[RowKey, SnapshotRow] = {}
        self.kept_manifests: dict[str, bytes] = {}
        self.writes: list[str] = []
        self.on_contradiction: OnContradiction = pass_over_contradiction
        self.contradictions: list[Contradiction] = []
        self._seen: dict[tuple[object, ...], Output] = {}
        self._row_history: dict[RowKey, list[SnapshotRow]] = {}
        self._manifest_history: dict[str, list[bytes]] = {}
        self._failures: dict[int, int] = {}
        self._skipped: set[int] = set()

    def append_findings(self, outputs: Sequence[Output]) -> int:
        """Keep the first of each id, and object to another content of it as ``engine.db`` does."""
        new, contradictions = 0, []
        for output in outputs:
            first = self._seen.get(_identity(output))
            if first is None:
                self._seen[_identity(output)] = output
                self.outputs.append(output)
                self.writes.append("finding")
                new += 1
            elif isinstance(first, Finding) and isinstance(output, Finding):
                contradictions += [found] if (found := contradiction_of(first, output)) else []
        for contradiction in contradictions:
            self.contradictions.append(contradiction)
            self.on_contradiction(contradiction)
        return new

    def flush(self) -> None:
        self.writes.append("settle")

    def save(self, rows: Sequence[SnapshotRow], manifest: bytes, digest: str) -> None:
        for row in rows:
            self.rows[row.digest, row.site_id] = row
            self._row_history.setdefault((row.digest, row.site_id), []).append(row)
        self.kept_manifests[digest] = manifest
        self._manifest_history.setdefault(digest, []).append(manifest)
        self.writes.append(f"save {digest}")

    def load(self, digest: str) -> tuple[list[SnapshotRow], bytes | None]:
        return [row for row in self.rows.values() if row.digest == digest], self.kept_manifests.get(digest)

    def manifests(self) -> Mapping[str, bytes]:
        return dict(self.kept_manifests)

    def forget(self, digest: str) -> None:
        del self.kept_manifests[digest]
        self.writes.append(f"forget {digest}")

    def note_failure(self, position: int, detail: str) -> int:
        self._failures[position] = self._failures.get(position, 0) + 1
        return self._failures[position]

    def failures(self) -> Mapping[int, int]:
        return dict(self._failures)

    def skipped(self) -> frozenset[int]:
        return frozenset(self._skipped)

    def skip(self, position: int) -> None:
        """A person gives the record up."""
        self._skipped.add(position)

    def place(self) -> str:
        return "memory"

    def put_old_things_back(self, rng: random.Random) -> None:
        """Return what a worker that was paused for long does: it writes rows and manifests of any earlier moment."""
        for key, rows in self._row_history.items():
            if rng.random() < 0.5:
                self.rows[key] = rng.choice(rows)
        for digest, manifests in self._manifest_history.items():
            if rng.random() < 0.5:
                self.kept_manifests[digest] = rng.choice(manifests)


def _identity(output: Output) -> tuple[object, ...]:
    finding_id = getattr(output, "finding_id", None)
    return (finding_id,) if finding_id else (output.site_id, output.position, output.number)
