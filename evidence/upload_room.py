"""Room for uploads: what a box may send that no incident names, and what stays free on the disk for everything else.

The whole of an upload is reserved before its first byte, so that many at once are no more than one after the other.
Reservations are those of this process; the disk itself is asked each time.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from contracts.errors import Rejected, RejectReason
from evidence.files import EvidenceFiles, UploadBusy

QUOTA_BYTES = 1024 * 1024 * 1024
"""What one box may have here that no incident names: its uploads may come before their finding."""
FLOOR_BYTES = 1024 * 1024 * 1024
"""Databases and the log need it more."""
_BLOCK = 4096
_EACH = 64 * 1024
"""What a file costs beside its bytes: an inode, a row, and time for each look at it. So 16,000 tiny ones are a GiB."""


class QuotaReached(Rejected):
    """The box has too much here that no incident names, or the disk has no room."""


class UploadRoom:
    """Reserves room for uploads."""

    def __init__(self, files: EvidenceFiles, quota_bytes: int, floor_bytes: int) -> None:
        self._files = files
        self._quota_bytes = quota_bytes
        self._floor_bytes = floor_bytes
        self._lock = threading.Lock()
        self._reserved: dict[tuple[str, str], int] = {}

    def reserve(self, box: str, sha256: str, total: int, unnamed: Sequence[int], *, named: bool) -> None:
        """Reserve the whole of an upload.

        Args:
            total: its bytes, with those that are here already.
            unnamed: bytes of each complete file of the box that no incident names.
            named: whether incidents name it: then only the disk sets a bound.

        Raises:
            QuotaReached: there is no room. UploadBusy: it is under way.
        """
        with self._lock:
            if (box, sha256) in self._reserved:
                raise UploadBusy(sha256)
            if not named:
                self._check_quota(box, sha256, total, unnamed)
            self._check_disk(box, sha256, total)
            self._reserved[box, sha256] = total

    def leave(self, box: str, sha256: str) -> None:
        """Give back what was reserved."""
        with self._lock:
            self._reserved.pop((box, sha256), None)

    def _check_quota(self, box: str, sha256: str, total: int, unnamed: Sequence[int]) -> None:
        under_way = {of: bytes_ for (whose, of), bytes_ in self._reserved.items() if whose == box}
        begun = self._files.parts(box) | under_way
        begun.pop(sha256, None)
        held = sum(map(cost_of, [*unnamed, *begun.values()]))
        if held + cost_of(total) > self._quota_bytes:
            detail = f"box {box} has {held} bytes that no incident names, at most {self._quota_bytes}"
            raise QuotaReached(RejectReason.OVER_LIMIT, detail)

    def _check_disk(self, box: str, sha256: str, total: int) -> None:
        """Raise QuotaReached unless the disk has room for this, beside all that is under way, each written twice."""
        coming = 2 * total - self._files.parts(box).get(sha256, 0)  # the part, and the sealed file before it goes
        for (whose, of), bytes_ in self._reserved.items():
            coming += 2 * bytes_ - self._files.parts(whose).get(of, 0)
        if self._files.free_bytes() - coming < self._floor_bytes:
            raise QuotaReached(RejectReason.OVER_LIMIT, f"the disk keeps {self._floor_bytes} bytes free")


def cost_of(size_bytes: int) -> int:
    """Return what a file of so many bytes counts.

    >>> cost_of(0), cost_of(1), cost_of(4096)
    (65536, 69632, 69632)
    """
    return -(-size_bytes // _BLOCK) * _BLOCK + _EACH
