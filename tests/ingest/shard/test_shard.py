"""A shard on real brokers: what reaches the log, when it is answered, and what its watermarks say."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from contracts.batch import Batch
from contracts.errors import ConfigurationError, Permanent, RejectReason
from contracts.events import (
    ClockStepped,
    ConfigurationRecord,
    DeviceStateChanged,
    DoorChanged,
    EnvironmentSampled,
    IngestInterrupted,
)
from contracts.names import DeviceClass
from detectors.registry import all_rules
from ingest.pipeline.pipeline import Arrival, IngestPipeline, MessageOutcome
from ingest.session.broker import Broker, free_port
from ingest.session.probes import BROKER_STALLED_MS
from ingest.session.session import MqttSession
from ingest.settings import ShardSettings
from ingest.shard.housekeeping import Housekeeping
from ingest.shard.recording import RecordingLog
from inventory.clocks import ClockRecord
from streams.engine.engine import Engine
from tests.ingest.builders import device, door, power, row, smoke, wire
from tests.ingest.clients import PATIENCE_S, Box, Devices, Listener, wait_until
from tests.ingest.shards import RunningShard, now_ms, running_shard
from tests.support.broker import mosquitto, running_broker

SMOKE = "linli/v1/s1/sensor/smoke-1/evt"

pytestmark = pytest.mark.service


@pytest.fixture(params=["mosquitto", "amqtt"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    """A broker of each kind."""
    with running_broker(request.param, tmp_path / "broker") as running:
        yield running


class GatedLog(RecordingLog):
    """A log whose appends wait for the gate."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()

    def append(self, batches: Sequence[Batch]) -> list[int]:
        assert self.gate.wait(PATIENCE_S)
        return super().append(batches)


class Turns:
    """How often shards went round. What has not happened many rounds later is not merely late."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        plain = Housekeeping.tick

        def tick(house: Housekeeping, now_ms: int, *, force: bool = False) -> bool:
            self.count += 1
            return plain(house, now_ms, force=force)

        monkeypatch.setattr(Housekeeping, "tick", tick)

    def many_pass(self) -> bool:
        """Wait for some rounds from now on; whether they came."""
        begun = self.count
        return wait_until(lambda: self.count > begun + 20)


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> Turns:
    return Turns(monkeypatch)


def test_events_reach_the_log_in_order_with_time_behind_them(broker: Broker, tmp_path: Path) -> None:
    log = RecordingLog()
    with running_shard(broker.url, log, tmp_path, client_id="order"), Devices(broker.port) as devices:
        for n in range(300):
            devices.say(door(f"e{n}", at_ms=now_ms(), seq=n))
        devices.say(power(at_ms=now_ms()), qos=0)
        assert log.wait_for(300, PATIENCE_S, DoorChanged)
        last_ms = max(event.received_ms for event in log.events())
        assert wait_until(lambda: log.last_watermark_ms() > last_ms)
    doors = [event for event in log.events() if isinstance(event, DoorChanged)]
    assert [event.event_id for event in doors] == [f"e{n}" for n in range(300)]
    marks = [batch.watermark_ms for batch in log.batches]
    assert marks == sorted(marks)
    assert [type(e).__name__ for e in log.events()][:6] == ["SiteConfigured"] + ["DeviceConfigured"] * 5


BAD: list[tuple[str, bytes, RejectReason]] = [
    ("zigbee2mqtt/plug", b"{}", RejectReason.UNKNOWN_TOPIC),
    ("linli/v1/s1/gate/g1/evt", b'{"x":"' + b"y" * 10_000_000 + b'"}', RejectReason.TOO_LARGE),
    ("linli/v1/s1/gate/g1/evt", b'{"x":' + b"[" * 9_000 + b"]" * 9_000 + b"}", RejectReason.TOO_DEEP),
    ("linli/v1/s1/gate/g1/evt", b"NaN", RejectReason.NOT_JSON),
    ("linli/v1/s1/gate/g1/evt", b"\xff", RejectReason.NOT_UTF8),
    ("linli/v1/s1/gate/g1/evt", wire(door()).replace(b"door_changed", b"teapot"), RejectReason.UNKNOWN_KIND),
    ("linli/v1/s1/gate/g1/evt", wire(door()).replace(b'"open"', b"1"), RejectReason.WRONG_TYPE),
    ("linli/v1/s1/gate/g1/evt", wire(door(at_ms=0, stored=True)), RejectReason.TOO_OLD),
    ("linli/v1/s1/gate/g1/evt", wire(door(source_id="g2")), RejectReason.WRONG_DEVICE),
    ("linli/v1/s2/gate/g1/evt", wire(door()), RejectReason.WRONG_SITE),
    ("linli/v1/s1/gate/g9/evt", wire(door(source_id="g9")), RejectReason.NOT_CONFIGURED),
]


def test_bad_input_is_counted_with_its_reason_and_stops_nothing(broker: Broker, tmp_path: Path) -> None:
    log = RecordingLog()
    with running_shard(broker.url, log, tmp_path, client_id="bad") as running, Devices(broker.port) as devices:
        for topic, payload, _ in BAD:
            devices.send(topic, payload)
        devices.say(door("future", at_ms=now_ms() + 86_400_000))
        devices.say(door("good", at_ms=now_ms()))
        assert log.wait_for(2, PATIENCE_S, DoorChanged)
        counters = running.shard.counters
        for _, _, reason in BAD:
            assert counters.value("linli_ingest_rejected_total", reason=reason) == 1, reason
        assert wait_until(lambda: len(running.letters.list(99)) == len(BAD))
    letters = running.letters.list(99)
    assert {letter.reason for letter in letters} == {reason for _, _, reason in BAD}
    assert [(e.event_id, e.future) for e in log.events() if isinstance(e, DoorChanged)] == [
        ("future", True),
        ("good", False),
    ]
    devices_waiting, topics_waiting = running.inventory.waiting.current()
    assert [d.device_id for d in devices_waiting] == ["g9"]
    assert [t.topic for t in topics_waiting if not t.topic.startswith("$")] == ["zigbee2mqtt/plug"]


def test_a_puback_is_sent_only_after_the_append(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turns: Turns
) -> None:
    answered: list[tuple[int, int]] = []  # doors in the log, doors answered then
    doors: set[int] = set()
    log = GatedLog()
    plain, take = MqttSession.ack, IngestPipeline.take

    def ack(self: MqttSession, connection: int, mids: Sequence[int]) -> None:
        if mine := doors.intersection(mids):
            answered.append((sum(isinstance(e, DoorChanged) for e in log.events()), len(mine)))
        plain(self, connection, mids)

    def noted(self: IngestPipeline, arrival: Arrival, *rest: Any, **more: Any) -> MessageOutcome:
        if "/gate/" in arrival.topic:
            doors.add(arrival.mid)
        return take(self, arrival, *rest, **more)

    monkeypatch.setattr(MqttSession, "ack", ack)
    monkeypatch.setattr(IngestPipeline, "take", noted)
    with running_shard(broker.url, log, tmp_path, client_id="puback"), Devices(broker.port) as devices:
        log.gate.clear()
        for n in range(20):
            devices.say(door(f"e{n}", at_ms=now_ms()))
        assert wait_until(lambda: len(doors) == 20)
        assert turns.many_pass()
        assert answered == []
        log.gate.set()
        assert log.wait_for(20, PATIENCE_S, DoorChanged)
        assert wait_until(lambda: sum(n for _, n in answered) >= 20)
    told = itertools.accumulate(n for _, n in answered)
    assert all(durable >= so_far for (durable, _), so_far in zip(answered, told, strict=True))


def test_a_box_hears_got_only_after_the_append(broker: Broker, tmp_path: Path, turns: Turns) -> None:
    log = GatedLog()
    with running_shard(broker.url, log, tmp_path, client_id="got") as running, Devices(broker.port) as devices:
        listener = Listener(broker.port, "linli/v1/s1/edge/b1/got")
        log.gate.clear()
        for seq in (1, 2, 3):
            devices.send("linli/v1/s1/edge/b1/evt", wire(row(seq, first=1, at_ms=now_ms())))
        assert wait_until(lambda: running.shard.counters.value("linli_ingest_events_total") >= 3)
        assert turns.many_pass()
        assert not listener.heard
        log.gate.set()
        assert wait_until(lambda: any(b'"through_seq":3' in payload for _, payload in listener.heard))
        listener.close()
    assert [e.event_id for e in log.events() if e.spool] == ["sp1-1", "sp1-2", "sp1-3"]


def test_a_whole_spool_goes_over_in_order(broker: Broker, tmp_path: Path) -> None:
    log = RecordingLog()
    with running_shard(broker.url, log, tmp_path, client_id="spool"):
        box = Box(broker.port, 500)
        assert box.wait_done()
        box.close()
    assert [e.spool.seq for e in log.events() if e.spool] == list(range(1, 501))


def test_of_two_owners_of_a_session_the_first_ends_and_time_is_never_wrong(broker: Broker, tmp_path: Path) -> None:
    first, second = RecordingLog(), RecordingLog()
    with (
        running_shard(broker.url, first, tmp_path / "a", client_id="twins", silence_ms=1_500) as old,
        running_shard(broker.url, second, tmp_path / "b", client_id="twins", silence_ms=1_500),
        Devices(broker.port) as devices,
    ):
        assert old.ended(PATIENCE_S)
        assert isinstance(old.error, Permanent)
        took_ms = first.last_watermark_ms()
        for n in range(20):
            devices.say(door(f"e{n}", at_ms=now_ms()))
        assert second.wait_for(20, PATIENCE_S, DoorChanged)
        assert wait_until(lambda: second.last_watermark_ms() > took_ms)
    assert first.last_watermark_ms() == took_ms
    assert not [e for e in first.events() if isinstance(e, DoorChanged)]


def test_a_refusing_log_is_tried_again_and_nothing_is_twice(broker: Broker, tmp_path: Path) -> None:
    log = RecordingLog()
    with running_shard(broker.url, log, tmp_path, client_id="refusing") as running, Devices(broker.port) as devices:
        log.refusals = 3
        for n in range(30):
            devices.say(door(f"e{n}", at_ms=now_ms()))
        assert log.wait_for(30, PATIENCE_S, DoorChanged)
        assert running.shard.counters.value("linli_ingest_append_failures_total") == 3
    assert [e.event_id for e in log.events() if isinstance(e, DoorChanged)] == [f"e{n}" for n in range(30)]


HOUR_MS = 3_600_000
NO_BEAT: Any = {"probe_interval_ms": HOUR_MS, "prove_interval_ms": HOUR_MS, "silence_ms": HOUR_MS}
"""Time goes on where something hurries it, and only there."""


def test_life_safety_and_the_time_behind_it_do_not_wait_for_the_beat(broker: Broker, tmp_path: Path) -> None:
    log = RecordingLog()
    with (
        running_shard(broker.url, log, tmp_path, client_id="smoke", **NO_BEAT) as running,
        Devices(broker.port) as devices,
    ):
        for n in range(5):
            devices.say(smoke(f"f{n}", at_ms=now_ms()))
            assert log.wait_for(n + 1, PATIENCE_S, EnvironmentSampled)
            received_ms = log.events()[-1].received_ms
            assert wait_until(lambda at=received_ms: log.last_watermark_ms() >= at)  # type: ignore[misc]
        assert running.shard.counters.value("linli_ingest_interruptions_total") == 0


def test_a_device_joins_while_the_shard_runs_and_its_record_comes_first(broker: Broker, tmp_path: Path) -> None:
    log = RecordingLog()
    with running_shard(broker.url, log, tmp_path, client_id="joins") as running, Devices(broker.port) as devices:
        devices.say(door("early", source_id="g7", at_ms=now_ms()))
        running.inventory.put([device("g7", DeviceClass.GATE)])
        assert log.wait_for(7, PATIENCE_S, ConfigurationRecord)
        devices.say(door("late", source_id="g7", at_ms=now_ms()))
        assert log.wait_for(1, PATIENCE_S, DoorChanged)
    assert [e.event_id for e in log.events()][-2:] == ["config-7", "late"]


def test_a_restart_does_not_write_the_configuration_again_but_another_log_gets_it(
    broker: Broker, tmp_path: Path
) -> None:
    for log_id, expected in (("log-a", 6), ("log-a", 0), ("log-b", 6)):
        log = RecordingLog()
        with running_shard(broker.url, log, tmp_path, client_id="again", log_id=log_id):
            assert wait_until(lambda of=log: bool(of.last_watermark_ms()))  # type: ignore[misc]
        assert sum(isinstance(e, ConfigurationRecord) for e in log.events()) == expected


def test_a_stop_writes_what_was_accepted(broker: Broker, tmp_path: Path) -> None:
    log = RecordingLog(delay_s=0.3)
    with running_shard(broker.url, log, tmp_path, client_id="stop") as running, Devices(broker.port) as devices:
        for n in range(50):
            devices.say(door(f"e{n}", at_ms=now_ms()))
        assert wait_until(lambda: running.shard.counters.value("linli_ingest_events_total") >= 50)
    assert len([e for e in log.events() if isinstance(e, DoorChanged)]) == 50


def test_a_log_that_stands_still_slows_the_broker_down_and_memory_does_not_grow(
    broker: Broker, tmp_path: Path, turns: Turns
) -> None:
    log = GatedLog()
    with (
        running_shard(broker.url, log, tmp_path, client_id="slow", inbox_messages=50) as running,
        Devices(broker.port) as devices,
    ):
        log.gate.clear()
        for n in range(400):
            devices.say(door(f"e{n}", at_ms=now_ms()))
        devices.confirmed()
        assert wait_until(lambda: running.shard.counters.value("linli_ingest_events_total") >= 50)
        assert turns.many_pass()
        assert running.shard.counters.value("linli_ingest_events_total") < 200
        log.gate.set()
        assert log.wait_for(400, PATIENCE_S, DoorChanged)
    assert [e.event_id for e in log.events() if isinstance(e, DoorChanged)] == [f"e{n}" for n in range(400)]


def test_one_noisy_device_delays_nobody_else(broker: Broker, tmp_path: Path) -> None:
    log = RecordingLog()
    with (
        running_shard(broker.url, log, tmp_path, client_id="noisy", events_per_s=0.01, events_burst=10.0) as running,
        Devices(broker.port) as devices,
    ):
        for n in range(200):
            devices.say(door(f"n{n}", at_ms=now_ms()))
        devices.say(smoke("calm", at_ms=now_ms()))
        assert wait_until(lambda: any(e.event_id == "calm" for e in log.events()))
        sent_ms = now_ms()
        assert wait_until(lambda: log.last_watermark_ms() > sent_ms)
        assert running.shard.counters.value("linli_ingest_held_total") >= 150
        noisy = [e.event_id for e in log.events() if isinstance(e, DoorChanged)]
        assert 10 <= len(noisy) < 20
    assert noisy == [f"n{n}" for n in range(len(noisy))]


def test_a_queue_that_an_outage_left_is_in_time_for_every_rule(broker: Broker, tmp_path: Path) -> None:
    """One gate said in five minutes what it may say in two; all of it comes at once."""
    bounds: dict[str, Any] = {"client_id": "queue", "events_per_s": 2.0, "events_burst": 5.0}
    with running_shard(broker.url, RecordingLog(), tmp_path, **bounds):
        pass
    with Devices(broker.port) as devices:
        for n in range(250):
            devices.say(door(f"q{n}", seq=n, at_ms=now_ms() - 250_000 + n * 1_000))
        devices.confirmed()
    log = RecordingLog(last_ms=now_ms() - 300_000)
    with running_shard(broker.url, log, tmp_path, **bounds) as running:
        assert log.wait_for(250, PATIENCE_S, DoorChanged)
        assert running.shard.counters.value("linli_ingest_held_total") == 0
    engine = Engine(all_rules(), partition=0, partitions=1, log_id="queue")
    for position, record in enumerate(log.batches):
        engine.feed(record, position)
    assert (engine.counts.late, engine.counts.events >= 250) == (0, True)


def test_a_last_will_is_an_event_of_now(broker: Broker, tmp_path: Path) -> None:
    log = RecordingLog()
    will = DeviceStateChanged(
        event_id="will-1", site_id="s1", source_id="g1", place_id="p1", at_ms=now_ms() - 3_600_000, online=False
    )
    with running_shard(broker.url, log, tmp_path, client_id="will"), Devices(broker.port) as devices:
        devices.say(will)
        assert log.wait_for(1, PATIENCE_S, DeviceStateChanged)
    (event,) = [e for e in log.events() if isinstance(e, DeviceStateChanged)]
    assert event.at_ms == event.received_ms
    assert event.device_at_ms == will.at_ms


def test_retained_messages_are_passed_over_and_what_waited_for_us_is_not(broker: Broker, tmp_path: Path) -> None:
    """A broker gives a new subscriber its retained messages; one that comes back, what was said meanwhile."""
    with Devices(broker.port) as devices:
        for topic, event in (
            (SMOKE, smoke("old", at_ms=now_ms() - 86_400_000)),
            ("linli/v1/s1/meter/m1/state", _offline("m1")),
        ):
            devices.client.publish(topic, wire(event), qos=1, retain=True).wait_for_publish(PATIENCE_S)
        log = RecordingLog()
        with running_shard(broker.url, log, tmp_path, client_id="retained") as running:
            passed_over = running.shard.counters
            assert wait_until(lambda: passed_over.value("linli_ingest_skipped_total", reason="retained") >= 2)
            devices.say(smoke("now", at_ms=now_ms()))
            assert log.wait_for(1, PATIENCE_S, EnvironmentSampled)
        devices.client.publish(SMOKE, wire(smoke("meanwhile", at_ms=now_ms())), qos=1, retain=True)
        devices.say(smoke("away", at_ms=now_ms()))
        devices.confirmed()
        with running_shard(broker.url, log, tmp_path, client_id="retained"):
            assert wait_until(lambda: {"meanwhile", "away"} <= {e.event_id for e in log.events()})
    said = {e.event_id for e in log.events() if isinstance(e, EnvironmentSampled | DeviceStateChanged)}
    assert said == {"now", "meanwhile", "away"}


def test_clocks_and_their_faults_outlive_the_process(broker: Broker, tmp_path: Path) -> None:
    skewed = ClockRecord(site_id="s1", speaker="g1", skew_ms=8 * 3_600_000, measured_ms=now_ms())
    log = RecordingLog()
    with running_shard(broker.url, log, tmp_path, client_id="clocks") as running, Devices(broker.port) as devices:
        devices.say(smoke("unset", at_ms=11_000))
        assert wait_until(lambda: bool(running.inventory.clocks.of_devices()))
        running.inventory.clocks.put([skewed])
    with running_shard(broker.url, log, tmp_path, client_id="clocks") as running, Devices(broker.port) as devices:
        devices.say(door("behind", at_ms=now_ms() - 8 * 3_600_000))
        devices.say(smoke("right", at_ms=now_ms()))
        assert wait_until(lambda: {"behind", "right"} <= {e.event_id for e in log.events()})
        assert wait_until(lambda: [clock.fault for clock in running.inventory.clocks.of_devices()] == ["", ""])
    told = {e.event_id: e for e in log.events()}
    assert (told["unset"].at_ms, told["unset"].untrusted) == (told["unset"].received_ms, True)
    assert told["behind"].received_ms - told["behind"].at_ms < 10_000
    assert (told["behind"].untrusted, told["behind"].stored) == (False, False)
    assert running.inventory.clocks.of_devices()[0] == skewed


def _offline(device_id: str) -> DeviceStateChanged:
    return DeviceStateChanged(
        event_id="will", site_id="s1", source_id=device_id, place_id="room-1", at_ms=now_ms(), online=False
    )


def test_a_start_a_moment_below_the_logs_time_goes_on_behind_it(broker: Broker, tmp_path: Path) -> None:
    ahead_ms = now_ms() + 1_500
    log = RecordingLog(last_ms=ahead_ms)
    with running_shard(broker.url, log, tmp_path, client_id="moment"):
        assert log.wait_for(1, PATIENCE_S, IngestInterrupted)
        assert wait_until(lambda: log.last_watermark_ms() > ahead_ms)
    interrupted = next(e for e in log.events() if isinstance(e, IngestInterrupted))
    assert (interrupted.at_ms, interrupted.from_ms, interrupted.site_id) == (ahead_ms, ahead_ms, "s1")
    assert interrupted.to_ms > ahead_ms
    assert not [e for e in log.events() if isinstance(e, ClockStepped)]


def test_a_start_sixty_days_below_the_logs_time_steps_back_at_once(broker: Broker, tmp_path: Path) -> None:
    days_ms = 60 * 86_400_000
    log = RecordingLog(last_ms=now_ms() + days_ms)
    with running_shard(broker.url, log, tmp_path, client_id="behind") as running, Devices(broker.port) as devices:
        devices.say(smoke("now", at_ms=now_ms()))
        assert log.wait_for(1, PATIENCE_S, EnvironmentSampled)
        assert wait_until(lambda: _said_and_trusted(devices, log))  # a device told the same time
        assert wait_until(lambda: 0 < log.last_watermark_ms() < now_ms() + 60_000)
        assert wait_until(lambda: bool(running.inventory.clocks.of_hosts()))
        (clock,) = running.inventory.clocks.of_hosts().values()
    said = log.events()
    assert isinstance(said[0], ClockStepped)
    assert abs(said[0].shift_ms + days_ms) < 60_000
    alarm = next(event for event in said if isinstance(event, EnvironmentSampled))
    assert abs(alarm.received_ms - now_ms()) < 60_000
    assert clock.step_ms == said[0].shift_ms


def _said_and_trusted(devices: Devices, log: RecordingLog) -> bool:
    devices.say(door(f"at {now_ms()}", at_ms=now_ms()))
    return any(isinstance(event, DoorChanged) and not event.untrusted for event in log.events())


def test_a_broker_that_comes_back_is_one_interruption_during_which_time_stands(tmp_path: Path, turns: Turns) -> None:
    log, port = RecordingLog(), free_port()
    with mosquitto(tmp_path / "m", port) as first:
        running_context = running_shard(first.url, log, tmp_path, client_id="back")
        running = running_context.__enter__()
        assert wait_until(lambda: log.last_watermark_ms() > 0)
        first.kill()
        killed_ms = now_ms()
        assert wait_until(lambda: running.shard.counters.value("linli_ingest_connected") == 0)
        assert turns.many_pass()
        assert log.last_watermark_ms() <= killed_ms
    with mosquitto(tmp_path / "m", port):
        assert log.wait_for(1, PATIENCE_S, IngestInterrupted)
        assert wait_until(lambda: log.last_watermark_ms() > killed_ms)
        running_context.__exit__(None, None, None)
    interruptions = [e for e in log.events() if isinstance(e, IngestInterrupted)]
    assert [(e.site_id, e.at_ms == e.from_ms) for e in interruptions] == [("s1", True)]
    assert interruptions[0].from_ms <= killed_ms < interruptions[0].to_ms
    at = next(n for n, b in enumerate(log.batches) if interruptions[0] in b.events)
    assert all(b.watermark_ms <= interruptions[0].from_ms for b in log.batches[:at])


def test_a_stalled_broker_is_an_interruption_though_the_connection_stands(tmp_path: Path) -> None:
    """What devices told it meanwhile may come behind our probe: their silence must not be counted."""
    log = RecordingLog()
    with mosquitto(tmp_path / "m") as broker, running_shard(broker.url, log, tmp_path, client_id="still") as running:
        assert wait_until(lambda: log.last_watermark_ms() > 0)
        os.kill(broker.pid, signal.SIGSTOP)
        lag_ms = BROKER_STALLED_MS + 600
        assert wait_until(lambda: running.shard.counters.value("linli_ingest_watermark_lag_ms") > lag_ms)
        stood_ms = log.last_watermark_ms()
        os.kill(broker.pid, signal.SIGCONT)
        assert wait_until(lambda: log.last_watermark_ms() > stood_ms)
        assert running.shard.counters.value("linli_ingest_connected") == 1
    (interrupted,) = [e for e in log.events() if isinstance(e, IngestInterrupted)]
    assert interrupted.to_ms - interrupted.from_ms > BROKER_STALLED_MS
    at = next(n for n, b in enumerate(log.batches) if interrupted in b.events)
    assert all(b.watermark_ms <= interrupted.from_ms for b in log.batches[:at])


def test_a_broker_that_refuses_us_is_a_configuration_error(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "m", change=lambda t: t.replace("anonymous true", "anonymous false")) as strict:
        running = RunningShard(ShardSettings(mqtt_url=strict.url), RecordingLog(), tmp_path)
        assert running.ended(PATIENCE_S)
    assert isinstance(running.error, ConfigurationError)
    assert "refuses us" in str(running.error)
