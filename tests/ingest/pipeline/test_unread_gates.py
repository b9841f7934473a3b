"""What ingest says of a door whose gate it cannot read: rarely, of gates alone, and only where a grant may be lost."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from contracts.events import AnyEvent, DeviceReported
from contracts.names import DeviceClass
from ingest.pipeline.acks import PendingPuback
from ingest.pipeline.event_file import EventFile
from ingest.pipeline.pipeline import Arrival, IngestPipeline, Refused
from ingest.settings import ShardSettings
from tests.ingest.builders import NOW_MS, community, device, smoke, wire

GATE = "linli/v1/s1/gate/g1/evt"
MINUTE = 60_000


def _pipeline() -> IngestPipeline:
    pipeline = IngestPipeline(msgspec.convert({"mqtt_url": "mqtt://x"}, ShardSettings), "run")
    for record in community():
        pipeline.admission.apply_config(record)
    return pipeline


def _refuse(pipeline: IngestPipeline, topic: str, payload: Any, now_ms: int) -> list[AnyEvent]:
    """Give it what must be refused; what is then said of it."""
    data = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
    outcome = pipeline.take(Arrival(topic, data, 1, 7, False, 1), PendingPuback(7, 1), now_ms, timely=True)
    assert isinstance(outcome, Refused)
    return [released.event for released in pipeline.release(now_ms)]


def test_the_door_of_a_gate_that_was_refused_is_told_in_the_log_s_time_once_a_minute() -> None:
    pipeline = _pipeline()
    pipeline.shift(5_000)
    (said,) = _refuse(pipeline, GATE, b"granted", NOW_MS)
    assert isinstance(said, DeviceReported)
    assert (said.source_id, said.place_id, said.healthy) == ("ingest", "door-1", False)
    assert said.at_ms == said.received_ms == NOW_MS + 5_000
    told = [_refuse(pipeline, GATE, b"granted", NOW_MS + at) for at in range(0, 5 * MINUTE, 1_000)]
    assert [len(said) for said in told].count(1) == 4
    assert len({said.event_id for more in told for said in more}) == 4


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        (GATE, {"kind": "device_reported", "site_id": "S1"}),
        (GATE, {"kind": "passage_observed", "site_id": "S1"}),
        (GATE, {"kind": "power_sampled", "power_w": 3}),
        ("linli/v1/s1/meter/m1/evt", {"kind": "access_attempted", "granted": "ok"}),
        ("linli/v1/s1/gate/nobody/evt", {"kind": "access_attempted", "granted": "ok"}),
        ("linli/v1/s1/sensor/smoke-1/evt", b"{"),
        ("linli/v1/s1/edge/b1/evt", {"kind": "access_attempted", "source_id": "m1", "granted": "ok"}),
        ("linli/v1/s1/edge/b1/evt", b"{"),
        ("linli/v1/s1/GATE", b"{"),
    ],
)
def test_neither_heartbeats_nor_other_devices_are_told(topic: str, payload: Any) -> None:
    assert _refuse(_pipeline(), topic, payload, NOW_MS) == []


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        (GATE, {"kind": "door_changed", "state": 7, "site_id": "S1"}),
        (GATE, {"kind": "card_read"}),
        (GATE, b"\xff\xfe\x00"),
        ("linli/v1/S1/gate/G1/evt", b"{"),
        ("linli/v1/s1/edge/b1/evt", {"kind": "access_attempted", "source_id": "G2", "granted": "ok"}),
    ],
)
def test_what_may_have_been_a_credential_or_the_door_is_told(topic: str, payload: Any) -> None:
    pipeline = _pipeline()
    pipeline.admission.apply_config(device("g2", DeviceClass.GATE, "b1", place_id="door-2"))
    assert len(_refuse(pipeline, topic, payload, NOW_MS)) == 1


def test_no_device_can_say_it_and_a_file_of_the_log_can() -> None:
    pipeline = _pipeline()
    said = _refuse(pipeline, GATE, b"{", NOW_MS)
    own = msgspec.structs.replace(said[0], event_id="mine")
    assert _refuse(pipeline, "linli/v1/s1/edge/b1/evt", wire(own), NOW_MS) == []
    records = [msgspec.structs.replace(record, received_ms=NOW_MS, version=1) for record in community()]
    read = EventFile()
    lines = [wire(event) for event in (*records, *said, msgspec.structs.replace(smoke(), received_ms=NOW_MS))]
    assert [event.source_id for event in read.events(lines)][-2:] == ["ingest", "smoke-1"]
    assert read.pending_devices() == 0
