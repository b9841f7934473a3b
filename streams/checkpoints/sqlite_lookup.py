"""Looking into ``engine.db`` without being its writer: the findings kept, and when."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import msgspec

from contracts.findings import Finding
from streams.sqlite_file import columns, connect, undamaged


class StoredFinding(msgspec.Struct, frozen=True):
    """A finding, and when it was kept (epoch ms UTC; 0: by a version that did not note it)."""

    finding: Finding
    kept_ms: int


class FindingLookup(Protocol):
    """Findings as whoever keeps them has them."""

    def find(self, finding_id: str, like: Finding | None = None) -> StoredFinding | None:
        """Return the finding of this id, or None. ``like`` is the same one as somebody else has it: look near it."""
        ...

    def resting_on(self, event_id: str) -> list[StoredFinding]:
        """Return findings that began with this event or name it in a fact, in order of decision."""
        ...


class EngineLookup:
    """See :class:`FindingLookup`. Reads beside a running ``linli run``."""

    def __init__(self, path: Path) -> None:
        self._db = connect(path, readonly=True)
        self._columns = "body, kept_ms" if "kept_ms" in columns(self._db, "findings") else "body, 0"

    def find(self, finding_id: str, like: Finding | None = None) -> StoredFinding | None:
        """See :class:`FindingLookup`."""
        with undamaged(self._db):
            query = f"SELECT {self._columns} FROM findings WHERE finding_id = ?"
            row = self._db.execute(query, (finding_id,)).fetchone()
        return None if row is None else _kept(*row)

    def resting_on(self, event_id: str) -> list[StoredFinding]:
        """See :class:`FindingLookup`. Reads every finding: an id may stand anywhere in its facts."""
        with undamaged(self._db):
            query = f"SELECT {self._columns} FROM findings WHERE instr(body, ?) > 0 ORDER BY n"
            rows = self._db.execute(query, (event_id.encode(),)).fetchall()
        return [kept for kept in (_kept(*row) for row in rows) if rests_on(kept.finding, event_id)]

    def manifests(self) -> list[bytes]:
        """Return the manifest of every version of the rules."""
        with undamaged(self._db):
            return [body for (body,) in self._db.execute("SELECT body FROM manifests").fetchall()]

    def failures(self) -> dict[int, int]:
        """Return position → how often feeding it raised an uncaught error, but for those a person has given up."""
        with undamaged(self._db):
            query = "SELECT position, times FROM failures WHERE position NOT IN (SELECT position FROM skipped)"
            return {int(position): int(times) for position, times in self._db.execute(query).fetchall()}

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def rests_on(finding: Finding, event_id: str) -> bool:
    """Return whether ``finding`` began with this event or names it in a fact."""
    return finding.onset_event_id == event_id or any(event_id in fact.event_ids for fact in finding.facts)


def _kept(body: bytes, kept_ms: int) -> StoredFinding:
    return StoredFinding(_FINDING.decode(body), kept_ms)


_FINDING = msgspec.msgpack.Decoder(Finding)
