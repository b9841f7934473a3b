"""Queues, pauses and kill -9: no deadline fires falsely, and nothing that a session or a spool held is lost."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from app.demo.audit import CountingRule
from contracts.batch import Batch
from contracts.events import AnyEvent, DoorChanged, DoorState, IngestInterrupted
from contracts.events.identity import own_time_ms
from ingest.session.broker import free_port
from ingest.shard.recording import RecordingLog
from streams.engine.engine import Engine
from tests.ingest.builders import door
from tests.ingest.clients import PATIENCE_S, Box, Devices, wait_until
from tests.ingest.shard_process import MORE_GATES
from tests.ingest.shards import ShardProcess, batches_in, events_in, false_alarms, now_ms, running_shard
from tests.support.broker import mosquitto, running_broker

pytestmark = [pytest.mark.service, pytest.mark.slow]
CLOCKS_APART_MS = 100
"""Ingest's clock is the host's, read once and counted on."""
OTHERS = [f"g{n}" for n in range(4, MORE_GATES + 2)]


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
                time.sleep(0.1)  # the pace of the devices: their clocks are the wall's
            if paused_s:
                os.kill(shard.process.pid, signal.SIGCONT)
        devices.confirmed()
        stopped_ms = now_ms()
        assert wait_until(lambda: batches_in(tmp_path)[-1].watermark_ms > stopped_ms)
        assert shard.stop() == 0
        had_ms = devices.had_ms()
    batches = batches_in(tmp_path)
    assert false_alarms(batches, limit_ms=1_500) == []
    assert {e.event_id for e in events_in(batches)} >= {f"open-{k}" for k in range(n)}
    assert not [e for e in events_in(batches) if isinstance(e, IngestInterrupted)]
    _time_is_true(batches, had_ms)


def _time_is_true(batches: Sequence[Batch], had_ms: Mapping[str, int]) -> None:
    """Marks never go back, and none stands in the log before an event that the broker had at that time already."""
    marks = [batch.watermark_ms for batch in batches if batch.watermark_ms]
    assert marks == sorted(marks)
    proven_ms, known, overtaken = 0, set(), []
    for batch in batches:
        for event in batch.events:
            if event.event_id in had_ms and event.event_id not in known:
                known.add(event.event_id)
                if proven_ms > had_ms[event.event_id] + CLOCKS_APART_MS:
                    overtaken.append((event.event_id, proven_ms - had_ms[event.event_id]))
        proven_ms = max(proven_ms, batch.watermark_ms)
    assert known == had_ms.keys()
    assert overtaken == []


def _as_said(event: AnyEvent) -> AnyEvent:
    """The event without what ingest makes of it; its place is the inventory's."""
    return msgspec.structs.replace(event, at_ms=own_time_ms(event), received_ms=0, device_at_ms=None, place_id="")


def _doors_in(folder: Path) -> list[DoorChanged]:
    return [event for event in events_in(batches_in(folder)) if isinstance(event, DoorChanged)]


def _logged(folder: Path, most: int) -> bool:
    """Whether more than so many doors' events come into the log in time."""
    return wait_until(lambda: len({event.event_id for event in _doors_in(folder)}) > most)


def _times_judged(batches: Sequence[Batch]) -> Counter[str]:
    """How often each door's event reaches a rule."""
    rule = CountingRule()
    engine = Engine([rule], partition=0, partitions=1, log_id="counted")
    for position, batch in enumerate(batches):
        engine.feed(batch, position)
    engine.feed(Batch(partition=0, watermark_ms=2**53), len(batches))
    assert engine.counts.ids_reused == 0
    said = {event.event_id for event in events_in(batches) if isinstance(event, DoorChanged)}
    return Counter({event_id: times for (_, event_id), times in rule.times.items() if event_id in said})


def _said_by(devices: Devices, gate: str, numbers: Iterable[int]) -> dict[str, DoorChanged]:
    """What one gate says, by id; the broker has it."""
    said = {f"{gate}-{n}": door(f"{gate}-{n}", gate, at_ms=now_ms(), seq=n) for n in numbers}
    for event in said.values():
        devices.say(event)
    devices.confirmed()
    return said


def test_kill_9_of_ingest_loses_nothing_that_the_broker_had_and_judges_it_once(tmp_path: Path) -> None:
    """Each kill hits while hundreds of one device's messages are in the log and not acknowledged: all come again."""
    said: dict[str, DoorChanged] = {}
    (tmp_path / "late").touch()
    with mosquitto(tmp_path / "m") as broker, Devices(broker.port) as devices:
        shard = ShardProcess(broker.url, tmp_path)
        for life in range(1, 4):
            said |= _said_by(devices, f"g{life}", range(400))
            assert _logged(tmp_path, len(said) - 150)
            said |= _said_by(devices, f"g{life}", range(400, 490))  # within one device's burst
            shard.kill()
            if life == 3:  # many batches wait in the broker: time must not pass any of them
                said |= dict(pair for gate in OTHERS for pair in _said_by(devices, gate, range(490)).items())
                (tmp_path / "late").unlink()
            shard = ShardProcess(broker.url, tmp_path)
        done_ms = now_ms()
        assert wait_until(lambda: batches_in(tmp_path)[-1].watermark_ms > done_ms)
        assert shard.stop() == 0
        had_ms = devices.had_ms()
    batches = batches_in(tmp_path)
    logged = Counter(event.event_id for event in _doors_in(tmp_path))
    assert logged.keys() == said.keys()
    assert all(_as_said(event) == _as_said(said[event.event_id]) for event in _doors_in(tmp_path))
    again = Counter(event_id.split("-")[0] for event_id, times in logged.items() if times > 1)
    assert max(again.values()) > 64, again  # else the kills came too late to show anything
    assert _times_judged(batches) == Counter(said.keys())
    assert sum(isinstance(e, IngestInterrupted) for e in events_in(batches)) == 3
    _time_is_true(batches, had_ms)


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
