"""The list of evidence to upload, in the box's database: an entry leaves when its evidence is uploaded or gone."""

from __future__ import annotations

import msgspec
import structlog

from edge.spool.box_db import BoxDb
from edge.spool.entry_sums import UPLOAD_SUM

BACKOFF_S = (1, 2, 5, 15, 60, 300, 900)
_log = structlog.get_logger("edge.uplink.upload_queue")


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
        find = f"SELECT rowid, sum IS {UPLOAD_SUM}, sha256, mime, tries FROM upload WHERE due_ms <= ? OR due_ms > ?"
        while True:
            with self._db.reading() as connection:
                found = connection.execute(
                    f"{find} ORDER BY due_ms, created_ms LIMIT 1",
                    (now_ms, now_ms + BACKOFF_S[-1] * 1000),  # later than any pause: the clock was set back since
                ).fetchone()
            if found is None:
                return None
            number, right, *entry = found
            if right:
                return Upload(*entry)
            self._drop_changed(number, entry[0])

    def _drop_changed(self, number: int, sha256: str) -> None:
        """Take an entry off that the disk changed: it names no evidence, or not as it is."""
        with self._db.transaction() as connection:
            connection.execute("DELETE FROM upload WHERE rowid = ?", (number,))
        way_out = "its evidence is not uploaded; it lies in evidence/ until its time is over. Check the disk"
        _log.error("an upload is damaged", path="box.db", sha256=sha256, way_out=way_out)

    def finish(self, sha256: str) -> None:
        """Take an entry off the list."""
        with self._db.transaction() as connection:
            connection.execute("DELETE FROM upload WHERE sha256 = ?", (sha256,))

    def retry(self, upload: Upload, now_ms: int) -> int:
        """Try an entry again later, ever more patiently; returns the pause in seconds."""
        pause_s = BACKOFF_S[min(max(upload.tries, 0), len(BACKOFF_S) - 1)]  # a disk may say anything
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
