"""Findings of segments in memory: the rules over what the log held, record by record, as it was cut.

Each site is judged alone: nothing that one does is seen by the rules of another. Its segments come in the order
of their days; the first one's configuration part stands for everything before. What a rule remembers of earlier days
is missing there, so the first hours of the first segment may be judged differently than they were.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from contracts.batch import Batch
from contracts.errors import ConfigurationError
from contracts.findings import Output
from detectors.core.rule import Rule
from streams.archive.keys import SiteKeys
from streams.archive.segment import MAGIC, BatchesPart, ConfigurationPart, SegmentHead, read_head, read_parts
from streams.engine.engine import Engine
from streams.log.sqlite.days import day_begin_ms


class SegmentFile(msgspec.Struct, frozen=True):
    """A segment somewhere, and what its head says."""

    path: Path
    head: SegmentHead


def is_segment(path: Path) -> bool:
    """Return whether the file is a segment of an archive."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def segment_file(path: Path) -> SegmentFile:
    """Return the segment in ``path``.

    Raises:
        SegmentBroken: when it is none.
    """
    with path.open("rb") as file:
        return SegmentFile(path, read_head(file, path.name))


def run_segments(files: Iterable[SegmentFile], keys: SiteKeys, rules: Sequence[Rule[Any]]) -> Iterator[Output]:
    """Yield the outputs of the segments, by site, and as decided within a site.

    Raises:
        ConfigurationError: two segments of one site and day, or no key for a site. SegmentBroken: one is damaged.
    """
    ordered = sorted(files, key=lambda file: (file.head.site_id, file.head.day))
    for before, after in itertools.pairwise(ordered):
        if (before.head.site_id, before.head.day) == (after.head.site_id, after.head.day):
            raise ConfigurationError(f"{before.path} and {after.path} are of one site and day; give one of them")
    for _, of_site in itertools.groupby(ordered, key=lambda file: file.head.site_id):
        engine = Engine(rules, partition=0, partitions=1, log_id="archive")
        for file in of_site:
            for batch in batches_of_segment(file, keys):
                yield from engine.feed(batch, engine.next_position)


def batches_of_segment(file: SegmentFile, keys: SiteKeys) -> Iterator[Batch]:
    """Yield what a segment gives the engine: the configuration in force, as of the day's begin, then its batches.

    Rows that the engine has from the day before are known to it by their versions.
    """
    began_ms = day_begin_ms(file.head.day)
    with file.path.open("rb") as opened:
        head = read_head(opened, file.path.name)
        for part in read_parts(opened, head, keys.of(head.site_id), file.path.name):
            match part:
                case ConfigurationPart():
                    rows = [msgspec.structs.replace(row, at_ms=began_ms, received_ms=began_ms) for row in part.records]
                    yield Batch(partition=0, watermark_ms=0, events=tuple(rows))
                case BatchesPart():
                    yield from part.batches
