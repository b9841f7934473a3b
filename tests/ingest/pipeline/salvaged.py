"""Messages of a sensor that says everything it may, and what is read of them."""

from __future__ import annotations

import json
from typing import Any

from contracts.events import DeviceEvent
from contracts.names import parse_topic
from ingest.pipeline.decode import decode
from ingest.pipeline.salvage import FieldFault
from tests.ingest.builders import smoke, wire

SENSOR = parse_topic("linli/v1/s1/sensor/smoke-1/evt")
METER = parse_topic("linli/v1/s1/meter/m1/tele")
GATE = parse_topic("linli/v1/s1/gate/g1/evt")
BOX = parse_topic("linli/v1/s1/edge/b1/evt")
FULL: dict[str, Any] = {
    **json.loads(wire(smoke())),
    "seq": 7,
    "stored": False,
    "origin": "live",
    "model": "m@1",
    "smoke_pct_m": 12.5,
    "temperature_c": 41.0,
    "co_ppm": 3.0,
    "humidity_pct": 50.0,
}
"""A sensor's message that says everything it may."""
CALM = json.dumps({**FULL, "event_id": "calm", "alarm": False}).encode()


def read(payload: bytes, topic: Any = SENSOR) -> tuple[DeviceEvent, list[str]]:
    faults: list[FieldFault] = []
    event = decode(topic, payload, "run-1", faults)
    return event, [str(fault) for fault in faults]


def full_with(**fields: Any) -> bytes:
    return json.dumps({**FULL, **fields}).encode()


def full_with_raw(field: str, text: str) -> bytes:
    return full_with(**{field: "RAW"}).replace(b'"RAW"', text.encode("utf-8", "surrogatepass"))
