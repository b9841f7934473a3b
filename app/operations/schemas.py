"""Writes what is generated from types and tables: JSON Schema and AsyncAPI for programs, state diagrams for people.

``python -m app.operations.schemas`` writes ``docs/contracts/``; a test fails when they are not current.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from contracts.batch import Batch
from contracts.events import Configuration, DeviceEvent, IngestEvent
from contracts.findings import Finding, Rejudge
from contracts.incidents import IncidentSummary
from contracts.names import PROBE_ROOT, Channel, DeviceClass
from incidents.alerts.diagram import states_page

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "contracts"
REF = "#/components/schemas/{name}"


class SpoolAcknowledgement(msgspec.Struct, frozen=True):
    """An acknowledgement to a box: every row of this lane up to ``through_seq`` is durable and may be deleted."""

    spool_id: str
    lane: str
    through_seq: int


def documents() -> dict[str, dict[str, Any]]:
    """File name → document."""
    return {
        "events.schema.json": _schema("Events in the log and on the wire", DeviceEvent, IngestEvent, Configuration),
        "findings.schema.json": _schema("What rules conclude", Finding, Rejudge),
        "batch.schema.json": _schema("A record of the log (stored as msgpack)", Batch),
        "incident.schema.json": _schema("What a receiver is told", IncidentSummary),
        "asyncapi.json": asyncapi(),
    }


def _schema(title: str, *types: Any) -> dict[str, Any]:
    schemas, components = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "anyOf": list(schemas),
        "$defs": dict(sorted(components.items())),
    }


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3 document of Linli's own MQTT topics."""
    (event, got), components = msgspec.json.schema_components((DeviceEvent, SpoolAcknowledgement), ref_template=REF)
    components["DeviceEvent"] = event
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Linli over MQTT",
            "version": "1",
            "description": "One event per message, UTF-8 JSON. Its site and device are its topic's; a box speaks "
            "for the cameras that the inventory gives to it.",
        },
        "defaultContentType": "application/json",
        "channels": _channels(),
        "operations": {
            "receiveEvents": {"action": "receive", "channel": {"$ref": "#/channels/events"}},
            "receiveTelemetry": {"action": "receive", "channel": {"$ref": "#/channels/telemetry"}},
            "receiveState": {"action": "receive", "channel": {"$ref": "#/channels/state"}},
            "acknowledge": {"action": "send", "channel": {"$ref": "#/channels/got"}},
        },
        "components": {
            "messages": {
                "event": {"payload": {"$ref": "#/components/schemas/DeviceEvent"}},
                "got": {"payload": got},
            },
            "schemas": dict(sorted(components.items())),
        },
    }


def _channels() -> dict[str, Any]:
    return {
        "events": _channel(Channel.EVT, "Events, QoS 1, sequence-numbered", "event"),
        "telemetry": _channel(Channel.TELE, "Telemetry, QoS 0", "event"),
        "state": _channel(Channel.STATE, "Connection state, retained, with last will", "event"),
        "got": {
            "address": f"linli/v1/{{site}}/{DeviceClass.EDGE}/{{device}}/{Channel.GOT}",
            "description": "Spool acknowledgement: sent after the append is durable",
            "parameters": {"site": {}, "device": {}},
            "messages": {"got": {"$ref": "#/components/messages/got"}},
        },
        "probe": {
            "address": f"{PROBE_ROOT}/{{client}}",
            "description": "Ingest's own probe: its return proves that everything before it has been received",
            "parameters": {"client": {}},
            "messages": {},
        },
    }


def _channel(channel: Channel, description: str, message: str) -> dict[str, Any]:
    return {
        "address": f"linli/v1/{{site}}/{{class}}/{{device}}/{channel}",
        "description": description,
        "parameters": {"site": {}, "class": {"enum": [str(c) for c in DeviceClass]}, "device": {}},
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
    }


def render(document: dict[str, Any]) -> str:
    """Return the document as it stands in the file."""
    return json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def pages() -> dict[str, str]:
    """File name → text, of everything that is generated."""
    return {name: render(document) for name, document in documents().items()} | {"states.md": states_page()}


def main() -> None:
    """Write every document."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
