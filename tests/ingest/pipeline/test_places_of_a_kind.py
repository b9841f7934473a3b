"""A new kind of event, or class of device, that stands in one table and not in the other is named here."""

from __future__ import annotations

import pytest

from contracts.events import DeviceEvent, Event, IngestEvent
from contracts.names import DeviceClass
from ingest.pipeline.channel_rules import KINDS_OF_CHANNEL, KINDS_OF_CLASS

SAID_BY_DEVICES: tuple[type[Event], ...] = DeviceEvent.__args__
SAID_BY_INGEST: tuple[type[Event], ...] = IngestEvent.__args__


@pytest.mark.parametrize("kind", SAID_BY_DEVICES, ids=lambda kind: kind.__name__)
def test_some_class_may_say_each_kind_on_some_channel(kind: type[Event]) -> None:
    classes = [device_class for device_class, kinds in KINDS_OF_CLASS.items() if kind in kinds]
    channels = [channel for channel, kinds in KINDS_OF_CHANNEL.items() if kind in kinds]
    assert classes, f"ingest/pipeline/channel_rules.py: no class in KINDS_OF_CLASS may say {kind.__name__}"
    assert channels, f"ingest/pipeline/channel_rules.py: no channel in KINDS_OF_CHANNEL carries {kind.__name__}"


@pytest.mark.parametrize("device_class", DeviceClass)
def test_each_class_may_say_something(device_class: DeviceClass) -> None:
    assert KINDS_OF_CLASS.get(device_class), f"ingest/pipeline/channel_rules.py: KINDS_OF_CLASS lacks {device_class!r}"


@pytest.mark.parametrize("kind", SAID_BY_INGEST, ids=lambda kind: kind.__name__)
def test_no_device_may_say_what_ingest_alone_says(kind: type[Event]) -> None:
    assert kind not in SAID_BY_DEVICES
    assert all(kind not in kinds for kinds in (*KINDS_OF_CLASS.values(), *KINDS_OF_CHANNEL.values()))
