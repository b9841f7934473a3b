"""Refused input, kept for whoever must find out why: scrubbed, encrypted, at most 72 hours, with a quota per source."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import cast

import msgspec
from cryptography.fernet import Fernet, InvalidToken

from contracts.durations import HOUR_MS, MINUTE_MS
from contracts.errors import ConfigurationError, RejectReason
from ingest.pipeline.scrub import scrub, scrub_text, scrub_topic
from streams.row_checksum import Value, is_intact, row_checksum
from streams.sqlite_file import check_before_opening, columns, connect, damaged, transaction, undamaged
from system.private_files import make_folder, make_whole
from system.sqlite_check import WHOLE_BYTES

SCHEMA = """
CREATE TABLE IF NOT EXISTS letters (
  letter INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, reason TEXT NOT NULL, source TEXT NOT NULL,
  size INTEGER NOT NULL, sha256 TEXT NOT NULL, body BLOB NOT NULL, checksum INTEGER);
CREATE INDEX IF NOT EXISTS letters_by_source ON letters (source, letter);
"""
FILE = "dead-letters.db"
KEEP_MS = 72 * HOUR_MS
PER_SOURCE = 200
IN_ALL = 20_000
PER_SOURCE_A_MINUTE = 20
"""More of the same teaches nothing; the counters go on counting."""
_MAX_WAITING = 1_000
_CHECKED_AT_ONCE = 500
_COLUMNS = "letter, at_ms, reason, source, size, sha256, body"
UNKNOWN = "unknown"
"""Stands for ids that the inventory has not: they may be anything."""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One refused input. ``source`` is ``site/device``, or ``unknown``."""

    letter: int = 0
    at_ms: int
    reason: RejectReason
    source: str
    size: int
    sha256: str
    topic: str
    detail: str
    excerpt: str


class _Body(msgspec.Struct, frozen=True):
    topic: str
    detail: str
    excerpt: str


class SealedLetter(msgspec.Struct, frozen=True):
    """A letter as it leaves this machine: what it is about in the open, its texts sealed with the folder's key."""

    at_ms: int
    reason: RejectReason
    source: str
    size: int
    sha256: str
    sealed: bytes


def source_of(known: Sequence[str]) -> str:
    """Return whose quota a refused message counts against: of the ids in its topic only those of the inventory.

    >>> source_of(("s1", "g1")), source_of(("s1",)), source_of(())
    ('s1/g1', 's1/unknown', 'unknown')
    """
    return "/".join((*known, UNKNOWN)[:2])


def dead_letter(
    reason: RejectReason, detail: str, known: Sequence[str], topic: str, payload: bytes, at_ms: int
) -> DeadLetter:
    """Return the letter for a refused message; nothing personal is in it from here on.

    Args:
        known: the ids in its topic that the inventory has: its site, and its device behind it.
    """
    return DeadLetter(
        at_ms=at_ms,
        reason=reason,
        source=source_of(known),
        size=len(payload),
        sha256=hashlib.sha256(payload).hexdigest(),
        topic=scrub_topic(topic, known),
        detail=scrub_text(detail, known),
        excerpt=scrub(payload, known),
    )


class DeadLetters:
    """One folder with ``dead-letters.db`` and ``key``. Thread-safe; the command line and other shards work beside it.

    Args:
        folder: made when it is missing.
        copy_to: is given each letter that was written (its source, and the letter with its texts sealed).

    Attributes:
        path: the file.

    Raises:
        ConfigurationError: when the key file is not one.
        Permanent: the file is damaged; of a large one rows are looked at by :meth:`check_rows` only.
    """

    def __init__(self, folder: Path, copy_to: Callable[[str, bytes], None] | None = None) -> None:
        self._copy_to = copy_to
        make_folder(folder)
        self._cipher = _cipher(folder / "key")
        self.path = folder / FILE
        check_before_opening(self.path, SCHEMA, whole=True)
        self._db = connect(self.path, SCHEMA)
        try:
            _give_checksums(self._db)
            if self.path.stat().st_size <= WHOLE_BYTES:
                self.check_rows()
        except BaseException:
            self._db.close()
            raise
        self._lock = threading.Lock()
        self._waiting: deque[DeadLetter] = deque()
        self._minute = 0
        self._purged_ms = 0
        self._this_minute: Counter[str] = Counter()

    def wants(self, source: str, now_ms: int) -> bool:
        """Return whether one more of ``source`` would be kept now; ask before making it, hashing 10 MB is not free."""
        with self._lock:
            if now_ms // MINUTE_MS != self._minute:
                self._minute = now_ms // MINUTE_MS
                self._this_minute.clear()
            self._this_minute[source] += 1
            return self._this_minute[source] <= PER_SOURCE_A_MINUTE and len(self._waiting) < _MAX_WAITING

    def add(self, letter: DeadLetter) -> None:
        """Keep a letter in memory until :meth:`flush`."""
        with self._lock:
            self._waiting.append(letter)

    def flush(self, now_ms: int) -> int:
        """Write what waits, and drop what is too old or over a quota. Returns how many were written."""
        with self._lock:
            letters = list(self._waiting)
            if not letters and 0 <= now_ms - self._purged_ms < MINUTE_MS:
                return 0
            self._purged_ms = now_ms
            sealed = [self._seal(letter) for letter in letters]
            with transaction(self._db) as db:
                db.execute("DELETE FROM letters WHERE at_ms < ?", (now_ms - KEEP_MS,))
                for x, body in zip(letters, sealed, strict=True):
                    _write(db, x.at_ms, x.reason.value, x.source, x.size, x.sha256, body)
                for source in {letter.source for letter in letters}:
                    _keep_newest(db, source)
                db.execute(
                    "DELETE FROM letters WHERE letter <= (SELECT letter FROM letters ORDER BY 1 DESC LIMIT 1 OFFSET ?)",
                    (IN_ALL,),
                )
            for _ in letters:
                self._waiting.popleft()
        if self._copy_to is not None:
            for letter, body in zip(letters, sealed, strict=True):
                self._copy_to(letter.source, msgspec.json.encode(_copy(letter, body)))
        return len(letters)

    def list(self, limit: int, reason: str | None = None, source: str | None = None) -> list[DeadLetter]:
        """Return the newest letters, newest first."""
        with self._lock, undamaged(self._db):
            found = self._db.execute(
                f"SELECT {_COLUMNS}, checksum FROM letters"
                " WHERE (?1 IS NULL OR reason = ?1) AND (?2 IS NULL OR source = ?2) ORDER BY letter DESC LIMIT ?3",
                (reason, source, limit),
            ).fetchall()
            return [self._open(*row) for row in found]

    def show(self, letter: int) -> DeadLetter | None:
        """Return one letter; None when it is not (or no longer) there."""
        with self._lock, undamaged(self._db):
            row = self._db.execute(f"SELECT {_COLUMNS}, checksum FROM letters WHERE letter = ?", (letter,)).fetchone()
            return self._open(*row) if row else None

    def counts(self) -> dict[tuple[str, str], int]:
        """Return (reason, source) → letters kept."""
        with self._lock, undamaged(self._db):
            found = self._db.execute("SELECT reason, source, count(*) FROM letters GROUP BY 1, 2 ORDER BY 3 DESC")
            return {(str(reason), str(source)): int(count) for reason, source, count in found}

    def delete(self, letters: Sequence[int]) -> None:
        """Delete these."""
        with self._lock, transaction(self._db) as db:
            db.executemany("DELETE FROM letters WHERE letter = ?", [(letter,) for letter in letters])

    def purge(self) -> int:
        """Delete all letters; how many there were."""
        with self._lock, transaction(self._db) as db:
            return db.execute("DELETE FROM letters").rowcount

    def check_rows(self) -> None:
        """Read every letter once, from the disk and beside whoever writes.

        Raises:
            Permanent: one is not what was written; says which file and what to do.
        """
        with closing(connect(self.path, readonly=True)) as db:
            last = 0
            while rows := _rows_after(db, last):
                for row in rows:
                    self._check(*row)
                last = rows[-1][0]

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _check(self, letter: int, *values: object) -> None:
        if not is_intact(values[-1], letter, *cast(tuple[Value, ...], values[:-1])):
            raise damaged(self.path, f"letter {letter} is not what was written")

    def _seal(self, letter: DeadLetter) -> bytes:
        return self._cipher.encrypt(msgspec.json.encode(_Body(letter.topic, letter.detail, letter.excerpt)))

    def _open(
        self, letter: int, at_ms: int, reason: str, source: str, size: int, sha256: str, body: bytes, checksum: object
    ) -> DeadLetter:
        self._check(letter, at_ms, reason, source, size, sha256, body, checksum)
        try:
            said = msgspec.json.decode(self._cipher.decrypt(body), type=_Body)
        except InvalidToken:
            said = _Body("<another key>", "<another key>", "<another key>")
        return DeadLetter(
            letter=letter,
            at_ms=at_ms,
            reason=RejectReason(reason),
            source=source,
            size=size,
            sha256=sha256,
            topic=said.topic,
            detail=said.detail,
            excerpt=said.excerpt,
        )


def _copy(letter: DeadLetter, body: bytes) -> SealedLetter:
    return SealedLetter(letter.at_ms, letter.reason, letter.source, letter.size, letter.sha256, body)


def _write(db: sqlite3.Connection, *values: Value) -> None:
    """Write a letter with the checksum over its number, which SQLite gives, and these values."""
    letter = db.execute(
        "INSERT INTO letters (at_ms, reason, source, size, sha256, body) VALUES (?, ?, ?, ?, ?, ?)", values
    ).lastrowid
    _sum_up(db, int(letter or 0), *values)


def _sum_up(db: sqlite3.Connection, letter: int, *values: Value) -> None:
    db.execute("UPDATE letters SET checksum = ? WHERE letter = ?", (row_checksum(letter, *values), letter))


def _give_checksums(db: sqlite3.Connection) -> None:
    """Give the letters of an earlier version their checksums, once; shards of one folder may start at the same time."""
    with transaction(db), undamaged(db):
        if "checksum" in columns(db, "letters"):
            return
        db.execute("ALTER TABLE letters ADD COLUMN checksum INTEGER")
        for row in db.execute(f"SELECT {_COLUMNS} FROM letters").fetchall():
            _sum_up(db, *row)


def _rows_after(db: sqlite3.Connection, letter: int) -> list[tuple[int, ...]]:
    with undamaged(db):
        return db.execute(
            f"SELECT {_COLUMNS}, checksum FROM letters WHERE letter > ? ORDER BY letter LIMIT ?",
            (letter, _CHECKED_AT_ONCE),
        ).fetchall()


def _keep_newest(db: sqlite3.Connection, source: str) -> None:
    db.execute(
        "DELETE FROM letters WHERE source = ?1 AND letter <="
        " (SELECT letter FROM letters WHERE source = ?1 ORDER BY letter DESC LIMIT 1 OFFSET ?2)",
        (source, PER_SOURCE),
    )


def _cipher(path: Path) -> Fernet:
    """Return the key in ``path``, made on first use, readable by its owner alone."""
    if not path.exists():
        make_whole(path, Fernet.generate_key())  # shards of one folder may start at the same time
    try:
        return Fernet(path.read_bytes().strip())
    except ValueError:
        raise ConfigurationError(
            f"{path} is no key (32 bytes, base64); restore it, or delete it together with dead-letters.db"
        ) from None
