"""What the console knows of a device's life, from what goes into the log."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from contracts.batch import Batch, encode_batch
from contracts.errors import LogBroken, Transient
from contracts.events import DeviceReported, DeviceStateChanged, Event, IngestInterrupted, Lane, SpoolMark
from ingest.shard.recording import RecordingLog
from inventory.last_seen import LastSeen, last_seen_after
from inventory.last_seen_log import LastSeenFollower, LastSeenLog
from streams.log.port import LogRecord
from streams.log.sqlite.day_log import DayLog
from tests.streams.support import T0, device, of, passage, reported

NEVER = LastSeen()


def state(online: bool, at_ms: int = 1_000, **more: Any) -> Event:
    return of(DeviceStateChanged, "s", at_ms, online=online, **more)


@pytest.mark.parametrize(
    ("before", "event", "itself", "after"),
    [
        (NEVER, passage("e", 1_000), True, LastSeen(T0 + 1_000, online=True)),
        (NEVER, reported("r", 1_000, healthy=False), True, LastSeen(T0 + 1_000, online=True, healthy=False)),
        (NEVER, state(False), True, LastSeen(T0 + 1_000, online=False)),
        (LastSeen(T0, True, False), reported("r", 1_000), True, LastSeen(T0 + 1_000, True, True)),
        (LastSeen(T0, True, True), state(False), True, LastSeen(T0 + 1_000, False, True)),
        (LastSeen(T0, False, False), passage("e", 1_000), True, LastSeen(T0 + 1_000, True, False)),
        # who carries another's words lives; what they say of the other is not about itself
        (NEVER, reported("r", 1_000, healthy=False), False, LastSeen(T0 + 1_000, online=True)),
        (LastSeen(T0, True, False), state(False), False, LastSeen(T0 + 1_000, True, False)),
        # the time is that of acceptance and never goes back
        (NEVER, passage("e", 1_000, received_ms=9_000, stored=True), True, LastSeen(T0 + 9_000, online=True)),
        (LastSeen(T0 + 50_000, True, True), passage("e", 1_000), True, LastSeen(T0 + 50_000, True, True)),
    ],
)
def test_what_is_known_after_an_event(before: LastSeen, event: Event, *, itself: bool, after: LastSeen) -> None:
    assert last_seen_after(before, event, itself=itself) == after


def test_an_append_is_durable_before_anybody_hears_of_it(tmp_path: Path) -> None:
    log = DayLog(tmp_path)
    ends: list[int] = []
    heard = LastSeenLog(log, lambda: ends.append(log.end()))
    assert heard.append([_batch(reported("r1", 1_000)), _batch()]) == [0, 1]
    assert (ends, heard.last_watermark_ms()) == ([2], T0)
    assert dict(heard.last_seen("s1")) == {"d1": LastSeen(T0 + 1_000, online=True, healthy=True)}
    assert dict(heard.last_seen("s2")) == {}
    log.close()


def test_what_the_log_refused_was_not_heard_and_wakes_nobody() -> None:
    log = RecordingLog()
    log.refusals = 1
    woken: list[int] = []
    heard = LastSeenLog(log, lambda: woken.append(1))
    with pytest.raises(Transient):
        heard.append([_batch(reported("r1", 1_000))])
    assert (dict(heard.last_seen("s1")), woken) == ({}, [])


def test_a_box_lives_through_its_cameras_and_configuration_is_nobodys_voice(tmp_path: Path) -> None:
    log = DayLog(tmp_path)
    heard = LastSeenLog(log, lambda: None)
    spool = SpoolMark("box1", "sp1", Lane.LIVE, 1)
    heard.append(
        [
            _batch(
                passage("p", 1_000, "cam1", spool=spool),
                of(DeviceReported, "own", 2_000, "box1", healthy=False, spool=spool),
                device(1, 3_000, "d1"),
                of(IngestInterrupted, "i", 3_000, "ingest", from_ms=T0, to_ms=T0),
            )
        ]
    )
    assert dict(heard.last_seen("s1")) == {
        "cam1": LastSeen(T0 + 1_000, online=True),
        "box1": LastSeen(T0 + 2_000, online=True, healthy=False),
    }
    log.close()


def test_what_is_handed_out_does_not_change_under_the_reader(tmp_path: Path) -> None:
    log = DayLog(tmp_path)
    heard = LastSeenLog(log, lambda: None)
    heard.append([_batch(reported("r1", 1_000))])
    seen = heard.last_seen("s1")
    heard.append([_batch(reported("r2", 2_000, "d2"))])
    assert list(seen) == ["d1"]
    log.close()


class _Listed:
    """A log in memory; ``first``: what lies before is gone."""

    def __init__(self, count: int, first: int = 0) -> None:
        self.records = [LogRecord(n, encode_batch(_batch(reported(f"r{n}", n, f"d{count}")))) for n in range(count)]
        self.first = first

    def identity(self) -> str:
        return "listed"

    def begin(self) -> int:
        return self.first

    def end(self) -> int:
        return len(self.records)

    def read(self, position: int, limit: int) -> list[LogRecord]:
        if not self.first <= position <= len(self.records):
            raise LogBroken("gone")
        return self.records[position : position + limit]


def test_a_follower_says_whether_there_is_more_and_skips_what_is_gone() -> None:
    long, short, cut = _Listed(1_001), _Listed(3), _Listed(40)
    follower = LastSeenFollower([long, short, cut], since_ms=0)
    assert [follower.step() for _ in range(3)] == [True, True, False]
    assert set(follower.last_seen("s1")) == {"d1001", "d3", "d40"}
    cut.first = 41
    cut.records += [LogRecord(n, encode_batch(_batch(reported(f"x{n}", n, "late")))) for n in range(40, 45)]
    assert [follower.step() for _ in range(2)] == [False, False]
    assert follower.last_seen("s1")["late"].last_heard_ms == T0 + 44


def _batch(*events: Any) -> Batch:
    listed: Sequence[Any] = events
    return Batch(partition=0, watermark_ms=T0, events=tuple(listed))
