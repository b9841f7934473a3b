"""The bytes of evidence: content-addressed sealed files, and the resumable uploads that become them.

A file is visible under its SHA-256 only after every byte was read back and hashed. Each box of a site has
its own part of an upload, so that one box cannot spoil another's.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from contracts.errors import LinliError, Rejected, RejectReason
from contracts.names import check_id, is_sha256
from evidence.sealed_file import Part, SealBroken, load_key, seal, size_of, unseal
from system.durable_files import sync_folder
from system.private_files import make_folder

MAX_FILE_BYTES = 268_435_456
OF_SITE = "~"
"""Between a site and a box, in the name of a box among those of all sites; in no id."""


class OffsetConflict(LinliError):  # noqa: N818 - the protocol's word
    """The range does not continue what is held; ``offset`` does."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"upload continues at {offset}")
        self.offset = offset


class UploadBusy(LinliError):  # noqa: N818
    """The same box is uploading the same file on another connection."""


class WrongHash(LinliError):  # noqa: N818
    """Complete, but not what its name says; what was held is deleted."""


class EvidenceFiles:
    """The folder of evidence.

    Args:
        folder: made when missing; holds ``present/``, ``parts/`` and, unless given elsewhere, the key.
        key_file: the master key; made on first use.
    """

    def __init__(self, folder: Path, key_file: Path | None = None) -> None:
        self._present = folder / "present"
        self._parts = folder / "parts"
        for each in (self._present, self._parts):
            make_folder(each)
        self._key = load_key(key_file or folder / "evidence.key")
        self._busy: set[Path] = set()
        self._lock = threading.Lock()

    def has(self, sha256: str) -> bool:
        """Return whether the complete, checked bytes are here."""
        return self._path(sha256).exists()

    def size_bytes(self, sha256: str) -> int:
        """Return the size of what :meth:`has`."""
        return size_of(self._path(sha256), self._key, sha256)

    def read(self, sha256: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes ``start … stop`` (end exclusive), in pieces of at most 64 KiB."""
        return unseal(self._path(sha256), self._key, sha256, start, stop)

    def check(self) -> None:
        """Read every file once, whole.

        Raises:
            SealBroken: some are damaged; names the first and what to do, and says how many more there are.
        """
        wrong = [said for path in sorted(self._present.glob("*/*")) if (said := self._wrong(path))]
        if wrong:
            raise SealBroken(wrong[0] + (f" ({len(wrong) - 1} more are)" if wrong[1:] else ""))

    def _wrong(self, path: Path) -> str:
        if not is_sha256(path.name):
            return ""  # it is being written
        try:
            for _piece in unseal(path, self._key, path.name):
                pass
        except FileNotFoundError:  # its time was over meanwhile
            return ""
        except SealBroken as error:
            return str(error)
        return ""

    def remove(self, sha256: str) -> None:
        """Delete the bytes, if they are here, and uploads of them that are not complete."""
        for part in self._parts.glob(f"*/{sha256}.part"):
            part.unlink(missing_ok=True)
        if self.has(sha256):  # what never came has not even a folder
            self._path(sha256).unlink(missing_ok=True)
            sync_folder(self._path(sha256).parent)

    def offset(self, box: str, sha256: str) -> int:
        """Return how many bytes of the box's upload are held, from its start; what others sent does not show."""
        path = self._part(box, sha256)
        if not path.exists():
            return 0
        with self._open_part(path, sha256) as part:
            return part.size_bytes

    @contextmanager
    def upload(self, box: str, sha256: str, start: int) -> Iterator[Part]:
        """Continue an upload at ``start``; what was appended is durable on leaving, also on an error.

        Raises:
            OffsetConflict: when ``start`` is not where it continues. UploadBusy.
        """
        path = self._part(box, sha256)
        with self._open_part(path, sha256) as part:
            if part.size_bytes != start:
                raise OffsetConflict(part.size_bytes)
            try:
                yield part
            finally:
                part.sync()

    def finish(self, box: str, sha256: str) -> int:
        """Check the complete part's hash and make it visible; returns its size.

        Raises:
            WrongHash: when the bytes are not what the name says; the part is deleted.
        """
        path = self._part(box, sha256)
        with self._open_part(path, sha256) as part:
            digest = hashlib.sha256()
            for piece in part.read():
                digest.update(piece)
            good = digest.hexdigest() == sha256
            if good:
                make_folder(self._path(sha256).parent)
                seal(self._path(sha256), self._key, sha256, part.size_bytes, part.read())
            size = part.size_bytes
        path.unlink(missing_ok=True)
        if not good:
            raise WrongHash(f"{size} bytes do not hash to {sha256}")
        return size

    def parts(self, box: str) -> dict[str, int]:
        """Return the box's incomplete uploads: hash → bytes on disk."""
        found = {}
        for path in self._folder(box).glob("*.part"):
            with suppress(FileNotFoundError):
                found[path.stem] = path.stat().st_size
        return found

    def free_bytes(self) -> int:
        """Return how much room the disk has."""
        return shutil.disk_usage(self._parts).free

    def drop_old_parts(self, older_than_s: float) -> int:
        """Delete uploads that nobody has continued for so long; returns how many."""
        limit, dropped = time.time() - older_than_s, 0
        for path in self._parts.glob("*/*.part"):
            with suppress(FileNotFoundError):
                if path not in self._busy and path.stat().st_mtime < limit:
                    path.unlink()
                    dropped += 1
        return dropped

    @contextmanager
    def _open_part(self, path: Path, sha256: str) -> Iterator[Part]:
        with self._lock:
            if path in self._busy:
                raise UploadBusy(path.name)
            self._busy.add(path)
        try:
            part = Part(path, self._key, sha256)
            try:
                yield part
            finally:
                part.close()
        finally:
            with self._lock:
                self._busy.discard(path)

    def _path(self, sha256: str) -> Path:
        return self._present / check_sha256(sha256)[:2] / sha256

    def _folder(self, box: str) -> Path:
        for each in box.split(OF_SITE):
            check_id(each, "box")
        return self._parts / box

    def _part(self, box: str, sha256: str) -> Path:
        folder = self._folder(box)
        make_folder(folder)
        return folder / f"{check_sha256(sha256)}.part"


def check_sha256(text: str) -> str:
    """Return ``text`` itself when it is 64 lower-case hex digits; so it is safe as a file name.

    Raises:
        Rejected: with reason ``bad_id``.
    """
    if not is_sha256(text):
        raise Rejected(RejectReason.BAD_ID, f"{text[:80]!r} is not 64 lower-case hex digits")
    return text
