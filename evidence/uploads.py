"""Uploads of evidence: who may, how much, and what becomes of incidents when bytes are complete."""

from __future__ import annotations

import threading

from contracts.durations import HOUR_MS
from contracts.errors import Rejected, RejectReason
from evidence.content_range import ContentRange
from evidence.files import MAX_FILE_BYTES, OF_SITE, EvidenceFiles, OffsetConflict, WrongHash
from evidence.sealed_file import SealBroken
from evidence.store import (
    SiteFile,
    UnnamedEvidence,
    bytes_of_nobody,
    is_erased,
    is_present,
    mark_expired,
    named_sizes,
    place_evidence,
    present_before,
    settle_evidence,
    unnamed_evidence,
)
from evidence.upload_room import FLOOR_BYTES, QUOTA_BYTES, UploadRoom
from governance import audit
from governance.holds import held_evidence
from identity.box_credentials import Box, BoxTokens
from incidents.store.operator_alarms import AlarmCode, raise_alarm
from incidents.store.records import EvidenceState
from incidents.store.store import Store
from system.clock import Clock, wall_ms

KEPT_UNNAMED_MS = 72 * HOUR_MS
EVIDENCE = "evidence"
"""What the alarm for a damaged still or clip is about; its text names the file."""


class Uploads:
    """Takes uploads into the files and tells the incidents.

    Args:
        quota_bytes: what a box may have here without an incident, with what is under way.
        floor_bytes: what stays free on the disk for everything else.
    """

    def __init__(
        self,
        store: Store,
        files: EvidenceFiles,
        *,
        quota_bytes: int = QUOTA_BYTES,
        max_file_bytes: int = MAX_FILE_BYTES,
        floor_bytes: int = FLOOR_BYTES,
        clock_ms: Clock = wall_ms,
    ) -> None:
        self.files = files
        self.max_file_bytes = max_file_bytes
        self._store = store
        self._room = UploadRoom(files, quota_bytes, floor_bytes)
        self._clock_ms = clock_ms

    def offset(self, box: Box, sha256: str) -> int:
        """Return where the box's upload continues: the whole size when its site has the file."""
        with self._store.read() as connection:
            if is_present(connection, SiteFile(box.site_id, sha256)) and self.files.has(sha256):
                return self.files.size_bytes(sha256)
        return self.files.offset(name_of(box), sha256)

    def begin(self, box: Box, sha256: str, part: ContentRange) -> bool:
        """Reserve room and return True; False when the box's site has the file already, or had it erased.

        Whether another site has it makes no difference. After True, :meth:`leave` must follow.

        Raises:
            OffsetConflict: when the range does not continue. QuotaReached: when there is no room for the whole.
            Rejected: the site's incidents give it another size. UploadBusy: it is under way.
        """
        file = SiteFile(box.site_id, sha256)
        with self._store.read() as connection:
            if is_erased(connection, file) or (is_present(connection, file) and self.files.has(sha256)):
                return False
            sizes = named_sizes(connection, file)
            unnamed = [each for each in unnamed_evidence(connection) if _is_of(box, each)]
        if sizes and part.total not in sizes:
            raise Rejected(RejectReason.OUT_OF_RANGE, f"{part.total} bytes, but events name {max(sizes)}")
        held = self.files.offset(name_of(box), sha256)
        if held != part.start:
            raise OffsetConflict(held)
        self._room.reserve(name_of(box), sha256, part.total, [each.size_bytes for each in unnamed], named=bool(sizes))
        return True

    def leave(self, box: Box, sha256: str) -> None:
        """Give back what was reserved; what came is kept and counts as what it is."""
        self._room.leave(name_of(box), sha256)

    def end(self, box: Box, sha256: str, total: int) -> bool:
        """Return whether the upload is complete and right, after bytes were appended; False when more is wanted.

        Raises:
            WrongHash: complete, but not what its name says; incidents show it as failed.
            OffsetConflict: the file went in the moment it was complete; the box sends it again.
        """
        held = self.files.offset(name_of(box), sha256)
        if held < total:
            return False
        try:
            self.files.finish(name_of(box), sha256)
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
            doomed = {each.file for each in unnamed_evidence(connection, now_ms - KEPT_UNNAMED_MS)}
            if retention_ms is not None:
                doomed |= set(present_before(connection, now_ms - retention_ms))
            doomed -= held_evidence(connection)
        for file in sorted(doomed):
            with self._store.write() as connection:  # nobody settles meanwhile; killed here, it is done again
                mark_expired(connection, file, now_ms)
                for sha256 in bytes_of_nobody(connection, [file]):
                    self.files.remove(sha256)
        if doomed:
            with self._store.read() as connection:
                gone = not any(self.files.has(sha256) for sha256 in bytes_of_nobody(connection, doomed))
            with self._store.write() as connection:
                detail = {"files": len(doomed), "verified": gone}
                audit.record(connection, "linli", "retention.evidence", "evidence", detail, now_ms)
        return len(doomed) + self.files.drop_old_parts(KEPT_UNNAMED_MS / 1000)

    def tell_damaged(self, error: SealBroken) -> None:
        """Raise the operator alarm for a file that somebody asked for and could not be given."""
        with self._store.write() as connection:
            raise_alarm(connection, AlarmCode.STORE_DAMAGED, EVIDENCE, str(error)[:300], self._clock_ms())

    def place(self, boxes: BoxTokens) -> None:
        """Give the sites of their boxes what an earlier version took without noting a site."""
        with self._store.write() as connection:
            place_evidence(connection, boxes.site_of, self._clock_ms())

    def run(self, stop: threading.Event, retention_ms: int | None = None, every_s: float = 300.0) -> None:
        """Keep house every ``every_s`` until ``stop``."""
        while not stop.wait(every_s):
            self.keep_house(retention_ms)

    def _complete(self, box: Box, sha256: str) -> None:
        self._settle(box, sha256, EvidenceState.PRESENT, self.files.size_bytes(sha256), "")
        file = SiteFile(box.site_id, sha256)
        with self._store.write() as connection:
            if is_erased(connection, file):  # while its last bytes came
                for doomed in bytes_of_nobody(connection, [file]):
                    self.files.remove(doomed)
            elif not self.files.has(sha256):  # deleted for another site between its check and our note
                mark_expired(connection, file, self._clock_ms())
                raise OffsetConflict(0)

    def _settle(self, box: Box, sha256: str, state: EvidenceState, size_bytes: int, reason: str) -> None:
        file = SiteFile(box.site_id, sha256)
        with self._store.write() as connection:
            now_ms = self._clock_ms()
            settle_evidence(connection, file, state, now_ms, box_id=box.box_id, size_bytes=size_bytes, reason=reason)


def name_of(box: Box) -> str:
    """Return a box's name among those of all sites."""
    return f"{box.site_id}{OF_SITE}{box.box_id}"


def _is_of(box: Box, each: UnnamedEvidence) -> bool:
    return (each.file.site_id, each.box_id) == (box.site_id, box.box_id)
