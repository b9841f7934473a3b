"""A simulated day crosses the pipeline as its devices send it: everyone is heard, and the wrong clocks are found."""

from __future__ import annotations

from collections import Counter

import pytest

from contracts.errors import RejectReason
from contracts.events import ConfigurationRecord, DeviceConfigured
from contracts.names import DeviceClass
from ingest.pipeline.acks import PendingPuback
from ingest.pipeline.pipeline import Accepted, Arrival, IngestPipeline, Refused
from ingest.settings import ShardSettings
from simulator.generate import SimulationRequest, generate
from simulator.topics import payload_of, quality_of, topic_of


@pytest.mark.slow
def test_only_the_gate_on_trial_is_refused_and_only_wrong_clocks_are_shifted() -> None:
    pipeline, classes, outcomes = IngestPipeline(ShardSettings(mqtt_url=""), "run"), {}, Counter[str]()
    refused: set[tuple[RejectReason, str]] = set()
    for event in generate(SimulationRequest(seed=1, days=1, sites=1)).events:
        if isinstance(event, ConfigurationRecord):
            pipeline.admission.apply_config(event)
            if isinstance(event, DeviceConfigured):
                classes[event.device_id] = event.device_class
            continue
        topic = topic_of(event, classes)
        assert topic is not None
        arrival = Arrival(str(topic), payload_of(event), quality_of(topic)[0], 1, retain=False, connection=1)
        outcome = pipeline.take(arrival, PendingPuback(1, 1), event.received_ms, timely=True)
        outcomes[type(outcome).__name__] += 1
        if isinstance(outcome, Refused):
            refused.add((outcome.reason, event.source_id))
        elif isinstance(outcome, Accepted):
            assert outcome.event.event_id == event.event_id
    assert refused == {(RejectReason.NOT_CONFIGURED, "gate-new")}
    assert set(outcomes) == {"Accepted", "Refused"}
    skews = {source: skew_ms for (_, source), skew_ms in pipeline.clocks.skews_ms().items()}
    meters = [skew_ms for source, skew_ms in skews.items() if classes[source] is DeviceClass.METER]
    assert len(skews) == 4
    assert sorted(round(skew_ms, -2) for skew_ms in skews.values()) == [-5_000, -1_400, 600, 8_000]
    assert len(meters) == 2
