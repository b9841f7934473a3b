"""Uploads of evidence: who may, how much, and what becomes of incidents when bytes are complete."""

from __future__ import annotations

import threading

from contracts.durations import HOUR_MS
from contracts.errors import Rejected, RejectReason
from evidence.content_range import ContentRange
from evidence.files import MAX_FILE_BYTES, EvidenceFiles, OffsetConflict, WrongHash
from evidence.store import (
    incidents_naming,
    is_erased,
    mark_expired,
    present_before,
    settle_evidence,
    unnamed_evidence,
)
from governance import audit
from governance.holds import held_evidence
from identity.box_credentials import Box
from incidents.store.records import EvidenceState
from incidents.store.store import Store
from system.clock import Clock, wall_ms

QUOTA_BYTES = 1024 * 1024 * 1024
"""What one box may have here that no incident names: its uploads may come before their finding."""

KEPT_UNNAMED_MS = 72 * HOUR_MS


class QuotaReached(Rejected):
    """The box has too much here that no incident names."""


class Uploads:
    """Takes uploads into the files and tells the incidents.

    Args:
        quota_bytes: what a box may have here without an incident, parts included.
    """

    def __init__(
        self,
        store: Store,
        files: EvidenceFiles,
        *,
        quota_bytes: int = QUOTA_BYTES,
        max_file_bytes: int = MAX_FILE_BYTES,
        clock_ms: Clock = wall_ms,
    ) -> None:
        self.files = files
        self.max_file_bytes = max_file_bytes
        self._store = store
        self._quota_bytes = quota_bytes
        self._clock_ms = clock_ms

    def offset(self, box: Box, sha256: str) -> int:
        """Return where the box's upload continues."""
        return self.files.offset(box.box_id, sha256)

    def begin(self, box: Box, sha256: str, part: ContentRange) -> bool:
        """Return whether bytes are wanted: False when the file is complete already, or was erased.

        Raises:
            OffsetConflict: when the range does not continue. QuotaReached: when the box has too much unnamed here.
        """
        with self._store.read() as connection:
            if is_erased(connection, sha256):
                return False
        if self.files.has(sha256):
            self._complete(box, sha256)  # it may have come from another box before the finding that names it
            return False
        held = self.files.offset(box.box_id, sha256)
        if held != part.start:
            raise OffsetConflict(held)
        if not self._is_named(sha256, box.site_id):
            self._check_quota(box, part.total - held)
        return True

    def end(self, box: Box, sha256: str, total: int) -> bool:
        """Return whether the upload is complete and right, after bytes were appended; False when more is wanted.

        Raises:
            WrongHash: complete, but not what its name says; incidents show it as failed.
        """
        held = self.files.offset(box.box_id, sha256)
        if held < total:
            return False
        try:
            self.files.finish(box.box_id, sha256)
        except WrongHash:
            self._settle(box, sha256, EvidenceState.FAILED, held, "wrong_hash")
            raise
        self._complete(box, sha256)
        return True

    def keep_house(self, retention_ms: int | None = None) -> int:
        """Delete what no incident named in time, what is past ``retention_ms``, and abandoned parts; how many.

        What incidents under a legal hold name stays.
        """
        now_ms = self._clock_ms()
        with self._store.read() as connection:
            doomed = {sha256 for sha256, _, _ in unnamed_evidence(connection, now_ms - KEPT_UNNAMED_MS)}
            if retention_ms is not None:
                doomed |= set(present_before(connection, now_ms - retention_ms))
            doomed -= held_evidence(connection)
        for sha256 in doomed:
            self.files.remove(sha256)
            with self._store.write() as connection:
                mark_expired(connection, sha256, now_ms)
        if doomed:
            gone = not any(self.files.has(sha256) for sha256 in doomed)
            with self._store.write() as connection:
                detail = {"files": len(doomed), "verified": gone}
                audit.record(connection, "linli", "retention.evidence", "evidence", detail, now_ms)
        return len(doomed) + self.files.drop_old_parts(KEPT_UNNAMED_MS / 1000)

    def run(self, stop: threading.Event, retention_ms: int | None = None, every_s: float = 300.0) -> None:
        """Keep house every ``every_s`` until ``stop``."""
        while not stop.wait(every_s):
            self.keep_house(retention_ms)

    def _complete(self, box: Box, sha256: str) -> None:
        self._settle(box, sha256, EvidenceState.PRESENT, self.files.size_bytes(sha256), "")
        with self._store.read() as connection:
            erased = is_erased(connection, sha256)
        if erased:  # while its last bytes came
            self.files.remove(sha256)

    def _settle(self, box: Box, sha256: str, state: EvidenceState, size_bytes: int, reason: str) -> None:
        with self._store.write() as connection:
            now_ms = self._clock_ms()
            settle_evidence(connection, sha256, state, now_ms, box_id=box.box_id, size_bytes=size_bytes, reason=reason)

    def _is_named(self, sha256: str, site_id: str) -> bool:
        with self._store.read() as connection:
            return any(site == site_id for _, site, _ in incidents_naming(connection, sha256))

    def _check_quota(self, box: Box, wanted_bytes: int) -> None:
        with self._store.read() as connection:
            held = sum(size for _, box_id, size in unnamed_evidence(connection) if box_id == box.box_id)
        held += self.files.part_bytes(box.box_id)
        if held + wanted_bytes > self._quota_bytes:
            detail = f"box {box.box_id} has {held} bytes that no incident names, at most {self._quota_bytes}"
            raise QuotaReached(RejectReason.OVER_LIMIT, detail)
