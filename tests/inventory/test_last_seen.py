"""What the console knows of a device's life, from what goes into the log."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.batch import Batch, encode_batch
from contracts.errors import LogBroken, Transient
from contracts.events import (
    INGEST_SOURCE,
    ClockStepped,
    DeviceReported,
    DeviceStateChanged,
    Event,
    IngestInterrupted,
    Lane,
    SpoolMark,
)
from ingest.shard.recording import RecordingLog
from inventory.inventory import Inventory
from inventory.last_seen import LastSeen, last_seen_after
from inventory.last_seen_keeper import LastSeenKeeper
from inventory.last_seen_log import LastSeenFollower, LastSeenLog, recall_from_ms
from streams.log.port import LogRecord
from streams.log.sqlite.day_log import DayLog
from tests.streams.support import T0, batch, device, of, passage, reported

NEVER = LastSeen()


def state(online: bool, at_ms: int = 1_000, **more: Any) -> DeviceStateChanged:
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
    said = str(type(event).__struct_config__.tag) if itself else before.last_kind
    assert last_seen_after(before, event, itself=itself) == msgspec.structs.replace(after, last_kind=said)


def test_an_append_is_durable_before_anybody_hears_of_it(tmp_path: Path) -> None:
    log = DayLog(tmp_path)
    ends: list[int] = []
    heard = LastSeenLog(log, lambda: ends.append(log.end()))
    assert heard.append([_batch(reported("r1", 1_000)), _batch()]) == [0, 1]
    assert (ends, heard.last_watermark_ms()) == ([2], T0)
    assert dict(heard.last_seen("s1")) == {"d1": LastSeen(T0 + 1_000, True, True, "device_reported")}
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
        "cam1": LastSeen(T0 + 1_000, online=True, last_kind="passage_observed"),
        "box1": LastSeen(T0 + 2_000, online=True, healthy=False, last_kind="device_reported"),
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


class _Community:
    """A log, an inventory and who keeps what was heard, as one process has them; ``start`` is a new process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.start()

    def start(self) -> None:
        self.log, self.inventory = DayLog(self._folder), Inventory(self._folder / "config.db")
        self.heard = LastSeenLog(self.log, lambda: None)
        self.keeper = LastSeenKeeper(self.heard, self.inventory, self.heard.heard_through_ms)
        since_ms = recall_from_ms(self.keeper.load(), self.log.last_watermark_ms())
        LastSeenFollower([self.log], since_ms, self.heard).catch_up()

    def killed(self) -> None:
        self.log.close()
        self.inventory.close()
        self.start()


def test_what_was_heard_outlives_a_kill_also_what_the_log_has_dropped(tmp_path: Path) -> None:
    here = _Community(tmp_path)
    day_ms = 86_400_000
    here.heard.append([batch(0, reported("r1", 0, "long-ago", healthy=False), state(False, 0, source_id="gone"))])
    here.keeper.keep()
    here.heard.append([batch(day_ms, reported("r2", day_ms, "lately"))])
    assert here.log.drop_before(1)
    here.keeper.keep()
    here.heard.append(
        [batch(day_ms + 1_000, reported("r3", day_ms + 1_000, "just-now"), state(True, day_ms, source_id="gone"))]
    )
    before = here.heard.known()
    assert len(before) == 4
    here.killed()
    assert here.heard.known() == before
    here.keeper.keep()
    here.killed()
    assert here.heard.known() == before


def test_two_that_keep_leave_what_the_other_heard_later(tmp_path: Path) -> None:
    inventory = Inventory(tmp_path / "config.db")
    inventory.keep_last_seen({("s1", "a"): LastSeen(9, True), ("s1", "b"): LastSeen(1, True)}, 9)
    inventory.keep_last_seen({("s1", "a"): LastSeen(5, False), ("s1", "b"): LastSeen(2, False)}, 5)
    kept = inventory.last_seen()
    assert kept.devices == {("s1", "a"): LastSeen(9, True), ("s1", "b"): LastSeen(2, False)}
    assert kept.through_ms == 9
    inventory.close()


def test_a_start_hears_every_day_that_the_log_has_had_since(tmp_path: Path) -> None:
    here, day_ms = _Community(tmp_path), 86_400_000
    here.heard.append([batch(0, reported("r1", 0, "a"))])
    here.keeper.keep()
    here.heard.append([batch(day_ms, reported("r2", day_ms, "a"))])
    here.killed()
    assert here.heard.known()["s1", "a"].last_heard_ms == T0 + day_ms


def _stepped_back(at_ms: int, by_ms: int) -> Batch:
    return batch(at_ms, of(ClockStepped, f"shift-{at_ms}", at_ms, INGEST_SOURCE, step_ms=by_ms, shift_ms=by_ms))


def test_nobody_was_heard_in_the_future_after_the_log_went_back(tmp_path: Path) -> None:
    here, ahead_ms = _Community(tmp_path), 60 * 86_400_000
    here.heard.append([batch(ahead_ms, reported("r1", ahead_ms, "quiet"), reported("r2", ahead_ms, "speaks"))])
    here.keeper.keep()
    here.killed()
    here.heard.append([_stepped_back(1_000, -ahead_ms), batch(70_000, reported("r3", 70_000, "speaks"))])
    for _ in range(2):
        quiet, speaks = (here.heard.known()["s1", name] for name in ("quiet", "speaks"))
        assert (quiet.last_heard_ms, speaks.last_heard_ms) == (T0 + 1_000, T0 + 70_000)
        here.killed()
    here.keeper.keep()
    assert here.inventory.last_seen().through_ms == T0 + 10_000
    assert here.inventory.last_seen().devices == here.heard.known()


def test_a_follower_has_heard_as_far_as_the_time_that_holds_now(tmp_path: Path) -> None:
    log = DayLog(tmp_path)
    log.append([batch(86_400_000)])
    follower = LastSeenFollower([log], since_ms=T0)
    follower.catch_up()
    log.append([_stepped_back(5_000, -86_395_000)])
    follower.catch_up()
    assert follower.heard_through_ms() == T0 + 5_000


def test_only_what_has_changed_is_written_again(tmp_path: Path) -> None:
    here = _Community(tmp_path)
    here.heard.append([batch(0, reported("r1", 0, "a"), reported("r2", 0, "b"))])
    here.keeper.keep()
    here.heard.append([batch(1_000, reported("r3", 1_000, "a"))])
    with closing(sqlite3.connect(tmp_path / "config.db")) as db, db:
        db.execute("UPDATE last_seen SET body = x'00' WHERE device_id = 'b'")
    here.keeper.keep()
    with closing(sqlite3.connect(tmp_path / "config.db")) as db:
        kept = dict(db.execute("SELECT device_id, body FROM last_seen"))
    assert (kept["b"], kept["a"]) == (b"\0", msgspec.msgpack.encode(here.heard.known()["s1", "a"]))


def test_how_far_logs_were_heard_is_the_least_of_those_that_hold_anything(tmp_path: Path) -> None:
    logs = [DayLog(tmp_path / name) for name in ("a", "b", "empty")]
    logs[0].append([batch(5_000, reported("r1", 0))])
    logs[1].append([batch(1_000), batch(2_000)])
    follower = LastSeenFollower(logs, since_ms=T0)
    assert follower.heard_through_ms() == T0
    follower.catch_up()
    assert follower.heard_through_ms() == T0 + 2_000


class _Growing:
    """A log to which somebody writes while it is read."""

    def __init__(self, log: DayLog) -> None:
        self._log = log
        self.begin = log.begin

    def end(self) -> int:
        self._log.append([batch(self._log.last_watermark_ms() - T0 + 1_000)])
        return self._log.end()

    def read(self, position: int, limit: int) -> list[LogRecord]:
        records = self._log.read(position, limit)
        self._log.append([batch(self._log.last_watermark_ms() - T0 + 1_000)])
        return records


def test_a_follower_rests_though_the_log_grows_while_it_reads(tmp_path: Path) -> None:
    """Else it would look into every log all the time, for a page that shows minutes."""
    log = DayLog(tmp_path)
    log.append([batch(1_000)])
    follower = LastSeenFollower([_Growing(log)], since_ms=T0)  # type: ignore[list-item]
    assert not follower.step()
    follower.catch_up()  # comes to an end
