"""``engine.db``: the embedded driver's findings, snapshots and manifest. One writer; readers follow by a cursor."""

from __future__ import annotations

import hashlib
import itertools
import secrets
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from contracts.contradictions import (
    Contradiction,
    OnContradiction,
    contradiction_of,
    pass_over_contradiction,
)
from contracts.findings import Finding, Output, Rejudge, content_of
from streams.engine.manifest import decode_manifest, first_to_read
from streams.engine.snapshot import SnapshotRow
from streams.row_checksum import Value, is_intact, row_checksum
from streams.sqlite_file import add_column, connect, damaged, transaction, undamaged
from system.clock import wall_ms

SCHEMA = """
CREATE TABLE IF NOT EXISTS findings (
  n INTEGER PRIMARY KEY AUTOINCREMENT, finding_id TEXT NOT NULL UNIQUE, site_id TEXT NOT NULL,
  content BLOB NOT NULL, body BLOB NOT NULL, kept_ms INTEGER NOT NULL DEFAULT 0, checksum INTEGER);
CREATE TABLE IF NOT EXISTS rejudges (
  n INTEGER PRIMARY KEY AUTOINCREMENT, site_id TEXT NOT NULL, position INTEGER NOT NULL, number INTEGER NOT NULL,
  body BLOB NOT NULL, checksum INTEGER, UNIQUE (site_id, position, number));
CREATE TABLE IF NOT EXISTS snapshots (
  digest TEXT NOT NULL, site_id TEXT NOT NULL, position INTEGER NOT NULL, data BLOB NOT NULL,
  checksum INTEGER, PRIMARY KEY (digest, site_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS manifests (digest TEXT PRIMARY KEY, body BLOB NOT NULL, checksum INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS failures (position INTEGER PRIMARY KEY, times INTEGER NOT NULL, detail TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS skipped (position INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_AT_ONCE = 1_000


class SqliteCheckpointStore:
    """Findings in order of decision, and what an engine needs to start again. Thread-safe, one writing process."""

    def __init__(self, path: Path) -> None:
        self.on_contradiction: OnContradiction = pass_over_contradiction
        self._db = connect(path, SCHEMA)
        add_column(self._db, "findings", "kept_ms INTEGER NOT NULL DEFAULT 0")
        for table in ("findings", "rejudges", "snapshots", "manifests"):
            add_column(self._db, table, "checksum INTEGER")
        self._path = path
        self._lock = threading.Lock()
        with transaction(self._db) as db:
            db.execute("INSERT OR IGNORE INTO meta VALUES ('identity', ?)", (secrets.token_hex(8),))
            self._identity = str(db.execute("SELECT value FROM meta WHERE key = 'identity'").fetchone()[0])
            self._rejudge_count = int(db.execute("SELECT count(*) FROM rejudges").fetchone()[0])

    def identity(self) -> str:
        """Return the random name this store was created with: numbers of findings mean nothing in another one."""
        return self._identity

    def append_findings(self, outputs: Sequence[Output]) -> int:
        """Keep outputs in order; ids already kept are ignored. How many findings were new. Durable on return.

        ``on_contradiction`` is told, after the commit, of those that say something else than the one kept.
        """
        if not outputs:
            return 0
        contradictions: list[Contradiction] = []
        findings = [output for output in outputs if not isinstance(output, Rejudge)]
        requests = [output for output in outputs if isinstance(output, Rejudge)]
        with self._lock:
            with transaction(self._db):
                new = sum(self._keep(finding, contradictions) for finding in findings)
                added = sum(self._keep_request(request) for request in requests)
            self._rejudge_count += added
        for contradiction in contradictions:
            self.on_contradiction(contradiction)
        return new

    def findings_after(self, n: int, limit: int) -> list[tuple[int, Finding]]:
        """Return at most ``limit`` findings with a number above ``n``, in order."""
        with self._lock, undamaged(self._db):
            rows = self._db.execute(
                "SELECT n, body, finding_id, content, checksum FROM findings WHERE n > ? ORDER BY n LIMIT ?", (n, limit)
            ).fetchall()
            for number, body, finding_id, content, checksum in rows:
                self._check(f"finding {number}", checksum, number, finding_id, content, body)
            return [(int(number), _FINDING.decode(body)) for number, body, *_ in rows]

    def kept_ms(self, numbers: Sequence[int]) -> dict[int, int]:
        """Return when each of these findings was kept, epoch ms UTC; those of which it is not known are left out."""
        marks = ",".join("?" * len(numbers))
        with self._lock, undamaged(self._db):
            query = f"SELECT n, kept_ms FROM findings WHERE n IN ({marks}) AND kept_ms > 0"
            return {int(n): int(at_ms) for n, at_ms in self._db.execute(query, tuple(numbers)).fetchall()}

    def rejudge_count(self) -> int:
        """Return how many requests to judge a window again are kept; at once, also while the file is locked."""
        return self._rejudge_count

    def rejudges(self) -> list[Rejudge]:
        """Return every request to judge a window again; they are counted and shown until a job that runs them comes."""
        with self._lock, undamaged(self._db):
            rows = self._db.execute("SELECT n, body, checksum FROM rejudges ORDER BY n").fetchall()
            for n, body, checksum in rows:
                self._check(f"request {n}", checksum, body)
            return [_REJUDGE.decode(body) for _, body, _ in rows]

    def save(self, rows: Sequence[SnapshotRow], manifest: bytes, digest: str) -> None:
        """Replace the rows of these sites and the manifest, together."""
        with self._lock, transaction(self._db) as db:
            db.executemany(
                "INSERT OR REPLACE INTO snapshots (digest, site_id, position, data, checksum) VALUES (?, ?, ?, ?, ?)",
                [(*values, row_checksum(*values)) for row in rows for values in [_values(row)]],
            )
            db.execute(
                "INSERT OR REPLACE INTO manifests (digest, body, checksum) VALUES (?, ?, ?)",
                (digest, manifest, row_checksum(digest, manifest)),
            )

    def flush(self) -> None:
        """Return at once, with nothing left to wait for: :meth:`append_findings` is durable on return."""

    def manifests(self) -> dict[str, bytes]:
        """Return the manifest of every version of the rules, by digest."""
        with self._lock, undamaged(self._db):
            rows = self._db.execute("SELECT digest, body, checksum FROM manifests").fetchall()
        for digest, body, checksum in rows:
            self._check(f"manifest {digest}", checksum, digest, body)
        return {str(digest): body for digest, body, _ in rows}

    def forget(self, digest: str) -> None:
        """Take back the manifest of this version."""
        with self._lock, transaction(self._db) as db:
            db.execute("DELETE FROM manifests WHERE digest = ?", (digest,))

    def load(self, digest: str) -> tuple[list[SnapshotRow], bytes | None]:
        """Return the rows and the manifest kept for this version of the rules; nothing when there are none."""
        with self._lock, undamaged(self._db):
            rows = self._db.execute(f"{_SNAPSHOTS} WHERE digest = ? ORDER BY site_id", (digest,)).fetchall()
        return self._rows(rows), self.manifests().get(digest)

    def note_failure(self, position: int, detail: str) -> int:
        """Record that feeding ``position`` raised an uncaught error; how often it has now."""
        with self._lock, transaction(self._db) as db:
            db.execute(
                "INSERT INTO failures VALUES (?, 1, ?) ON CONFLICT (position) "
                "DO UPDATE SET times = times + 1, detail = excluded.detail",
                (position, detail[:2000]),
            )
            row = db.execute("SELECT times FROM failures WHERE position = ?", (position,)).fetchone()
        return int(row[0])

    def failures(self) -> dict[int, int]:
        """Return position → how often feeding it raised an uncaught error."""
        return {position: times for position, (times, _) in self.failure_details().items()}

    def failure_details(self) -> dict[int, tuple[int, str]]:
        """Return position → how often feeding it raised an uncaught error, and the last one."""
        with self._lock, undamaged(self._db):
            rows = self._db.execute("SELECT position, times, detail FROM failures ORDER BY position").fetchall()
        return {int(position): (int(times), str(detail)) for position, times, detail in rows}

    def forget_failure(self, position: int) -> bool:
        """Start counting anew for this position; whether it had failed."""
        with self._lock, transaction(self._db) as db:
            return db.execute("DELETE FROM failures WHERE position = ?", (position,)).rowcount > 0

    def skip(self, position: int) -> None:
        """Treat this record as unreadable from the next start on; said by a person."""
        with self._lock, transaction(self._db) as db:
            db.execute("INSERT OR IGNORE INTO skipped VALUES (?)", (position,))

    def skipped(self) -> frozenset[int]:
        """Return positions that a person has given up."""
        with self._lock, undamaged(self._db):
            rows = self._db.execute("SELECT position FROM skipped").fetchall()
        return frozenset(int(position) for (position,) in rows)

    def needed_from(self, digest: str) -> int:
        """Return the log's first position these rules may still need: to start again, and to know it is the same."""
        with self._lock, undamaged(self._db):
            found = self._db.execute("SELECT body FROM manifests WHERE digest = ?", (digest,)).fetchone()
            rows = self._db.execute("SELECT site_id, position FROM snapshots WHERE digest = ?", (digest,)).fetchall()
        if found is None:
            return 0
        return max(first_to_read(dict(rows), decode_manifest(found[0])) - 1, 0)

    def forget_before(self, position: int, through: int) -> int:
        """Forget findings and requests decided before ``position``: the log cannot give them again. How many findings.

        Args:
            position: the first one that the log still holds.
            through: the last finding's number that every reader has taken.
        """
        gone = 0
        while True:
            with self._lock:
                with transaction(self._db) as db:
                    forgotten = db.execute("DELETE FROM rejudges WHERE position < ?", (position,)).rowcount
                    rows = db.execute(
                        "SELECT n, body FROM findings WHERE n <= ? ORDER BY n LIMIT ?", (through, _AT_ONCE)
                    ).fetchall()
                    over = list(itertools.takewhile(lambda row: _FINDING.decode(row[1]).position < position, rows))
                    db.executemany("DELETE FROM findings WHERE n = ?", [(n,) for n, _ in over])
                self._rejudge_count -= forgotten
            gone += len(over)
            if len(over) < _AT_ONCE:
                return gone

    def forget_rows_of_others(self, digest: str) -> int:
        """Delete the snapshots of other versions than the one that has taken over; how many. Their manifests stay."""
        with self._lock, transaction(self._db) as db:
            if db.execute("SELECT 1 FROM manifests WHERE digest = ?", (digest,)).fetchone() is None:
                return 0
            return db.execute("DELETE FROM snapshots WHERE digest <> ?", (digest,)).rowcount

    def rewrite_findings(self, rewrite: Callable[[Finding], Finding], *, dry: bool = False) -> int:
        """Let findings say what ``rewrite`` makes of them; how many differ. Their ids and digests stay known.

        Args:
            dry: only count.
        """
        n = changed = 0
        while batch := self.findings_after(n, _AT_ONCE):
            n = batch[-1][0]
            others = [(msgspec.msgpack.encode(new), at) for at, old in batch if (new := rewrite(old)) is not old]
            changed += len(others)
            if others and not dry:
                with self._lock, transaction(self._db) as db:
                    for body, at in others:
                        query = "SELECT finding_id, content FROM findings WHERE n = ?"
                        named = db.execute(query, (at,)).fetchone()
                        values = (body, row_checksum(at, *named, body), at)
                        db.execute("UPDATE findings SET body = ?, checksum = ? WHERE n = ?", values)
        return changed

    def snapshots(self) -> list[SnapshotRow]:
        """Return every row of every version."""
        with self._lock, undamaged(self._db):
            rows = self._db.execute(_SNAPSHOTS).fetchall()
        return self._rows(rows)

    def check_rows(self) -> None:
        """Read everything once.

        Raises:
            Permanent: something is not as it was written; says what.
        """
        n = 0
        while batch := self.findings_after(n, _AT_ONCE):
            n = batch[-1][0]
        self.rejudges()
        self.snapshots()
        self.manifests()

    def place(self) -> str:
        """Return the file."""
        return str(self._path)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _rows(self, rows: Sequence[tuple[str, str, int, bytes, int | None]]) -> list[SnapshotRow]:
        found = [SnapshotRow(site_id=s, digest=d, position=p, data=b) for s, d, p, b, _ in rows]
        for row, (*_, checksum) in zip(found, rows, strict=True):
            self._check(f"snapshot of site {row.site_id}", checksum, *_values(row))
        return found

    def _check(self, what: str, checksum: object, *values: Value) -> None:
        if not is_intact(checksum, *values):
            raise damaged(self._path, f"{what} is not what was written")

    def _keep_request(self, request: Rejudge) -> int:
        body = msgspec.msgpack.encode(request)
        return self._db.execute(
            "INSERT OR IGNORE INTO rejudges (site_id, position, number, body, checksum) VALUES (?, ?, ?, ?, ?)",
            (request.site_id, request.position, request.number, body, row_checksum(body)),
        ).rowcount

    def _keep(self, output: Finding, contradictions: list[Contradiction]) -> int:
        body = msgspec.msgpack.encode(output)
        content = hashlib.blake2b(msgspec.msgpack.encode(content_of(output)), digest_size=16).digest()
        query = "SELECT content, body FROM findings WHERE finding_id = ?"
        known = self._db.execute(query, (output.finding_id,)).fetchone()
        if known is None:
            n = self._db.execute(_NEXT).fetchone()[0]
            values = (n, output.finding_id, output.site_id, content, body)
            self._db.execute(
                "INSERT INTO findings (n, finding_id, site_id, content, body, kept_ms, checksum)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*values, wall_ms(), row_checksum(n, output.finding_id, content, body)),
            )
            return 1
        if known[0] != content:  # also: kept by a version that counted more as content
            contradiction = contradiction_of(_FINDING.decode(known[1]), output)
            contradictions += [contradiction] if contradiction else []
        return 0


def _values(row: SnapshotRow) -> tuple[str, str, int, bytes]:
    return row.digest, row.site_id, row.position, row.data


_NEXT = "SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence WHERE name = 'findings'"
_SNAPSHOTS = "SELECT site_id, digest, position, data, checksum FROM snapshots"
_FINDING = msgspec.msgpack.Decoder(Finding)
_REJUDGE = msgspec.msgpack.Decoder(Rejudge)
