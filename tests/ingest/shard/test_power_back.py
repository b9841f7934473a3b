"""The power is back: 5,000 devices connect and speak within a second, a third of them with the clock of 1970."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.batch import Batch
from contracts.events import (
    AnyEvent,
    Configuration,
    DeviceReported,
    DeviceStateChanged,
    EnvironmentSampled,
)
from contracts.findings import Finding, Phase
from contracts.names import DeviceClass
from detectors.registry import all_rules
from ingest.shard.recording import RecordingLog
from streams.engine.engine import Engine
from tests.ingest.builders import device, reported, site, wire
from tests.ingest.clients import Devices
from tests.ingest.shards import now_ms, running_shard
from tests.support.broker import running_broker

pytestmark = [pytest.mark.service, pytest.mark.patient]

SITES = [f"s{n}" for n in range(1, 6)]
EACH = 1_000
BURNING = 500
"""Which sensor of each site says, in the midst of all this, that it burns."""
PATIENCE_S = 120.0
HOUR_MS = 3_600_000


def _records() -> list[Configuration]:
    records: list[Configuration] = [site(site_id) for site_id in SITES]
    for site_id in SITES:
        for n in range(EACH):
            one = device(f"sensor-{n}", DeviceClass.SENSOR, place_id=f"p{n}", silent_after_ms=HOUR_MS)
            records.append(msgspec.structs.replace(one, site_id=site_id))
    return records


def _words(site_id: str, n: int) -> list[tuple[str, AnyEvent]]:
    """What one device says when it has power: that it is there, how it is, and perhaps that it burns."""
    at_ms = 60_000 + n if n % 3 == 0 else now_ms()
    head: dict[str, Any] = {"site_id": site_id, "source_id": f"sensor-{n}", "place_id": f"p{n}", "at_ms": at_ms}
    words: list[tuple[str, AnyEvent]] = [
        ("state", DeviceStateChanged(event_id=f"up-{n}", online=True, **head)),
        ("evt", reported(f"hello-{n}", f"sensor-{n}", at_ms, site_id=site_id, place_id=f"p{n}")),
    ]
    if n in (BURNING, BURNING + 1):  # one with each kind of clock
        words.append(("evt", EnvironmentSampled(event_id=f"fire-{n}", alarm=True, **head)))
    return words


def _judged(batches: list[Batch]) -> list[Finding]:
    engine = Engine(all_rules(), partition=0, partitions=1, log_id="power")
    outputs = [output for position, batch in enumerate(batches) for output in engine.feed(batch, position)]
    return [output for output in outputs if isinstance(output, Finding)]


def test_all_are_heard_none_is_refused_and_only_what_burns_is_found(tmp_path: Path) -> None:
    log = RecordingLog()
    said = [
        (site_id, channel, event) for n in range(EACH) for site_id in SITES for channel, event in _words(site_id, n)
    ]
    with (
        running_broker("mosquitto", tmp_path / "broker") as broker,
        running_shard(broker.url, log, tmp_path, _records(), client_id="power", partitions=1) as running,
        Devices(broker.port) as devices,
    ):
        for site_id, channel, event in said:
            devices.send(f"linli/v1/{site_id}/sensor/{event.source_id}/{channel}", wire(event))
        assert log.wait_for(2 * len(SITES), PATIENCE_S, EnvironmentSampled)
        assert log.wait_for(EACH * len(SITES), PATIENCE_S, DeviceReported)
        assert log.wait_for(EACH * len(SITES), PATIENCE_S, DeviceStateChanged)
        assert running.letters.list(10) == []
    heard = Counter((event.site_id, event.event_id) for event in log.events())
    assert all(heard[event.site_id, event.event_id] == 1 for _, _, event in said)
    found = _judged(log.batches)
    assert sorted((one.site_id, one.key, one.phase) for one in found if one.rule == "smoke_or_heat") == sorted(
        (site_id, f"sensor-{n}", Phase.OPEN) for site_id in SITES for n in (BURNING, BURNING + 1)
    )
    assert [one for one in found if one.rule != "smoke_or_heat"] == []
