"""Files encrypted at rest: AES-256-GCM in chunks, so that any range is read without the rest.

A file has its own key, HKDF(master key, random salt), so counters as nonces never repeat under one key. Each chunk is
bound to the file's name, its index and whether it is the last: chunks cannot be swapped, dropped or moved elsewhere.
The head (format, salt, size) carries a tag of its own. Files of the format before have none; there the length of the
file must be what their head says, and the last chunk proves that.
A *part* (an upload that is not complete) is a sequence of sealed records of any size up to a chunk.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from contracts.errors import ConfigurationError, Permanent
from system.durable_files import sync_folder
from system.private_files import make_file

CHUNK_BYTES = 64 * 1024
KEY_BYTES = 32
_TAG_BYTES = 16
_MAGIC = b"LNS2"
_MAGIC_BEFORE = b"LNS1"
_SALT_BYTES = 16
_SIZE = struct.Struct(">Q")
_LENGTH = struct.Struct(">I")
_NONCE = struct.Struct(">4xQ")
_AAD = struct.Struct(">Q?")
HEADER_BYTES = len(_MAGIC) + _SALT_BYTES + _SIZE.size
_HEADER_NONCE = b"\xff" * 12
"""No chunk has it: an index is at most 2⁶⁴ - 1 behind four zeros."""


class _Head(msgspec.Struct, frozen=True):
    """What stands before the chunks: the file's cipher, its plain size, and where the chunks begin."""

    cipher: AESGCM
    size_bytes: int
    chunks_at: int


class SealBroken(Permanent):
    """A sealed file was damaged, cut or changed, or the key is not the one it was sealed with."""


def load_key(path: Path) -> bytes:
    """Return the master key in ``path``; made at random, readable by its owner alone, when the file does not exist.

    Raises:
        ConfigurationError: when the file does not hold 32 bytes.
    """
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(os.urandom(KEY_BYTES))
            _sync(file)
    except FileExistsError:
        pass
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise ConfigurationError(f"key file {path} has {len(key)} bytes, expected {KEY_BYTES}; restore it")
    return key


def seal(path: Path, key: bytes, name: str, size_bytes: int, plain: Iterable[bytes]) -> None:
    """Write ``plain`` (exactly ``size_bytes`` in all) to ``path``, durably, under a temporary name until complete."""
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    make_file(temporary)
    with temporary.open("wb") as file:
        salt = os.urandom(_SALT_BYTES)
        cipher, last = _cipher(key, salt), _last_index(size_bytes)
        head = _MAGIC + salt + _SIZE.pack(size_bytes)
        file.write(head + cipher.encrypt(_HEADER_NONCE, b"", name.encode() + head))
        for index, chunk in enumerate(_chunks(plain)):
            file.write(cipher.encrypt(_NONCE.pack(index), chunk, _aad(name, index, last=index == last)))
        _sync(file)
    temporary.replace(path)
    sync_folder(path.parent)


def size_of(path: Path, key: bytes, name: str) -> int:
    """Return the plain size of a sealed file.

    Raises:
        SealBroken: when it is not one, or its head or length is not what was sealed.
    """
    with path.open("rb") as file:
        return _header(file, path, key, name).size_bytes


def unseal(path: Path, key: bytes, name: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
    """Yield the plain bytes ``start … stop`` (end exclusive; None: to the end), a chunk at a time.

    Raises:
        SealBroken: while iterating, before any damaged byte is given.
    """
    with path.open("rb") as file:
        head = _header(file, path, key, name)
        size, cipher, last = head.size_bytes, head.cipher, _last_index(head.size_bytes)
        end = size if stop is None else min(stop, size)
        wanted = range(start // CHUNK_BYTES, -(-end // CHUNK_BYTES) if start < end else 0)
        for index in wanted if size else range(1):  # that there is nothing must be proven too
            file.seek(head.chunks_at + index * (CHUNK_BYTES + _TAG_BYTES))
            sealed = file.read(CHUNK_BYTES + _TAG_BYTES)
            plain = _open(cipher, index, sealed, _aad(name, index, last=index == last), path)
            first = index * CHUNK_BYTES
            yield plain[max(start - first, 0) : end - first]


class Part:
    """An upload that is not complete. Records are appended; a torn last one is cut off on opening.

    Attributes:
        size_bytes: plain bytes held.
    """

    def __init__(self, path: Path, key: bytes, name: str) -> None:
        self._path = path
        self._name = name
        make_file(path)
        self._file = path.open("r+b")
        salt = self._file.read(_SALT_BYTES)
        if len(salt) < _SALT_BYTES:
            salt = os.urandom(_SALT_BYTES)
            self._file.seek(0)
            self._file.truncate()
            self._file.write(salt)
        self._cipher = _cipher(key, salt)
        self.size_bytes, self._records = 0, 0
        self._cut_torn_record()

    def append(self, plain: bytes) -> None:
        """Add bytes; durable after :meth:`sync`."""
        for start in range(0, len(plain), CHUNK_BYTES):
            piece = plain[start : start + CHUNK_BYTES]
            aad = _aad(self._name, self._records, last=False)
            sealed = self._cipher.encrypt(_NONCE.pack(self._records), piece, aad)
            self._file.write(_LENGTH.pack(len(sealed)) + sealed)
            self._records += 1
            self.size_bytes += len(piece)

    def sync(self) -> None:
        """Make what was appended durable."""
        _sync(self._file)

    def read(self) -> Iterator[bytes]:
        """Yield the plain bytes from the start, a record at a time."""
        self._file.flush()
        self._file.seek(_SALT_BYTES)
        for index in range(self._records):
            sealed = self._next_record()
            if sealed is None:
                raise _broken(self._path, f"record {index} is gone")
            yield _open(self._cipher, index, sealed, _aad(self._name, index, last=False), self._path)
        self._file.seek(0, os.SEEK_END)

    def close(self) -> None:
        """Close the file; the part stays."""
        self._file.close()

    def _next_record(self) -> bytes | None:
        head = self._file.read(_LENGTH.size)
        if len(head) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack(head)
        sealed = self._file.read(length) if length <= CHUNK_BYTES + _TAG_BYTES else b""
        return sealed if length and len(sealed) == length else None

    def _cut_torn_record(self) -> None:
        self._file.seek(_SALT_BYTES)
        good = _SALT_BYTES
        while (sealed := self._next_record()) is not None and self._is_good(sealed):
            good = self._file.tell()
            self._records += 1
            self.size_bytes += len(sealed) - _TAG_BYTES
        self._file.seek(good)
        self._file.truncate()

    def _is_good(self, sealed: bytes) -> bool:
        aad = _aad(self._name, self._records, last=False)
        try:
            self._cipher.decrypt(_NONCE.pack(self._records), sealed, aad)
        except InvalidTag:
            return False
        return True


def _chunks(plain: Iterable[bytes]) -> Iterator[bytes]:
    """Yield ``plain`` cut anew into full chunks and a shorter last one; an empty file is one empty chunk."""
    held, any_yet = bytearray(), False
    for piece in plain:
        held += piece
        while len(held) > CHUNK_BYTES:
            any_yet = True
            yield bytes(held[:CHUNK_BYTES])
            del held[:CHUNK_BYTES]
    if held or not any_yet:
        yield bytes(held)


def _last_index(size_bytes: int) -> int:
    return max(size_bytes - 1, 0) // CHUNK_BYTES


def _header(file: BinaryIO, path: Path, key: bytes, name: str) -> _Head:
    raw = file.read(HEADER_BYTES + _TAG_BYTES)
    plain, tag = raw[:HEADER_BYTES], raw[HEADER_BYTES:]
    magic = plain[: len(_MAGIC)]
    if len(plain) != HEADER_BYTES or magic not in {_MAGIC, _MAGIC_BEFORE}:
        raise _broken(path, "it is no sealed file")
    cipher = _cipher(key, plain[len(_MAGIC) : len(_MAGIC) + _SALT_BYTES])
    size = int(_SIZE.unpack(plain[-_SIZE.size :])[0])
    chunks_at = HEADER_BYTES
    if magic == _MAGIC:
        chunks_at += _TAG_BYTES
        try:
            cipher.decrypt(_HEADER_NONCE, tag, name.encode() + plain)
        except (InvalidTag, ValueError):
            raise _broken(path, "its head does not open") from None
    if os.fstat(file.fileno()).st_size != chunks_at + size + (_last_index(size) + 1) * _TAG_BYTES:
        raise _broken(path, "it is not as long as its head says")
    return _Head(cipher, size, chunks_at)


def _cipher(key: bytes, salt: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), KEY_BYTES, salt, b"linli evidence file").derive(key))


def _aad(name: str, index: int, *, last: bool) -> bytes:
    return name.encode() + _AAD.pack(index, last)


def _open(cipher: AESGCM, index: int, sealed: bytes, aad: bytes, path: Path) -> bytes:
    try:
        return cipher.decrypt(_NONCE.pack(index), sealed, aad)
    except (InvalidTag, ValueError):
        raise _broken(path, f"chunk {index} does not open") from None


def _broken(path: Path, what: str) -> SealBroken:
    remedy = "restore it, or delete it, or put back the key that it was sealed with"
    return SealBroken(f"{path} is damaged or of another key: {what}; {remedy}")


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
