"""The archive as a folder: ``SITE/YYYYMMDD-LOG.seg``, ``archive.db``, the key file. One process changes it at a time.

Every change is made under a file lock that is held for moments only, so that ``linli erase`` works beside whoever
archives. A segment becomes visible whole: written under another name, synced, renamed, then listed. Killed in between,
the next start does it again from the same sealed parts, which gives the same bytes.
"""

from __future__ import annotations

import fcntl
import hashlib
import operator
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from contracts.batch import Batch
from contracts.erasure import UNKEYED, Eraser, Erasure, ReferenceKey
from contracts.events import ConfigurationRecord
from streams.archive.catalogue import ArchiveCatalogue, Segment
from streams.archive.cutter import erased_rows
from streams.archive.keys import SiteKeys, new_nonce
from streams.archive.segment import (
    BatchesPart,
    ConfigurationPart,
    EndPart,
    SegmentBroken,
    SegmentHead,
    encode_head,
    file_name,
    framed,
    open_part,
    read_head,
    read_parts,
    seal_part,
)
from system.durable_files import replace_durably, sync_folder
from system.private_files import make_folder

KEY_FILE = "keys"
CATALOGUE = "archive.db"
Content = ConfigurationPart | BatchesPart


class Archive:
    """One archive.

    Args:
        folder: made when it is missing.
        key_file: the sites' keys; None: ``keys`` in the folder.
        reference_key: by which references that were erased are recognised.
    """

    def __init__(self, folder: Path, key_file: Path | None = None, reference_key: ReferenceKey = UNKEYED) -> None:
        self._reference_key = reference_key
        make_folder(folder)
        self.folder = folder
        self.keys = SiteKeys(key_file or folder / KEY_FILE)
        self.catalogue = ArchiveCatalogue(folder / CATALOGUE)
        self._threads = threading.RLock()
        self._depth = 0

    def close(self) -> None:
        """Close the catalogue."""
        self.catalogue.close()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Keep others from changing the archive inside the block."""
        with self._threads:
            self._depth += 1
            try:
                if self._depth > 1:
                    yield
                    return
                with (self.folder / "archive.lock").open("a") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX)
                    yield
            finally:
                self._depth -= 1

    def eraser(self) -> Eraser:
        """Return what takes out of events whatever was erased so far."""
        return self.eraser_of(self.catalogue.erasures())

    def eraser_of(self, erasures: Iterable[Erasure]) -> Eraser:
        """Return what takes these out of events."""
        return Eraser(erasures, self._reference_key)

    def path(self, segment: Segment) -> Path:
        """Return its file."""
        return self.folder / segment.name

    # --- writing ------------------------------------------------------------------------------------------------------

    def seal(self, head: SegmentHead) -> Segment:
        """Make the segment of a day that has ended from its open parts, the last of which is its end."""
        pieces = [encode_head(head), *(framed(part) for part in self.catalogue.parts(file_name(head)))]
        segment = self._write(head, pieces, list(self.read_open(head)))
        self.catalogue.sealed(segment)
        return segment

    def _write(self, head: SegmentHead, pieces: Sequence[bytes], parts: Sequence[Content]) -> Segment:
        path = self.folder / file_name(head)
        if not path.parent.exists():
            make_folder(path.parent)
            sync_folder(self.folder)
        replace_durably(path, pieces, mode=0o600)
        digest = hashlib.sha256()
        for piece in pieces:
            digest.update(piece)
        batches = [batch for part in parts if isinstance(part, BatchesPart) for batch in part.batches]
        return Segment(
            head=head,
            batches=len(batches),
            events=sum(len(batch.events) for batch in batches),
            size_bytes=sum(len(piece) for piece in pieces),
            sha256=digest.hexdigest(),
        )

    # --- reading ------------------------------------------------------------------------------------------------------

    def read(self, segment: Segment) -> Iterator[Content]:
        """Yield what the segment holds.

        Raises:
            SegmentBroken: it was damaged or is gone.
        """
        path = self.path(segment)
        try:
            file = path.open("rb")
        except FileNotFoundError:
            raise SegmentBroken(f"{segment.name} is gone, and nothing says that it was deleted") from None
        with file:
            head = read_head(file, segment.name)
            if head != segment.head:
                raise SegmentBroken(f"{segment.name} says that it is {file_name(head)}")
            yield from read_parts(file, head, self.keys.of(head.site_id), segment.name)

    def read_open(self, head: SegmentHead) -> Iterator[Content]:
        """Yield what is archived of a site-day that has no segment yet."""
        key = self.keys.of(head.site_id)
        for number, sealed in enumerate(self.catalogue.parts(file_name(head))):
            part = open_part(sealed, number, head, key)
            if not isinstance(part, EndPart):
                yield part

    def verify(self, segment: Segment) -> None:
        """Raise unless every byte of the segment is what was written.

        Raises:
            SegmentBroken: saying what is wrong.
        """
        for _part in self.read(segment):
            pass
        if hashlib.sha256(self.path(segment).read_bytes()).hexdigest() != segment.sha256:
            raise SegmentBroken(f"{segment.name} is whole, but not the file that the catalogue lists")

    # --- deleting and erasing -----------------------------------------------------------------------------------------

    def delete(self, segment: Segment) -> None:
        """Unlink the segment and look that it is gone.

        Raises:
            SegmentBroken: it is still there.
        """
        with self.changing():
            path = self.path(segment)
            path.unlink(missing_ok=True)
            if path.parent.exists():
                sync_folder(path.parent)
            if path.exists():
                raise SegmentBroken(f"{segment.name} is still there after it was deleted", "see who holds it")
            self.catalogue.removed(segment.name)

    def erase(self, erasure: Erasure) -> tuple[int, int]:
        """Take a reference out of everything archived, and out of what will be; how many (segments, events) changed.

        Safe to repeat: what was rewritten before names it no more.
        """
        eraser = self.eraser_of([erasure])
        segments = events = 0
        with self.changing():
            self.catalogue.erase(erasure, erased_rows(self.catalogue.all_rows(erasure.site_id), eraser))
            for head in self.catalogue.open_heads():
                if head.site_id == erasure.site_id:
                    events += self._rewrite_open(head, eraser)
            for segment in self.catalogue.segments(erasure.site_id):
                changed = self._rewrite(segment, eraser)
                segments += changed > 0
                events += changed
        return segments, events

    def renew_digests(self) -> int:
        """Put digests with the key in place of those that an earlier version kept without; how many."""
        with self.changing():
            return self.catalogue.renew_digests(self._reference_key)

    def erase_site(self, site_id: str) -> int:
        """Delete the site's key and segments; how many segments there were. Also copies elsewhere open no more."""
        with self.changing():
            self.keys.erase(site_id)
            segments = self.catalogue.segments(site_id)
            for segment in segments:
                self.delete(segment)
            self.catalogue.forget_site(site_id)
        return len(segments)

    def _rewrite_open(self, head: SegmentHead, eraser: Eraser) -> int:
        key, changed = self.keys.of(head.site_id), 0
        sealed = list(self.catalogue.parts(file_name(head)))
        for number, bytes_ in enumerate(sealed):
            part = open_part(bytes_, number, head, key)
            if not isinstance(part, EndPart):
                rest = without(part, eraser)
                if differences := _differences(part, rest):
                    sealed[number] = seal_part(rest, number, head, key, new_nonce())
                    changed += differences
        if changed:
            self.catalogue.replace_parts(file_name(head), sealed)
        return changed

    def _rewrite(self, segment: Segment, eraser: Eraser) -> int:
        parts = list(self.read(segment))
        rest = [without(part, eraser) for part in parts]
        changed = sum(map(_differences, parts, rest))
        if changed:
            head, key = segment.head, self.keys.of(segment.head.site_id)
            ended = enumerate([*rest, EndPart(len(rest))])
            sealed = [seal_part(part, number, head, key, new_nonce()) for number, part in ended]
            written = self._write(head, [encode_head(head), *map(framed, sealed)], rest)
            self.catalogue.rewritten(written)
            self.verify(written)
        return changed


def without(part: Content, eraser: Eraser) -> Content:
    """Return the part without what is erased. Its batches stay, emptied if need be: they carry time."""
    if isinstance(part, ConfigurationPart):
        kept = (eraser.event(record) for record in part.records)
        return ConfigurationPart(tuple(row for row in kept if isinstance(row, ConfigurationRecord)))
    return BatchesPart(tuple(_batch_without(batch, eraser) for batch in part.batches))


def _batch_without(batch: Batch, eraser: Eraser) -> Batch:
    kept = [event for each in batch.events if (event := eraser.event(each)) is not None]
    if len(kept) == len(batch.events) and all(map(operator.is_, kept, batch.events)):
        return batch
    return msgspec.structs.replace(batch, events=tuple(kept))


def _differences(before: Content, after: Content) -> int:
    """Return how many events and rows are others now, or gone."""
    return len(_contents(before) - _contents(after))


def _contents(part: Content) -> set[bytes]:
    if isinstance(part, ConfigurationPart):
        return {msgspec.msgpack.encode(row) for row in part.records}
    return {msgspec.msgpack.encode(event) for batch in part.batches for event in batch.events}
