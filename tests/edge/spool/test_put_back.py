"""A box whose database went back: put back from a copy, or a card that lost its last commits. No new fall is swallowed.

The platform is the real parts that decide: ingest's lanes and answers, and the engine's duplicates.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from contracts.events import DeviceEvent, Event, Lane, RowsDropped
from edge.spool.spool import Spool
from edge.uplink.sender import Acknowledgement, SpoolSender
from ingest.pipeline.lane_guard import LaneGuard, lane_key
from ingest.pipeline.spool_acks import SpoolAckTracker
from streams.engine.deduplicator import Deduplicator
from tests.edge.factories import fell, new_spool, reported

NOW_MS = 1_795_000_000_000
FILES = ("box.db", "box.db-wal")


class Platform:
    """Takes rows and answers. ``restart`` is one of ingest; the engine remembers."""

    def __init__(self) -> None:
        self.kept: list[Event] = []
        self._engine = Deduplicator()
        self.restart()

    def restart(self) -> None:
        """Begin ingest anew."""
        self._guard, self._acks = LaneGuard(), SpoolAckTracker()

    def take(self, messages: Sequence[bytes]) -> list[Acknowledgement]:
        """Return the answers to what came."""
        for message in messages:
            event = msgspec.json.decode(message, type=DeviceEvent)
            assert event.spool is not None
            key = lane_key("s1", event.spool)
            if not self._guard.take(key, event.spool):
                continue
            if self._engine.take(event) is not None:
                self.kept.append(event)
            self._acks.durable(key, event.spool.seq)
        return [msgspec.json.decode(payload, type=Acknowledgement) for _, payload in self._acks.take()]

    def falls(self) -> list[str]:
        """The falls in the log, by id."""
        return [event.event_id for event in self.kept if type(event).__name__ == "ObjectFell"]


class Box:
    """A box's process on a folder."""

    def __init__(self, folder: Path, platform: Platform, *, max_rows: int = 10_000) -> None:
        self._platform = platform
        self.spool = new_spool(folder, max_rows=max_rows, now_ms=NOW_MS)
        self.sender = SpoolSender(self.spool, backlog_rows_per_s=1_000)
        self.sender.connected()

    def fall(self, count: int) -> list[str]:
        """See some, and return their ids."""
        return [self.spool.add(fell(NOW_MS + n)) for n in range(count)]

    def talk(self) -> None:
        """Send and hear until nothing is left to say."""
        for turn in range(100):
            now_ms = NOW_MS + turn * 6_000
            for answer in self._platform.take(self.sender.due(now_ms)):
                self.sender.got(answer, now_ms)

    def stop(self) -> None:
        """End the process."""
        self.spool._db.close()


def copied(folder: Path, to: Path) -> None:
    to.mkdir()
    for name in FILES:
        if (folder / name).exists():
            shutil.copy(folder / name, to / name)


def put_back(folder: Path, copy: Path) -> None:
    for file in folder.glob("box.db*"):
        file.unlink()
    for file in copy.iterdir():
        shutil.copy(file, folder / file.name)


@pytest.mark.parametrize("in_flight", [0, 3])
@pytest.mark.parametrize("restarted", [False, True])
def test_falls_after_a_database_was_put_back_are_all_told(tmp_path: Path, in_flight: int, *, restarted: bool) -> None:
    folder, platform = tmp_path / "box", Platform()
    folder.mkdir()
    box = Box(folder, platform)
    seen = box.fall(3)
    box.talk()
    seen += box.fall(in_flight)
    box.spool.number(Lane.LIVE, NOW_MS, 9)  # under way when the copy is made
    copied(folder, tmp_path / "copy")
    seen += box.fall(6)
    box.talk()
    box.stop()
    put_back(folder, tmp_path / "copy")
    if restarted:
        platform.restart()
    box = Box(folder, platform)
    seen += box.fall(5)
    box.talk()
    assert box.spool.counts(NOW_MS).rows == 0
    assert set(platform.falls()) == set(seen)
    assert len(set(seen)) == len(seen) == 14 + in_flight
    if restarted or not in_flight:
        assert len(platform.falls()) == len(seen), "what the copy held goes out under the number that it had"


def test_an_answer_to_numbers_that_were_never_given_makes_all_rows_go_out_again(tmp_path: Path) -> None:
    platform = Platform()
    box = Box(tmp_path, platform)
    seen = box.fall(2)
    sent, name = box.sender.due(NOW_MS), box.spool.spool_id
    with capture_logs() as logs:
        box.sender.got(Acknowledgement(name, Lane.LIVE, 9), NOW_MS)
    assert [log["path"] for log in logs if log["event"] == "the spool was put back to an earlier state"] == ["box.db"]
    box.talk()
    assert len(sent) == 2
    assert platform.falls() == seen
    assert name not in {event.spool.spool_id for event in platform.kept if event.spool is not None}


def test_a_new_start_numbers_under_its_own_name_what_was_not_under_way_before(tmp_path: Path) -> None:
    platform = Platform()
    box = Box(tmp_path, platform)
    seen = box.fall(2)
    platform.take(box.sender.due(NOW_MS))  # its answer is lost
    name = box.spool.spool_id
    box.stop()
    again = Box(tmp_path, platform)
    seen += again.fall(2)
    assert [b"%s" % name.encode() in message for message in again.sender.due(NOW_MS)] == [True, True]
    again.sender.connected()
    again.talk()
    assert platform.falls() == seen
    spools = [event.spool.spool_id for event in platform.kept if event.spool is not None]
    assert spools == [name, name, again.spool.spool_id, again.spool.spool_id]
    assert again.spool.spool_id != name


@pytest.mark.parametrize("more", [10, 90])
def test_what_is_dropped_over_quota_while_rows_are_under_way_is_declared(tmp_path: Path, more: int) -> None:
    platform = Platform()
    box = Box(tmp_path, platform, max_rows=100)
    for n in range(100):
        box.spool.add(reported(NOW_MS + n))
    box.sender.due(NOW_MS)
    name = box.spool.spool_id
    box.stop()
    again = Box(tmp_path, platform, max_rows=100)
    for n in range(more):
        again.spool.add(reported(NOW_MS + n))
    again.talk()
    losses = [event for event in platform.kept if isinstance(event, RowsDropped)]
    assert {loss.spool_id for loss in losses} == ({name} if more < 64 else {name, again.spool.spool_id})
    ids = [event.event_id for event in platform.kept]
    assert (len(set(ids)), again.spool.counts(NOW_MS).rows) == (len(ids), 0)
    if more < 64:
        lost = sum(loss.to_seq - loss.from_seq + 1 for loss in losses)
        told = [event for event in platform.kept if type(event).__name__ == "DeviceReported"]
        assert lost == again.spool.counts(NOW_MS).dropped == 100 + more - len(told) > 0


def test_a_name_that_the_disk_refuses_to_write_is_not_taken(tmp_path: Path) -> None:
    box = Box(tmp_path, Platform())
    box.fall(1)
    before: Spool = box.spool
    name = before.spool_id
    with before._db.transaction() as connection:
        connection.execute("PRAGMA query_only=ON")
    with pytest.raises(Exception, match="readonly"):
        before.went_back()
    assert before.spool_id == name
    with before._db.reading() as connection:
        connection.execute("PRAGMA query_only=OFF")
    assert before.add(fell(NOW_MS)).startswith(name)
