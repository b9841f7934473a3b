"""Stills and clips on the box's disk: encrypted, content-addressed, at most 72 hours, within a quota.

A file is named by the SHA-256 of what it shows and holds a nonce and the AES-256-GCM text; the key lies beside it in a
file that only the box's user may read. So evidence does not outlive its box, and a stolen disk without the key file,
or a copied folder, shows nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from pathlib import Path
from typing import Literal, cast

import msgspec
import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.durations import HOUR_MS
from contracts.errors import Permanent, Transient
from contracts.events import EvidenceRef
from edge.evidence.cutter import EvidenceCut
from edge.spool.box_clock import STEP_MS, BoxClock
from system.durable_files import sync_folder

MAX_AGE_HOURS = 72
DEFAULT_QUOTA_MB = 2_000
KEY = "key"
"""The file beside the evidence that opens it."""
_NONCE_BYTES = 12
_KEY_BYTES = 32
_log = structlog.get_logger("edge.evidence.evidence_store")


class EvidenceDisk:
    """The evidence of one box.

    Args:
        folder: created when absent, for the box's user alone.
        quota_bytes: of all files; the oldest go first.
        max_age_ms: how long a file may stay.
        clock: the box's; without it no file is dated anew.
    """

    def __init__(
        self,
        folder: Path,
        *,
        quota_bytes: int,
        max_age_ms: int = MAX_AGE_HOURS * HOUR_MS,
        clock: BoxClock | None = None,
    ) -> None:
        self._folder, self._quota_bytes, self._max_age_ms = folder, quota_bytes, max_age_ms
        self._sealer: AESGCM | None = None
        self._clock, self._offset_ms = clock, clock.offset_ms() if clock is not None else 0
        self.dropped = self.stuck = 0
        self.is_usable()
        _remove_unfinished(folder)

    def is_usable(self) -> bool:
        """Return whether evidence can be sealed and opened; the log says why not. The box watches on without it."""
        try:
            self._cipher()
        except (OSError, Transient) as error:
            _log.error("no evidence can be kept; it is tried again", error=str(error))
            return False
        return True

    def _cipher(self) -> AESGCM:
        """Return what seals and opens.

        Raises:
            OSError, Transient: not now, or not before a person has looked at the key.
        """
        if self._sealer is None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._sealer = AESGCM(_load_key(self._folder / KEY))
        return self._sealer

    def keep(self, cut: EvidenceCut) -> EvidenceRef:
        """Write a cut, durable on return; one that is there already is not written again.

        Raises:
            OSError, Transient: evidence cannot be kept now.
        """
        sha256 = hashlib.sha256(cut.data).hexdigest()
        path = self._path(sha256)
        if not path.exists():
            nonce = secrets.token_bytes(_NONCE_BYTES)
            _write_durably(path, nonce + self._cipher().encrypt(nonce, cut.data, sha256.encode()))
            os.utime(path, ns=(cut.to_ms * 1_000_000, cut.to_ms * 1_000_000))  # its age is that of what it shows
        return EvidenceRef(
            evidence_id=sha256[:32],
            kind=cast("Literal['still', 'clip']", cut.kind),
            sha256=sha256,
            bytes=len(cut.data),
            mime=cut.mime,
            from_ms=cut.from_ms,
            to_ms=cut.to_ms,
        )

    def read(self, sha256: str) -> bytes:
        """Return what was kept under this hash.

        Raises:
            Permanent: when it is gone (age, quota) or does not decrypt to it.
            OSError, Transient: evidence cannot be read now.
        """
        try:
            sealed = self._path(sha256).read_bytes()
            data = self._cipher().decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], sha256.encode())
        except FileNotFoundError:
            raise Permanent(f"evidence {sha256[:12]}… is no longer on the box") from None
        except (InvalidTag, ValueError):
            raise Permanent(
                f"evidence {sha256[:12]}… is damaged or of another key: delete {self._path(sha256)}, or put back the "
                f"{KEY} beside it that it was sealed with"
            ) from None
        return data

    def sweep(self, now_ms: int) -> int:
        """Delete what is too old, then the oldest until the quota holds. Returns how many went.

        What shows the future was cut by a clock that was wrong: it counts as of now, and so it goes in time. A file
        that cannot be deleted is stepped over; ``stuck`` counts such files, and those that cannot be looked at.
        """
        self._follow_clock()
        found, stuck = _ages(self._folder)
        total, gone = sum(size for _, size, _ in found), 0
        for shown_ms, size, path in sorted(_dated(now_ms, *one) for one in found):
            if now_ms - shown_ms <= self._max_age_ms and total <= self._quota_bytes:
                break
            if not _deleted(path):
                stuck += 1
                continue
            total -= size
            gone += 1
        self.dropped, self.stuck = self.dropped + gone, stuck
        if stuck:
            _log.error("evidence cannot be deleted; the rest is", files=stuck, way_out="check the disk")
        return gone

    def _follow_clock(self) -> None:
        """Date what was cut since the machine started anew, if its clock was set: it is as old as it was."""
        if self._clock is None or abs(by_ms := self._clock.offset_ms() - self._offset_ms) < STEP_MS:
            return
        for shown_ms, _, path in _ages(self._folder)[0]:
            if shown_ms >= self._offset_ms:
                _date(path, shown_ms + by_ms)
        self._offset_ms += by_ms

    def _path(self, sha256: str) -> Path:
        return self._folder / f"{sha256}.enc"


class DiskUsage(msgspec.Struct, frozen=True):
    """The disk usage of a folder of evidence."""

    files: int
    bytes: int


def usage(folder: Path) -> DiskUsage:
    """Return how much evidence ``folder`` holds."""
    sizes = [size for _, size, _ in _ages(folder)[0]]
    return DiskUsage(files=len(sizes), bytes=sum(sizes))


def _ages(folder: Path) -> tuple[list[tuple[int, int, Path]], int]:
    """Return (time that it shows, size, file) of each, and how many could not be looked at."""
    found: list[tuple[int, int, Path]] = []
    unseen = 0
    for path in folder.glob("*.enc"):
        try:
            stat = path.stat()
        except FileNotFoundError:  # gone meanwhile
            continue
        except OSError:
            unseen += 1
            continue
        found.append((stat.st_mtime_ns // 1_000_000, stat.st_size, path))
    return found, unseen


def _deleted(path: Path) -> bool:
    """Delete a file; whether it is gone."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _log.error("evidence cannot be deleted", path=path.name, error=str(error))
        return False
    return True


def _dated(now_ms: int, shown_ms: int, size: int, path: Path) -> tuple[int, int, Path]:
    if shown_ms <= now_ms:
        return shown_ms, size, path
    _date(path, now_ms)
    return now_ms, size, path


def _date(path: Path, shown_ms: int) -> None:
    with contextlib.suppress(OSError):
        os.utime(path, ns=(shown_ms * 1_000_000, shown_ms * 1_000_000))


def fault_of_folder(folder: Path) -> str:
    """Return why a box could keep no evidence in ``folder``, empty when it could. Writes nothing."""
    if not folder.exists():
        return ""
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return f"evidence folder {folder} cannot be written by this user"
    try:
        return _fault_of_key(folder / KEY, (folder / KEY).read_bytes())
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"evidence key {folder / KEY} cannot be read: {error.strerror}"


def _load_key(path: Path) -> bytes:
    if not path.exists():
        _write_durably(path, secrets.token_bytes(_KEY_BYTES))
        _log.info("new evidence key", path=path.name)
    key = path.read_bytes()
    fault = _fault_of_key(path, key)
    if fault:
        raise Transient(fault)
    return key


def _fault_of_key(path: Path, key: bytes) -> str:
    if len(key) == _KEY_BYTES:
        return ""
    way_out = "put back the one that was there, or move it away: what it sealed cannot be opened without it"
    return f"evidence key {path} has {len(key)} bytes, expected {_KEY_BYTES}: {way_out}"


def _remove_unfinished(folder: Path) -> None:
    """Remove what a crash left half written; what cannot be removed stays, and harms nothing."""
    for unfinished in folder.glob("*.part"):
        try:
            unfinished.unlink()
        except OSError as error:
            _log.error("half-written evidence cannot be removed", path=unfinished.name, error=str(error))


def _write_durably(path: Path, data: bytes) -> None:
    """Write all of it or nothing, also through a power cut; readable by the box's user alone."""
    part = path.with_suffix(".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
