"""Probes that never come back: a broker that lets us neither speak nor hear is told, not tried for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.errors import Permanent
from ingest.session.probes import FRUITLESS_CONNECTIONS, ProbeSchedule
from ingest.settings import ShardSettings
from ingest.shard.recording import RecordingLog
from tests.ingest.clients import PATIENCE_S
from tests.ingest.shards import RunningShard
from tests.support.broker import mosquitto

BEYOND = FRUITLESS_CONNECTIONS + 1


def test_a_broker_that_never_lets_a_probe_back_is_given_up_after_some_connections() -> None:
    plan = ProbeSchedule(ShardSettings(mqtt_url="mqtt://ingest:word@broker:1883"))
    for now_ms in range(FRUITLESS_CONNECTIONS):
        plan.connected(now_ms, proven=False)
    with pytest.raises(Permanent) as raised:
        plan.connected(9, proven=False)
    assert "broker:1883 takes us, but in 5 connections no message on our own topic came back: " in str(raised.value)
    assert "word" not in str(raised.value)


def test_a_broker_that_let_one_back_may_be_lost_as_often_as_it_likes() -> None:
    plan = ProbeSchedule(ShardSettings(mqtt_url="mqtt://broker:1883"))
    for now_ms in range(FRUITLESS_CONNECTIONS):
        plan.connected(now_ms, proven=False)
    for now_ms in range(10 * BEYOND):
        plan.connected(now_ms, proven=True)


@pytest.mark.service
def test_an_acl_without_probes_ends_ingest_with_a_sentence(tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite linli/v1/#\n", encoding="utf-8")
    acl.chmod(0o644)
    with mosquitto(tmp_path / "broker", change=lambda text: f"{text}\nacl_file {acl}\n") as broker:
        running = RunningShard(ShardSettings(mqtt_url=broker.url), RecordingLog(), tmp_path)
        assert running.ended(PATIENCE_S)
    assert isinstance(running.error, Permanent)
    assert "let 'linli-ingest-0' read and write linli/probe/#" in str(running.error)
