"""Segments hold what the log held: the rules find the same in them, whoever was killed when. Nobody else reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.batch import Batch
from contracts.durations import DAY_MS
from contracts.errors import ConfigurationError, LogBroken
from contracts.events import ClockStepped, DeviceConfigured, event_header
from streams.archive.archive import Archive
from streams.archive.archiver import Archiver
from streams.archive.catalogue import ArchiveCatalogue, Segment
from streams.archive.cutter import Cutter
from streams.archive.keys import SiteKeys
from streams.archive.replaying import run_segments, segment_file
from streams.archive.segment import BatchesPart, ConfigurationPart, SegmentBroken
from streams.log.port import LogRecord
from streams.log.sqlite.day_log import DayLog
from tests.streams.archive.support import MIDNIGHT_MS, archive_all, everything, moved, next_day, replayed
from tests.streams.histories import history
from tests.streams.rules import RULES, small_rules
from tests.streams.support import T0, access, batch, by_site, device, judge
from tests.support.folders import fast_folder

EVENTS = 400
ACROSS_MIDNIGHT_MS = MIDNIGHT_MS - T0 - EVENTS * 300 // 2


@pytest.fixture
def folder() -> Iterator[Path]:
    with fast_folder() as path:
        yield path


def _life(seed: int = 1) -> list[Batch]:
    return moved(history(seed, EVENTS), ACROSS_MIDNIGHT_MS)


def _log(folder: Path, life: list[Batch]) -> DayLog:
    log = DayLog(folder / "log")
    for at in range(0, len(life), 7):
        log.append(life[at : at + 7])
    next_day(log, days=2)
    return log


@pytest.fixture
def archive(folder: Path) -> Iterator[Archive]:
    opened = Archive(folder / "archive")
    yield opened
    opened.close()


def _archived(folder: Path, archive: Archive, seed: int = 1) -> list[Segment]:
    log = _log(folder, _life(seed))
    archive_all(archive, log)
    log.close()
    return archive.catalogue.segments()


# --- the same findings ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_the_rules_find_in_segments_what_they_found_in_the_log(folder: Path, archive: Archive, seed: int) -> None:
    segments = _archived(folder, archive, seed)
    expected = by_site(judge(small_rules(), *_life(seed)))
    assert by_site(replayed(archive, small_rules())) == expected
    assert any(expected.values())
    assert sorted({(s.head.site_id, s.head.day) for s in segments}) == [
        (site, day) for site in ("s1", "s2", "s3") for day in ("20270115", "20270116")
    ]


def test_a_day_alone_begins_with_the_configuration_in_force(folder: Path, archive: Archive) -> None:
    segments = _archived(folder, archive)
    second = next(s for s in segments if s.head.day == "20270116")
    first_part = next(archive.read(second))
    assert isinstance(first_part, ConfigurationPart)
    assert [row.version for row in first_part.records] == [1, 2, 3]
    assert {type(row) for row in first_part.records} > {DeviceConfigured}
    alone = list(run_segments([segment_file(archive.path(second))], archive.keys, RULES))
    assert alone


@pytest.mark.parametrize("by_ms", [-60 * DAY_MS, -3_600_000, 3_600_000])
def test_a_log_whose_time_stepped_is_archived_whole_and_once(folder: Path, archive: Archive, by_ms: int) -> None:
    log, life = DayLog(folder / "log"), _life()
    half = len(life) // 2
    at_ms = max(batch.watermark_ms for batch in life[:half]) + by_ms
    header = event_header("s1", "ingest", "s1", at_ms, "step")
    step = ClockStepped(**header, received_ms=at_ms, step_ms=by_ms, shift_ms=by_ms)
    for one in (*life[:half], Batch(partition=0, watermark_ms=at_ms, events=(step,)), *moved(life[half:], by_ms)):
        log.append([one])
    for _ in range(70):
        next_day(log)
    archive_all(archive, log)
    log.close()
    there = [event.event_id for one in life for event in one.events]
    kept = [
        event.event_id
        for segment in archive.catalogue.segments()
        for part in archive.read(segment)
        if isinstance(part, BatchesPart)
        for one in part.batches
        for event in one.events
        if event.event_id != "step"
    ]
    assert Counter(kept) == Counter(there)
    assert archive.catalogue.open_days(log.identity(), 0, ended=False) == []


# --- killed anywhere --------------------------------------------------------------------------------------------------


class _Killed(BaseException):
    """As if the process ended here."""


@pytest.mark.parametrize("place", ["advance", "sealed", "drain", "_write"])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_killed_anywhere_it_goes_on_and_the_segments_hold_the_same(
    folder: Path, archive: Archive, monkeypatch: pytest.MonkeyPatch, place: str, nth: int
) -> None:
    log, calls = _log(folder, _life()), 0
    owner = {"advance": ArchiveCatalogue, "sealed": ArchiveCatalogue, "drain": Cutter, "_write": Archive}[place]
    whole = getattr(owner, place)

    def cut(*arguments: object, **more: object) -> object:
        nonlocal calls
        calls += 1
        done = whole(*arguments, **more) if place in {"drain", "_write"} else None  # killed after it, or before
        if calls == nth:
            raise _Killed
        return done or whole(*arguments, **more)

    with monkeypatch.context() as patched:
        patched.setattr(owner, place, cut)
        with pytest.raises(_Killed):
            archive_all(archive, log, limit=5)
    archive.close()
    again = Archive(folder / "archive")
    archive_all(again, log, limit=5)
    assert by_site(replayed(again, RULES)) == by_site(judge(RULES, *_life()))
    for segment in again.catalogue.segments():
        again.verify(segment)
    assert not list((folder / "archive").rglob("*.new"))
    again.close()
    log.close()


def test_a_segment_that_is_made_again_from_its_parts_has_the_same_bytes(
    folder: Path, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = _log(folder, _life())

    def killed(_catalogue: ArchiveCatalogue, _segment: Segment) -> None:
        raise _Killed

    with monkeypatch.context() as patched:
        patched.setattr(ArchiveCatalogue, "sealed", killed)
        with pytest.raises(_Killed):
            archive_all(archive, log)
    (made,) = (folder / "archive").rglob("*.seg")
    before = made.read_bytes()
    archive_all(archive, log)
    assert made.read_bytes() == before
    log.close()


def test_two_that_follow_one_log_write_everything_once(folder: Path, archive: Archive) -> None:
    log = _log(folder, _life())
    other = Archive(folder / "archive")
    archivers = [Archiver(archive, log), Archiver(other, log)]
    while archivers[0].step(5) + archivers[1].step(5):
        archivers[0].flush()
    archivers[1].flush()
    assert by_site(replayed(archive, RULES)) == by_site(judge(RULES, *_life()))
    other.close()
    log.close()


# --- what the log no longer has ---------------------------------------------------------------------------------------


def test_of_a_log_whose_beginning_is_gone_the_tables_know_the_configuration(folder: Path, archive: Archive) -> None:
    log = DayLog(folder / "log")
    log.append([batch(0, device(1, 0, "d1"))])
    log.append([batch(DAY_MS, access("a", DAY_MS))])
    next_day(log)
    log.drop_before(1)
    gaps: list[str] = []
    archive_all(archive, log, rows=[device(1, 0, "d1")], gaps=gaps)
    (segment,) = archive.catalogue.segments()
    assert [len(p.records) for p in archive.read(segment) if isinstance(p, ConfigurationPart)] == [1]
    assert gaps == []
    log.close()


def test_records_that_were_gone_before_they_were_archived_are_told(folder: Path, archive: Archive) -> None:
    log = DayLog(folder / "log")
    log.append([batch(0, access("a", 0))])
    archive_all(archive, log)
    for day in (1, 2, 3):
        log.append([batch(day * DAY_MS, access(f"b{day}", day * DAY_MS))])
    log.drop_before(3)
    gaps: list[str] = []
    archive_all(archive, log, gaps=gaps)
    assert gaps == ["positions 1 to 2 were gone before they were archived"]
    log.close()


class _Overtaken:
    """A log whose retention takes records between a look at its begin and the reading."""

    def __init__(self, log: DayLog) -> None:
        self._log, self._begin, self.takes_next = log, 0, [0]
        self.identity, self.end = log.identity, log.end

    def begin(self) -> int:
        return self._begin

    def read(self, position: int, limit: int) -> list[LogRecord]:
        if len(self.takes_next) > 1:
            self._begin = self.takes_next.pop()
        if position < self._begin:
            raise LogBroken(f"the log begins at {self._begin}")
        return self._log.read(position, limit)


def test_records_that_go_before_they_are_read_are_a_gap_and_the_rest_is_kept(folder: Path, archive: Archive) -> None:
    log = DayLog(folder / "log")
    log.append([batch(n * 1_000, access(f"e{n}", n * 1_000)) for n in range(6)])
    gaps: list[str] = []
    overtaken = _Overtaken(log)
    archiver = Archiver(archive, overtaken, on_gap=gaps.append)
    assert archiver.step(1) == 1
    overtaken.takes_next += [4, 3]  # and once more, while it passes the gap
    assert archiver.step() == 2
    archiver.flush()
    assert gaps == [
        "positions 1 to 2 were gone before they were archived",
        "positions 3 to 3 were gone before they were archived",
    ]
    next_day(log)
    while archiver.step():
        pass
    (segment,) = archive.catalogue.segments()
    assert segment.events == 3
    log.close()


def test_what_is_not_archived_yet_is_still_needed(folder: Path, archive: Archive) -> None:
    log = DayLog(folder / "log")
    archiver = Archiver(archive, log)
    log.append([batch(0, access("a", 0)), batch(1, access("b", 1))])
    assert archiver.needed_from() == 0
    archiver.step()
    assert archiver.needed_from() == 0
    archiver.flush()
    assert archiver.needed_from() == 2
    log.close()


# --- nobody else reads it ---------------------------------------------------------------------------------------------


def test_nothing_of_an_event_is_readable_without_the_key(folder: Path, archive: Archive) -> None:
    log = DayLog(folder / "log")
    log.append([batch(0, access("event-of-interest", 0, person_ref="person-of-interest"))])
    archive_all(archive, log)
    assert archive.catalogue.segments() == []
    for _ in range(2):
        held = everything(folder / "archive")
        assert b"person-of-interest" not in held
        assert b"event-of-interest" not in held
        next_day(log)
        archive_all(archive, log)
    assert len(archive.catalogue.segments()) == 1
    assert SiteKeys(folder / "archive" / "keys").path.stat().st_mode & 0o777 == 0o600
    log.close()


@pytest.mark.parametrize("seed", range(3))
def test_a_byte_changed_a_part_lost_or_a_part_moved_is_found(folder: Path, archive: Archive, seed: int) -> None:
    segments = _archived(folder, archive, seed)
    path = archive.path(segments[0])
    whole = path.read_bytes()
    for at in range(0, len(whole), max(1, len(whole) // 60)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises((SegmentBroken, ConfigurationError)):
            archive.verify(segments[0])
        path.write_bytes(whole[:at])
        with pytest.raises(SegmentBroken):
            archive.verify(segments[0])
    path.write_bytes(whole + b"x")
    with pytest.raises(SegmentBroken):
        archive.verify(segments[0])
    path.write_bytes(archive.path(segments[1]).read_bytes())
    with pytest.raises(SegmentBroken, match="says that it is"):
        archive.verify(segments[0])
    path.unlink()
    with pytest.raises(SegmentBroken, match="is gone"):
        archive.verify(segments[0])


def test_without_its_key_a_site_is_erased_also_where_copies_lie(folder: Path, archive: Archive) -> None:
    segments = _archived(folder, archive)
    of_s1 = [s for s in segments if s.head.site_id == "s1"]
    copy = folder / "copy.seg"
    copy.write_bytes(archive.path(of_s1[0]).read_bytes())
    assert archive.erase_site("s1") == len(of_s1)
    with pytest.raises(ConfigurationError, match="no key for site s1"):
        list(run_segments([segment_file(copy)], archive.keys, RULES))
    assert {s.head.site_id for s in archive.catalogue.segments()} == {"s2", "s3"}
    assert archive.keys.sites() == ["s2", "s3"]


def test_a_key_file_that_is_none_is_refused_and_left_alone(folder: Path) -> None:
    path = folder / "keys"
    path.write_text("s1 = too-short\n")
    with pytest.raises(ConfigurationError, match="64 hex digits"):
        SiteKeys(path).make("s2")
    assert path.read_text() == "s1 = too-short\n"


# --- deleting ---------------------------------------------------------------------------------------------------------


def test_a_deleted_segment_is_gone_from_folder_and_catalogue(folder: Path, archive: Archive) -> None:
    first, *rest = _archived(folder, archive)
    archive.delete(first)
    assert not archive.path(first).exists()
    assert archive.catalogue.segments() == rest


def test_batches_of_a_segment_carry_every_moment_that_the_log_carried_for_its_site(
    folder: Path, archive: Archive
) -> None:
    log = DayLog(folder / "log")
    log.append([batch(0, access("a", 0)), batch(500), batch(900), batch(700, access("b", 600)), batch(1_000)])
    next_day(log)
    archive_all(archive, log)
    (segment,) = archive.catalogue.segments()
    batches = [b for part in archive.read(segment) if isinstance(part, BatchesPart) for b in part.batches]
    told = [(b.watermark_ms - T0, [event.event_id for event in b.events]) for b in batches]
    assert told == [(0, ["a"]), (900, []), (700, ["b"]), (1_000, [])]
    log.close()
