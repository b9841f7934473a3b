"""What is wrong with an inventory that somebody wrote, and where. Pure."""

from __future__ import annotations

import msgspec


class FileFault(msgspec.Struct, frozen=True, order=True):
    """One thing that is wrong, with what was expected. ``line`` counts from 1; 0: it is in no line of the file."""

    line: int
    what: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}" if self.line else self.what


class RecordFault(msgspec.Struct, frozen=True):
    """A field of a record that is wrong: its key, and what was expected."""

    key: str
    what: str
