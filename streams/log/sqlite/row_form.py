"""The form of a record in a day file: compressed with a dictionary of earlier records, under a checksum. Pure.

Records of a few events are short and much alike. Each alone says little that it could be compressed by; the records
before it say nearly all of it. So the writer puts the last of them into the file now and then, as a dictionary, and
rows name the one that they need. A dictionary holds what devices said, so it belongs to its file and goes with it.
"""

from __future__ import annotations

import struct
import zlib

import msgspec

NO_DICTIONARY = 0
DICTIONARY_BYTES = 16 * 1024
RENEWED_AFTER_BYTES = 4 * 1024 * 1024
"""Of records, before compression: about 15,000 events. A dictionary takes 4 KB of the file, so below 0.5 B an event."""
_LEVEL = 3
_LEVEL_ALONE = 1
_RAW = -15  # no zlib header and sum: the row has its own, over everything in it
_HEAD = struct.Struct(">qqqq")


class DamagedRow(ValueError):  # noqa: N818 - what it is
    """A row that is not what was written. The message says in which way."""


class Row(msgspec.Struct, frozen=True, array_like=True):
    """A record as a day file keeps it. ``checksum`` is None in rows of versions that had none."""

    position: int
    watermark_ms: int
    body: bytes
    at_ms: int
    dictionary: int = NO_DICTIONARY
    checksum: int | None = None


def checked(row: Row) -> Row:
    """Return the row with the checksum of what it says."""
    return msgspec.structs.replace(row, checksum=_sum_of(row))


def check(row: Row) -> None:
    """Raise unless the row is as it was written; one without a checksum passes.

    Raises:
        DamagedRow: its checksum differs.
    """
    if row.checksum is not None and _sum_of(row) != row.checksum:
        raise DamagedRow("its checksum differs from what was written")


def _sum_of(row: Row) -> int:
    """Return the CRC-32 of everything else in the row."""
    return zlib.crc32(row.body, zlib.crc32(_HEAD.pack(row.position, row.watermark_ms, row.at_ms, row.dictionary)))


class Packer:
    """Compresses with one dictionary; ``number`` names it. Number 0 is none."""

    def __init__(self, number: int = NO_DICTIONARY, dictionary: bytes = b"") -> None:
        self.number, self.dictionary = number, dictionary
        primed = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW, zdict=dictionary) if number else None
        self._primed = primed  # copied for each record: to hash the dictionary again costs twice the time

    def pack(self, data: bytes) -> bytes:
        """Return ``data`` compressed."""
        if self._primed is None:
            return zlib.compress(data, _LEVEL_ALONE)
        packing = self._primed.copy()
        return packing.compress(data) + packing.flush()


def unpack(body: bytes, dictionary: bytes | None) -> bytes:
    """Return what was compressed, with ``dictionary`` or (None) without one.

    Raises:
        DamagedRow: it cannot be unpacked.
    """
    try:
        if dictionary is None:
            return zlib.decompress(body)
        unpacking = zlib.decompressobj(_RAW, zdict=dictionary)
        data = unpacking.decompress(body)
    except zlib.error as error:
        raise DamagedRow(f"it cannot be unpacked: {error}") from None
    if not unpacking.eof:
        raise DamagedRow("it ends too early")
    return data


class RowWriter:
    """Makes rows of records, with the newest dictionary, and a new one when it is time.

    Args:
        packer: what rows are compressed with at first.
        last: the highest number that a dictionary of the file has, 0 when it has none.
    """

    def __init__(self, packer: Packer, last: int) -> None:
        self._packer, self._last = packer, last
        self._newest = b""
        self._left_bytes = RENEWED_AFTER_BYTES if packer.number else DICTIONARY_BYTES
        self.made: list[Packer] = []
        """The dictionaries that rows need and the file has not."""

    def copy(self) -> RowWriter:
        """Return another one that goes on from here: it takes this one's place when its rows are kept."""
        other = RowWriter(self._packer, self._last)
        other._newest, other._left_bytes = self._newest, self._left_bytes
        return other

    def row(self, position: int, watermark_ms: int, data: bytes, at_ms: int) -> Row:
        """Return the row of a record."""
        if self._left_bytes <= 0:
            self._last += 1
            self._packer = Packer(self._last, self._newest)
            self.made.append(self._packer)
            self._left_bytes = RENEWED_AFTER_BYTES
        self._newest = (self._newest + data)[-DICTIONARY_BYTES:]
        self._left_bytes -= len(data)
        return checked(Row(position, watermark_ms, self._packer.pack(data), at_ms, self._packer.number))
