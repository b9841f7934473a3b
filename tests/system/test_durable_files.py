from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from system.durable_files import replace_durably


def test_a_file_is_replaced_as_a_whole_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"before")
    replace_durably(path, [b"one ", b"two"], mode=0o600)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"one two", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_half_way_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise OSError("the disk is full")

    path = tmp_path / "key"
    path.write_bytes(b"before")
    with pytest.raises(OSError, match="full"):
        replace_durably(path, pieces())
    assert path.read_bytes() == b"before"
