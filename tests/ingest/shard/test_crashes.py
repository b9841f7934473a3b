"""Queues, pauses and kill -9: no deadline fires falsely, and nothing that a session or a spool held is lost."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from contracts.batch import Batch
from contracts.events import AnyEvent, DoorChanged, DoorState, IngestInterrupted
from ingest.session.broker import free_port
from ingest.shard.recording import RecordingLog
from tests.ingest.builders import door
from tests.ingest.clients import PATIENCE_S, Box, Devices, wait_until
from tests.ingest.shards import ShardProcess, batches_in, events_in, false_alarms, now_ms, running_shard
from tests.support.broker import mosquitto, running_broker

pytestmark = [pytest.mark.service, pytest.mark.slow]


def _rows_lost(events: Sequence[AnyEvent], rows: int) -> list[int]:
    """Rows of the spool that the engine would never apply: it keeps one high-water mark per lane."""
    applied: set[int] = set()
    mark = 0
    for event in events:
        if event.spool is not None and event.spool.seq > mark:
            mark = event.spool.seq
            applied.add(mark)
    return sorted(set(range(1, rows + 1)) - applied)


def _opened_and_closed(devices: Devices, count: int, ago_ms: int) -> None:
    """``count`` doors open, then all of them close two seconds later, all of it ``ago_ms`` back."""
    for state, after_ms in ((DoorState.OPEN, 0), (DoorState.CLOSED, 2_000)):
        for n in range(count):
            at_ms = now_ms() - ago_ms + after_ms
            devices.say(door(f"{state}-{n}", at_ms=at_ms, place_id=f"door-{n}", state=state))
            if n % 500 == 499:
                devices.confirmed()
    devices.confirmed()


@pytest.mark.parametrize(("kind", "doors"), [("mosquitto", 10_000), ("amqtt", 500)])
def test_a_queue_in_the_broker_makes_no_false_deadline(kind: str, doors: int, tmp_path: Path) -> None:
    with running_broker(kind, tmp_path / "broker") as broker:
        with running_shard(broker.url, RecordingLog(), tmp_path):
            pass  # the session exists from here on
        with Devices(broker.port) as devices:
            _opened_and_closed(devices, doors, ago_ms=60_000)
        log, began_ms = RecordingLog(), now_ms()
        with running_shard(broker.url, log, tmp_path, events_per_s=1e6, events_burst=1e6):
            assert log.wait_for(2 * doors, PATIENCE_S, DoorChanged)
            assert wait_until(lambda: log.last_watermark_ms() > began_ms)
    first_mark = next(n for n, batch in enumerate(log.batches) if batch.watermark_ms)
    late = [e for batch in log.batches[first_mark + 1 :] for e in batch.events if isinstance(e, DoorChanged)]
    assert late == []
    assert log.batches[first_mark].watermark_ms >= began_ms
    assert false_alarms(log.batches, limit_ms=30_000) == []


def _door_life(devices: Devices, n: int) -> None:
    """Door n opens, and the door before the last closes: each is open for about 200 ms."""
    devices.say(door(f"open-{n}", at_ms=now_ms(), place_id=f"door-{n}"))
    if n >= 2:
        devices.say(door(f"closed-{n}", at_ms=now_ms(), place_id=f"door-{n - 2}", state=DoorState.CLOSED))


def test_a_paused_process_makes_no_false_deadline(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "m") as broker, Devices(broker.port) as devices:
        shard, n = ShardProcess(broker.url, tmp_path), 0
        for paused_s in (0.0, 6.0, 0.0):
            if paused_s:
                os.kill(shard.process.pid, signal.SIGSTOP)
            end_s = time.monotonic() + (paused_s or 1.0)
            while time.monotonic() < end_s:
                _door_life(devices, n)
                n += 1
                time.sleep(0.1)
            if paused_s:
                os.kill(shard.process.pid, signal.SIGCONT)
        devices.confirmed()
        stopped_ms = now_ms()
        assert wait_until(lambda: batches_in(tmp_path)[-1].watermark_ms > stopped_ms)
        assert shard.stop() == 0
    batches = batches_in(tmp_path)
    assert false_alarms(batches, limit_ms=1_500) == []
    assert {e.event_id for e in events_in(batches)} >= {f"open-{k}" for k in range(n)}
    assert not [e for e in events_in(batches) if isinstance(e, IngestInterrupted)]
    _time_is_true(batches)


def _time_is_true(batches: Sequence[Batch]) -> None:
    marks = [batch.watermark_ms for batch in batches if batch.watermark_ms]
    assert marks == sorted(marks)
    for batch in batches:
        assert all(batch.watermark_ms <= e.received_ms for e in batch.events if batch.watermark_ms == 0)


def test_kill_9_of_ingest_loses_nothing_that_the_broker_had(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "m") as broker, Devices(broker.port) as devices:
        shard = ShardProcess(broker.url, tmp_path)
        for n in range(900):  # within one device's burst and bench
            devices.say(door(f"e{n}", at_ms=now_ms(), seq=n))
            if n in {200, 450, 700}:
                shard.kill()
                shard = ShardProcess(broker.url, tmp_path)
            time.sleep(0.001)
        devices.confirmed()
        done_ms = now_ms()
        assert wait_until(lambda: batches_in(tmp_path)[-1].watermark_ms > done_ms)
        assert shard.stop() == 0
    batches = batches_in(tmp_path)
    assert {e.event_id for e in events_in(batches) if isinstance(e, DoorChanged)} == {f"e{n}" for n in range(900)}
    assert sum(isinstance(e, IngestInterrupted) for e in events_in(batches)) == 3
    _time_is_true(batches)


@pytest.mark.parametrize("disk", ["kept", "lost"])
def test_kill_9_of_the_broker_loses_nothing_that_a_box_had_spooled(disk: str, tmp_path: Path) -> None:
    """With its disk lost, the broker has forgotten our session: rows reach nobody until the shard is back."""
    port, log, rows = free_port(), RecordingLog(), 600
    with mosquitto(tmp_path / "m", port) as first:
        context = running_shard(first.url, log, tmp_path)
        context.__enter__()
        box = Box(port, rows, every_s=0.005)
        assert wait_until(lambda: box.through > 100)
        first.kill()
    if disk == "lost":
        shutil.rmtree(tmp_path / "m")
    with mosquitto(tmp_path / "m", port):
        assert box.wait_done()
        assert box.connections >= 2
        box.close()
        context.__exit__(None, None, None)
    assert _rows_lost(log.events(), rows) == []


def test_kill_9_of_broker_and_ingest_together_loses_nothing_that_a_box_had_spooled(tmp_path: Path) -> None:
    """The worst order: the box is back first, and talks to a broker that knows of no shard."""
    port, rows = free_port(), 300
    with mosquitto(tmp_path / "m", port) as first:
        shard = ShardProcess(first.url, tmp_path)
        box = Box(port, rows, every_s=0.02)
        assert wait_until(lambda: box.through > 50)
        shard.kill()
        first.kill()
    shutil.rmtree(tmp_path / "m")
    with mosquitto(tmp_path / "m", port) as second:
        assert wait_until(lambda: box.connections >= 2)
        time.sleep(0.7)  # the box speaks to nobody, and gets a PUBACK for it
        shard = ShardProcess(second.url, tmp_path)
        assert box.wait_done()
        box.close()
        assert shard.stop() == 0
    assert _rows_lost(events_in(batches_in(tmp_path)), rows) == []


def test_a_second_process_on_the_session_ends_the_first(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with mosquitto(tmp_path / "m") as broker, Devices(broker.port) as devices:
        first = ShardProcess(broker.url, tmp_path / "a")
        second = ShardProcess(broker.url, tmp_path / "b")
        assert first.process.wait(PATIENCE_S) == 3
        for n in range(50):
            devices.say(door(f"e{n}", at_ms=now_ms()))
        devices.confirmed()
        done_ms = now_ms()
        assert wait_until(lambda: batches_in(tmp_path / "b")[-1].watermark_ms > done_ms)
        assert second.stop() == 0
    assert len([e for e in events_in(batches_in(tmp_path / "b")) if isinstance(e, DoorChanged)]) == 50
    assert false_alarms(batches_in(tmp_path / "a"), limit_ms=1_000) == []
