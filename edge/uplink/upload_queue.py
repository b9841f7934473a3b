"""The list of evidence to upload, in the box's database: an entry leaves when its evidence is uploaded or gone."""

from __future__ import annotations

import msgspec

from edge.spool.box_db import BoxDb

BACKOFF_S = (1, 2, 5, 15, 60, 300, 900)


class Upload(msgspec.Struct, frozen=True):
    """One entry."""

    sha256: str
    mime: str
    tries: int


class UploadQueue:
    """Oldest due first. Entries are added by the spool, together with their event."""

    def __init__(self, db: BoxDb) -> None:
        self._db = db

    def next_due(self, now_ms: int) -> Upload | None:
        """Return the entry to try now."""
        with self._db.reading() as connection:
            found = connection.execute(
                "SELECT sha256, mime, tries FROM upload WHERE due_ms <= ? OR due_ms > ?"
                " ORDER BY due_ms, created_ms LIMIT 1",
                (now_ms, now_ms + BACKOFF_S[-1] * 1000),  # later than any pause: the clock was set back since
            ).fetchone()
        return Upload(*found) if found else None

    def finish(self, sha256: str) -> None:
        """Take an entry off the list."""
        with self._db.transaction() as connection:
            connection.execute("DELETE FROM upload WHERE sha256 = ?", (sha256,))

    def retry(self, upload: Upload, now_ms: int) -> int:
        """Try an entry again later, ever more patiently; returns the pause in seconds."""
        pause_s = BACKOFF_S[min(upload.tries, len(BACKOFF_S) - 1)]
        with self._db.transaction() as connection:
            connection.execute(
                "UPDATE upload SET tries = tries + 1, due_ms = ? WHERE sha256 = ?",
                (now_ms + pause_s * 1000, upload.sha256),
            )
        return pause_s

    def waiting(self) -> int:
        """Return how many entries there are."""
        with self._db.reading() as connection:
            return int(connection.execute("SELECT count(*) FROM upload").fetchone()[0])
