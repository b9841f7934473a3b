"""Whether SQLite's journal (``FILE-wal``) holds all that was committed to it.

SQLite reads it up to the first frame that is not whole and takes the rest for what a crash left behind. So one flipped
byte takes everything committed after it away, and nobody is told. Two things give it away: frames of the same
generation that are whole behind the broken one, and the index beside it (``FILE-shm``), which counts only what was
committed and synced.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import msgspec

_HEADER = struct.Struct(">8I")  # magic, format, page size, checkpoint, salts, checksums
_FRAME = struct.Struct(">6I")  # page, pages after commit (0: none), salts, checksums
_INDEX = struct.Struct("=3I2BH2I2I2I2I")
_MAGIC = 0x377F0682
_FORMAT = 3_007_000
_READ_FRAMES = 4_096
"""SQLite empties a journal at a thousand. One that a reader kept from that is not judged: it would take seconds."""


class Journal(msgspec.Struct, frozen=True):
    """What a journal holds: whole frames in a row from its beginning, and whether later ones are of its generation."""

    salts: tuple[int, ...]
    frames: int
    more_behind: bool


def committed_but_gone(path: Path) -> str:
    """Return what of the journal of the database at ``path`` is missing, in one line; empty when nothing is.

    Not while this process has the database open: to close a file that was only read gives up SQLite's locks on it.
    """
    wrong = _gone(path)
    return wrong and _gone(path)  # another process may have written between two reads


def _gone(path: Path) -> str:
    index = _indexed(Path(f"{path}-shm"))
    journal = read_journal(Path(f"{path}-wal"))
    if journal is not None and journal.more_behind:
        return f"its journal breaks off after frame {journal.frames}, and there is more behind it"
    if index is None or journal is None or (journal.salts and index.salts != journal.salts):
        return ""
    if index.frames > journal.frames:
        return f"its journal has {journal.frames} of {index.frames} committed frames"
    return ""


def read_journal(path: Path) -> Journal | None:
    """Return what the journal holds, nothing of one that is not there; None when it is too long to be judged."""
    nothing = Journal((), 0, more_behind=False)
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER.size)
            if len(head) < _HEADER.size:
                return nothing
            magic, form, page, _, salt, pepper, *sums = _HEADER.unpack(head)
            big = bool(magic & 1)
            if magic & ~1 != _MAGIC or form != _FORMAT or _sum(head[:24], (0, 0), big=big) != tuple(sums):
                return Journal((salt, pepper), 0, more_behind=bool(file.read(1)))
            frames, running, broken = 0, (sums[0], sums[1]), False
            for _ in range(_READ_FRAMES):
                frame = file.read(_FRAME.size + page)
                if len(frame) < _FRAME.size + page:
                    break
                _, _, first, second, *said = _FRAME.unpack_from(frame)
                if (first, second) != (salt, pepper):
                    if broken:
                        continue
                    broken = True  # an older generation, or a damaged one: what is behind says which
                    continue
                if broken:
                    return Journal((salt, pepper), frames, more_behind=True)
                running = _sum(frame[24:], _sum(frame[:8], running, big=big), big=big)
                broken = running != tuple(said)
                frames += not broken
            else:
                return None
    except FileNotFoundError:
        return nothing
    return Journal((salt, pepper), frames, more_behind=False)


def _indexed(path: Path) -> Journal | None:
    """Return what the index says was committed; None when it says nothing."""
    try:
        with path.open("rb") as file:
            once, again = file.read(_INDEX.size), file.read(_INDEX.size)
            backfilled = int.from_bytes(file.read(4), sys.byteorder)  # these are in the database itself
    except FileNotFoundError:
        return None
    if len(again) < _INDEX.size or once != again:
        return None
    _, _, _, made, _, _, frames, _, _, _, *_ = _INDEX.unpack(once)
    salts = struct.unpack_from(">2I", once, 32)
    return Journal((salts[0], salts[1]), frames, more_behind=False) if made and frames > backfilled else None


def _sum(data: bytes, before: tuple[int, int], *, big: bool) -> tuple[int, int]:
    """Return SQLite's checksum of ``data``, a multiple of eight bytes, going on from ``before``."""
    one, two = before
    words = struct.unpack(f"{'>' if big else '<'}{len(data) // 4}I", data)
    for at in range(0, len(words), 2):
        one = (one + words[at] + two) & 0xFFFFFFFF
        two = (two + words[at + 1] + one) & 0xFFFFFFFF
    return one, two
