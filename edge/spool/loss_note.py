"""What the spool could not take: a note of fixed size beside it, written in place, so that a full disk takes it too."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import structlog

NOTE_BYTES = 512
_log = structlog.get_logger("edge.spool.loss_note")


class Loss(msgspec.Struct, frozen=True):
    """Events that were lost and not yet told. ``number`` names the note, so that none is told twice."""

    number: int = 1
    events: int = 0
    from_ms: int = 0
    to_ms: int = 0

    def more(self, at_ms: int) -> Loss:
        """Return the loss with one more event in it."""
        first = at_ms if self.events == 0 else min(self.from_ms, at_ms)
        return Loss(self.number, self.events + 1, first, max(self.to_ms, at_ms))


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

    def told(self) -> None:
        """Begin a new note: this one stands in the spool."""
        self.loss = Loss(self.loss.number + 1)
        self._write()

    def _write(self) -> None:
        text = msgspec.json.encode(self.loss).ljust(NOTE_BYTES)
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
        return msgspec.json.decode(path.read_bytes().strip(), type=Loss)
    except FileNotFoundError:
        return Loss()
    except (OSError, msgspec.DecodeError) as error:
        _log.error("the note of what was lost cannot be read", error=str(error))
        return Loss()
