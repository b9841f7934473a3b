"""What the spool could not take: a note of fixed size beside it, written in place, so that a full disk takes it too.

A note has a number beyond all that were told: one that was cut off, deleted or put back does not take that of another.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import msgspec
import structlog

NOTE_BYTES = 512
_WAY_OUT = "how much was lost before this start is not known any more; check the disk"
_log = structlog.get_logger("edge.spool.loss_note")


class Loss(msgspec.Struct, frozen=True):
    """Events that were lost and not yet told. ``number`` names the note, so that none is told twice; 0: none yet."""

    number: int = 0
    events: int = 0
    from_ms: int = 0
    to_ms: int = 0

    def more(self, at_ms: int) -> Loss:
        """Return the loss with one more event in it."""
        first = at_ms if self.events == 0 else min(self.from_ms, at_ms)
        return Loss(self.number, self.events + 1, first, max(self.to_ms, at_ms))


class _Kept(msgspec.Struct, frozen=True):
    loss: Loss
    sum: int


class _Earlier(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A note without a checksum: all of its fields were always written."""

    number: int
    events: int
    from_ms: int
    to_ms: int

    def loss(self) -> Loss:
        """Return it as it is kept now."""
        return Loss(*msgspec.structs.astuple(self))


class LossNote:
    """One note in ``path``. Where it cannot be written, it is kept in memory alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.loss = _read(path)
        if not path.exists():
            self._write()  # while there is room: later its place is taken already

    def add(self, at_ms: int) -> None:
        """Note the loss of one event of this time."""
        self.loss = self.loss.more(at_ms)
        self._write()

    def number(self, beyond: int) -> Loss:
        """Give the note a number, if it has none; return it. ``beyond`` is the highest that was told."""
        if not self.loss.number:
            self.loss = msgspec.structs.replace(self.loss, number=beyond + 1)
            self._write()
        return self.loss

    def told(self, highest: int = 0) -> None:
        """Begin a new note: this one stands in the spool. ``highest`` is the highest number that was told."""
        self.loss = Loss(max(self.loss.number, highest) + 1)
        self._write()

    def _write(self) -> None:
        text = msgspec.json.encode(_Kept(self.loss, _sum(self.loss))).ljust(NOTE_BYTES)
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.pwrite(descriptor, text, 0)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            _log.error("a loss is known in memory alone", events=self.loss.events, error=str(error))


def _read(path: Path) -> Loss:
    try:
        return _decode(path.read_bytes().strip())
    except FileNotFoundError:
        return Loss()
    except (OSError, msgspec.DecodeError) as error:
        _log.error("the note of what was lost cannot be read", path=path.name, way_out=_WAY_OUT, error=str(error))
        return Loss()


def _decode(text: bytes) -> Loss:
    """Return what a note says; one of an earlier version has no checksum.

    Raises:
        msgspec.DecodeError: it is not as it was written.
    """
    try:
        kept = msgspec.json.decode(text, type=_Kept)
    except msgspec.ValidationError:
        return msgspec.json.decode(text, type=_Earlier).loss()
    if kept.sum != _sum(kept.loss):
        raise msgspec.DecodeError("its checksum is another one")
    return kept.loss


def _sum(loss: Loss) -> int:
    return zlib.crc32(repr(msgspec.structs.astuple(loss)).encode())
