"""A day file's rows take little room, say when they are damaged, and those of earlier versions are read on."""

from __future__ import annotations

import random
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from contracts.batch import Batch, decode_batch, encode_batch
from contracts.errors import Transient
from contracts.events import AccessAttempted, AnyEvent, Credential, PowerSampled
from streams.log.port import RecordDamaged
from streams.log.sqlite.day_log import DayLog, read_days
from streams.log.sqlite.row_form import DICTIONARY_BYTES

T = 1_800_000_000_000
V = TypeVar("V")
EARLIER = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE records (position INTEGER PRIMARY KEY, watermark_ms INTEGER NOT NULL, body BLOB NOT NULL);
INSERT INTO meta VALUES ('identity', '00112233aabbccdd'), ('first', '0');
"""


def _events(count: int, seed: int = 1) -> list[AnyEvent]:
    """Meters and gates of a community with random ids, values and people: little of it repeats."""
    rng = random.Random(seed)
    return [_meter(rng, n) if rng.random() < 0.7 else _gate(rng, n) for n in range(count)]


def _meter(rng: random.Random, n: int) -> PowerSampled:
    room = f"b{rng.randrange(20)}u{rng.randrange(4)}-{rng.randrange(30):02d}01"
    return PowerSampled(
        event_id=f"{rng.getrandbits(32):08x}-{n}",
        site_id="yuhuayuan-east",
        source_id=f"meter-{room}",
        place_id=room,
        at_ms=T + n * 50 + rng.randrange(50),
        received_ms=T + n * 50 + 60,
        power_w=round(rng.uniform(0, 3_000), 1),
        voltage_v=round(rng.uniform(215, 235), 1),
        power_factor=round(rng.random(), 2),
    )


def _gate(rng: random.Random, n: int) -> AccessAttempted:
    door = f"b{rng.randrange(20)}u{rng.randrange(4)}"
    return AccessAttempted(
        event_id=f"{rng.getrandbits(64):016x}",
        site_id="yuhuayuan-east",
        source_id=f"gate-{door}",
        place_id=f"{door}-door",
        at_ms=T + n * 50,
        received_ms=T + n * 50 + 60,
        seq=n,
        credential=rng.choice(list(Credential)),
        granted=True,
        person_ref=f"{rng.getrandbits(128):032x}",
    )


def _batches(events: Sequence[AnyEvent], size: int = 8) -> list[Batch]:
    return [Batch(partition=0, watermark_ms=T, events=tuple(part)) for part in _parts(events, size)]


def _parts(what: Sequence[V], size: int) -> Iterator[Sequence[V]]:
    return (what[start : start + size] for start in range(0, len(what), size))


def _append_each(log: DayLog, batches: Sequence[Batch]) -> None:
    for batch in batches:
        log.append([batch])


def _written(folder: Path, batches: Sequence[Batch]) -> Path:
    log = DayLog(folder)
    _append_each(log, batches)
    log.close()
    return next(folder.glob("log-*.db"))


@pytest.mark.parametrize(("size", "most_bytes"), [(1, 135), (8, 90), (64, 85)])
def test_an_event_takes_little_room_on_disk(tmp_path: Path, size: int, most_bytes: int) -> None:
    events = _events(8_000)
    log = DayLog(tmp_path)
    log.append(_batches(events[:4_000], size))
    log.append(_batches(events[4_000:], size))
    log.close()
    assert next(tmp_path.glob("log-*.db")).stat().st_size / len(events) <= most_bytes


def test_what_was_written_before_and_after_a_restart_is_read_alike(tmp_path: Path) -> None:
    batches = _batches(_events(2_000))
    for part in _parts(batches, 50):
        _written(tmp_path, part)
    records = DayLog(tmp_path, readonly=True).read(0, 1_000)
    assert [record.data for record in records] == [encode_batch(batch) for batch in batches]
    assert [record for _, record in read_days(tmp_path)] == records


def test_a_day_holds_nothing_of_the_days_before(tmp_path: Path) -> None:
    """A dictionary is made of what people did; retention unlinks it with its day."""
    log = DayLog(tmp_path)
    log.append(_batches(_events(1_000)))
    tomorrow = [Batch(partition=0, watermark_ms=T + 86_400_000)] * 500
    for part in _parts(tomorrow, 50):
        log.append(part)
    log.close()
    with sqlite3.connect(sorted(tmp_path.glob("log-*.db"))[1]) as db:
        dictionaries = [zlib.decompress(body) for (body,) in db.execute("SELECT body FROM dictionaries")]
    assert dictionaries
    assert not any(b"yuhuayuan" in dictionary for dictionary in dictionaries)


@pytest.mark.parametrize(
    "damage",
    [
        "body = zeroblob(length(body))",
        "body = substr(body, 1, length(body) - 1)",
        "body = x''",
        "watermark_ms = watermark_ms + 1",
        "dictionary = 0",
        "dictionary = 7",
        "at_ms = at_ms + 1",
        "checksum = checksum + 1",
    ],
)
def test_a_changed_row_is_loud_and_names_file_and_way_out(tmp_path: Path, damage: str) -> None:
    batches = _batches(_events(400))
    file = _written(tmp_path, batches)
    with sqlite3.connect(file) as db:
        db.execute(f"UPDATE records SET {damage} WHERE position = 40")
    log = DayLog(tmp_path)
    assert [record.position for record in log.read(38, 9)] == [38, 39]
    with pytest.raises(RecordDamaged, match=rf"{file}.*position 40.*restore.*`linli streams skip 40`") as caught:
        log.read(40, 9)
    assert caught.value.position == 40
    assert len(log.read(41, 9)) == 9


def test_any_flipped_bit_of_a_row_is_noticed(tmp_path: Path) -> None:
    file = _written(tmp_path, _batches(_events(200)))
    log = DayLog(tmp_path)
    with sqlite3.connect(file) as db:
        (body,) = db.execute("SELECT body FROM records WHERE position = 20").fetchone()
        for place in range(0, len(body) * 8, 5):
            flipped = bytearray(body)
            flipped[place // 8] ^= 1 << place % 8
            db.execute("UPDATE records SET body = ? WHERE position = 20", (bytes(flipped),))
            db.commit()
            with pytest.raises(RecordDamaged, match="position 20"):
                log.read(20, 1)


def test_a_damaged_dictionary_is_named_and_new_records_do_without(tmp_path: Path) -> None:
    file = _written(tmp_path, _batches(_events(400)))
    with sqlite3.connect(file) as db:
        db.execute("UPDATE dictionaries SET body = zeroblob(length(body))")
    log = DayLog(tmp_path)
    with pytest.raises(RecordDamaged, match="dictionary 1"):
        log.read(49, 1)
    more = _batches(_events(400, seed=2))
    for batch in more:
        log.append([batch])
    assert [decode_batch(record.data) for record in log.read(50, 50)] == more


def test_a_damaged_record_that_was_given_up_is_empty_for_every_reader(tmp_path: Path) -> None:
    file = _written(tmp_path, _batches(_events(400)))
    with sqlite3.connect(file) as db:
        db.execute("UPDATE records SET body = x'00' WHERE position = 40")
    log = DayLog(tmp_path)
    assert [log.give_up(position) for position in (39, 40, 41, 99)] == [False, True, False, False]
    assert [record.data == b"" for record in log.read(39, 3)] == [False, True, False]


def test_a_log_that_an_earlier_version_began_is_read_and_goes_on(tmp_path: Path) -> None:
    old, new = _batches(_events(80)), _batches(_events(800, seed=2))
    with sqlite3.connect(tmp_path / "log-20270115.db") as db:
        db.executescript(EARLIER)
        rows = [(n, T, zlib.compress(encode_batch(batch), 1)) for n, batch in enumerate(old)]
        db.executemany("INSERT INTO records VALUES (?, ?, ?)", rows)
    before = DayLog(tmp_path, readonly=True)
    assert [decode_batch(record.data) for record in before.read(0, 99)] == old
    before.close()
    _written(tmp_path, new)
    after = DayLog(tmp_path)
    assert after.identity() == "00112233aabbccdd"
    assert [decode_batch(record.data) for record in after.read(0, 999)] == [*old, *new]


def test_an_append_that_found_the_disk_full_leaves_no_dictionary_half_kept(tmp_path: Path) -> None:
    batches = _batches(_events(2_000))
    log = DayLog(tmp_path)
    first = sum(len(encode_batch(batch)) < DICTIONARY_BYTES // 8 for batch in batches[:4])
    for batch in batches[:first]:
        log.append([batch])
    db = log._files[-1]._db  # its disk is full from here on
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(Transient):
        _append_each(log, batches[first:])
    kept = log.end()
    db.execute("PRAGMA max_page_count = 1000000")
    for batch in batches[kept:]:
        log.append([batch])
    log.close()
    again = DayLog(tmp_path)
    assert [decode_batch(record.data) for record in again.read(0, 999)] == batches
