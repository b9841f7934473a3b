"""A checksum of a row's values: SQLite finds pages out of order, never a byte that says something else. Pure."""

from __future__ import annotations

import zlib

Value = int | float | str | bytes
_MARKS = {int: b"i", float: b"f", str: b"s", bytes: b"b"}


def row_checksum(*values: Value) -> int:
    """Return the CRC-32 of these values with their types; 0 to 2³² - 1.

    >>> row_checksum(1, "a") == row_checksum(1, b"a")
    False
    """
    total = 0
    for value in values:
        data = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
        total = zlib.crc32(data, zlib.crc32(_MARKS.get(type(value), b"?") + len(data).to_bytes(8, "big"), total))
    return total


def is_intact(checksum: object, *values: Value) -> bool:
    """Return whether a row has the checksum that was written with it; one of a version without any passes.

    A value that is missing is damage: none of them may be NULL, and a row's spoilt header can make it so.
    """
    if None in values:
        return False
    return checksum is None or (isinstance(checksum, int) and checksum == row_checksum(*values))
