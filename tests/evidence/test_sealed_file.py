"""Sealed files: their head is sealed as well, and files of the format before still open."""

from __future__ import annotations

from pathlib import Path

import pytest

from evidence.sealed_file import CHUNK_BYTES, HEADER_BYTES, SealBroken, seal, size_of, unseal

KEY, NAME = bytes(range(32)), "name"
PLAIN = b"0123456789" * 4
BEFORE = bytes.fromhex(
    "4c4e5331000102030405060708090a0b0c0d0e0f0000000000000028"
    "6ad738d7fb13ca1db6a69523b103575b69c9338df500070de732b2db40e41fa35bb6f2f65c55f5fba60fbac7435a7c3aa46dcee6fb96226d"
)
"""PLAIN in a file of the first format (LNS1), with KEY and NAME."""


def _read(path: Path, name: str = NAME, key: bytes = KEY) -> bytes:
    return b"".join(unseal(path, key, name))


def _new(path: Path, plain: bytes = PLAIN) -> bytes:
    seal(path, KEY, NAME, len(plain), [plain])
    return path.read_bytes()


def test_a_file_of_the_format_before_opens(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(BEFORE)
    assert (_read(path), size_of(path, KEY, NAME)) == (PLAIN, len(PLAIN))
    assert b"".join(unseal(path, KEY, NAME, 5, 12)) == PLAIN[5:12]


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES])
def test_a_new_file_says_its_size_and_gives_its_bytes(tmp_path: Path, size: int) -> None:
    path, plain = tmp_path / "f", bytes(size)
    assert _new(path, plain)[:4] == b"LNS2"
    assert (_read(path), size_of(path, KEY, NAME)) == (plain, size)


@pytest.mark.parametrize("at", [4, HEADER_BYTES - 1, HEADER_BYTES - 2, HEADER_BYTES, HEADER_BYTES + 15])
def test_a_head_that_was_changed_is_refused_before_anything_is_said_of_the_file(tmp_path: Path, at: int) -> None:
    path = tmp_path / "f"
    raw = bytearray(_new(path))
    raw[at] ^= 1
    path.write_bytes(raw)
    for look in (lambda: _read(path), lambda: size_of(path, KEY, NAME)):
        with pytest.raises(SealBroken):
            look()


def test_a_new_head_is_bound_to_its_name_and_its_key(tmp_path: Path) -> None:
    path = tmp_path / "f"
    _new(path)
    for key, name in ((KEY, "other"), (bytes(32), NAME)):
        with pytest.raises(SealBroken):
            size_of(path, key, name)


@pytest.mark.parametrize("size", [0, 39, 41, 2**62])
def test_an_old_head_with_another_size_is_refused_whatever_is_cut(tmp_path: Path, size: int) -> None:
    path = tmp_path / "f"
    forged = BEFORE[:20] + size.to_bytes(8, "big") + BEFORE[28:]
    for raw in (forged, forged[: 28 + min(size, 99) + 16]):
        path.write_bytes(raw)
        with pytest.raises(SealBroken):
            _read(path)


def test_a_new_head_is_not_taken_for_an_old_one(tmp_path: Path) -> None:
    path = tmp_path / "f"
    raw = _new(path)
    path.write_bytes(b"LNS1" + raw[4:HEADER_BYTES] + raw[HEADER_BYTES + 16 :])
    assert _read(path) == PLAIN  # the chunks prove the rest: the size by the file's length and its last chunk
    path.write_bytes(b"LNS1" + raw[4:])
    with pytest.raises(SealBroken):
        _read(path)


@pytest.mark.parametrize("raw", [b"", b"LNS", b"LNS2" + bytes(20), b"LNS3" + bytes(90), bytes(200)])
def test_what_is_no_sealed_file_is_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "f"
    path.write_bytes(raw)
    with pytest.raises(SealBroken):
        _read(path)
