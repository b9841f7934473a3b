"""A segment: one site's part of one UTC day of the log, as bytes. Pure.

``MAGIC``, a head in plain JSON, then sealed parts (u32 length, nonce, AES-256-GCM of a zlib-compressed msgpack part).
Each part is bound to the head and to its number, and the last counts those before it: parts cannot be swapped, dropped
or moved to another day.

What a part holds, in order: first *the configuration in force* before the day's first record, so that a day can be
replayed alone; then *batches*: the site's events in order of acceptance, cut as the log's records were, with each one's
watermark. A batch without events stands for all the time that passed between two records of the site. So a replay
releases exactly what the log released, and its findings are the log's.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.batch import Batch, decode_batch, with_raw
from contracts.errors import Permanent, Rejected
from contracts.events import Configuration
from contracts.names import Id

MAGIC = b"LINLISEG1\n"
SUFFIX = ".seg"
SEGMENT_VERSION = 1
MAX_PART_BYTES = 64 * 1024 * 1024
"""A damaged file must not fill the memory; parts are cut at about 256 KiB, a configuration is a few MB."""

_LEVEL = 6
NONCE_BYTES = 12
_TAG_BYTES = 16
_LENGTH = struct.Struct(">I")
_INDEX = struct.Struct(">Q")


class SegmentBroken(Permanent):
    """A segment was damaged, cut or changed, or the key is not the one it was sealed with; ``remedy`` is what to do."""

    def __init__(
        self, detail: str, remedy: str = "restore the file from a backup; no other segment is concerned"
    ) -> None:
        super().__init__(f"{detail}; {remedy}")


class SegmentHead(msgspec.Struct, frozen=True, kw_only=True):
    """The part that is readable without the key: site, day (``YYYYMMDD``, UTC), log and partition."""

    v: int = SEGMENT_VERSION
    site_id: Id
    day: str
    log_id: str
    partition: int


class ConfigurationPart(msgspec.Struct, frozen=True, tag="configuration", array_like=True):
    """The rows in force before the day's first record, by version."""

    records: tuple[Configuration, ...]


class BatchesPart(msgspec.Struct, frozen=True, tag="batches", array_like=True):
    """Some of the day's batches."""

    batches: tuple[Batch, ...]


class EndPart(msgspec.Struct, frozen=True, tag="end", array_like=True):
    """The last part: how many came before it."""

    parts: int


Part = ConfigurationPart | BatchesPart | EndPart


def file_name(head: SegmentHead) -> str:
    """Return ``site/YYYYMMDD-log.seg``: a segment's place in the archive. Another log's day is another file."""
    return f"{head.site_id}/{head.day}-{head.log_id[:8]}{SUFFIX}"


def encode_head(head: SegmentHead) -> bytes:
    """Return the bytes before the first part."""
    text = msgspec.json.encode(head)
    return MAGIC + _LENGTH.pack(len(text)) + text


def seal_part(part: Part, number: int, head: SegmentHead, key: bytes, nonce: bytes) -> bytes:
    """Seal the part, without its length. ``nonce``: :data:`NONCE_BYTES` at random, never twice with one key."""
    plain = zlib.compress(_encoded(part), _LEVEL)
    return nonce + AESGCM(key).encrypt(nonce, plain, _bound_to(head, number))


def open_part(sealed: bytes, number: int, head: SegmentHead, key: bytes) -> Part:
    """Return the part that :func:`seal_part` sealed.

    Raises:
        SegmentBroken: it is not this part of this segment, or the key is another.
    """
    try:
        plain = AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _bound_to(head, number))
    except (InvalidTag, ValueError):
        raise SegmentBroken(f"{file_name(head)}: part {number} does not open") from None
    inflate = zlib.decompressobj()
    try:
        content = inflate.decompress(plain, MAX_PART_BYTES)
        if not inflate.eof:
            raise SegmentBroken(f"{file_name(head)}: part {number} is cut or over {MAX_PART_BYTES} bytes")
        return _decoded(content)
    except (zlib.error, Rejected, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SegmentBroken(f"{file_name(head)}: part {number} cannot be read: {error}") from None


def _encoded(part: Part) -> bytes:
    """Return the part as msgpack; events that the archiver could not read as the bytes that they were."""
    try:
        return _ENCODER.encode(part)
    except TypeError:
        assert isinstance(part, BatchesPart)
        return _ENCODER.encode(BatchesPart(tuple(map(with_raw, part.batches))))


def _decoded(content: bytes) -> Part:
    """Return the part in ``content``; batches and rows of which one cannot be read, one by one."""
    try:
        return _DECODER.decode(content)
    except msgspec.ValidationError:
        tag, items = _LOOSE.decode(content)
        if tag == "batches":
            return BatchesPart(tuple(map(decode_batch, items)))
        if tag != "configuration":
            raise
        return ConfigurationPart(tuple(row for raw in items if (row := _row(raw)) is not None))


def _row(raw: msgspec.Raw) -> Configuration | None:
    """Return the row; None for one of a kind that this program does not know, which no rule of it can ask for."""
    try:
        return _ROW.decode(raw)
    except msgspec.ValidationError:
        return None


def framed(sealed: bytes) -> bytes:
    """Return a sealed part as it stands in the file."""
    return _LENGTH.pack(len(sealed)) + sealed


def read_head(file: BinaryIO, name: str) -> SegmentHead:
    """Return the head of an open file; the file then stands at its first part.

    Raises:
        SegmentBroken: when it is no segment, or one of a newer program.
    """
    if file.read(len(MAGIC)) != MAGIC:
        raise SegmentBroken(f"{name} is not a segment of the archive")
    try:
        head = msgspec.json.decode(_frame(file, name) or b"", type=SegmentHead)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SegmentBroken(f"{name}: its head cannot be read: {error}") from None
    if head.v > SEGMENT_VERSION:
        raise SegmentBroken(f"{name} has version {head.v}, this program reads ≤ {SEGMENT_VERSION}", "use the newer one")
    return head


def read_parts(file: BinaryIO, head: SegmentHead, key: bytes, name: str) -> Iterator[ConfigurationPart | BatchesPart]:
    """Yield the parts after the head, each as soon as it is read; the last one's count is checked.

    Raises:
        SegmentBroken: while iterating, before anything damaged is given.
    """
    number = 0
    while (sealed := _frame(file, name)) is not None:
        part = open_part(sealed, number, head, key)
        if isinstance(part, EndPart):
            if part.parts != number or file.read(1):
                raise SegmentBroken(f"{name}: its end does not fit what is before it")
            return
        number += 1
        yield part
    raise SegmentBroken(f"{name} is cut after {number} parts")


def _frame(file: BinaryIO, name: str) -> bytes | None:
    """Return the next length and as many bytes; None at the end of the file."""
    length = file.read(_LENGTH.size)
    if not length:
        return None
    size = int(_LENGTH.unpack(length)[0]) if len(length) == _LENGTH.size else 0
    data = file.read(size) if 0 < size <= MAX_PART_BYTES else b""
    if not size or len(data) != size:
        raise SegmentBroken(f"{name} is cut or damaged")
    return data


def _bound_to(head: SegmentHead, number: int) -> bytes:
    return msgspec.json.encode(head) + _INDEX.pack(number)


_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Part] = msgspec.msgpack.Decoder(Part)
_LOOSE = msgspec.msgpack.Decoder(tuple[str, tuple[msgspec.Raw, ...]])
_ROW: msgspec.msgpack.Decoder[Configuration] = msgspec.msgpack.Decoder(Configuration)
