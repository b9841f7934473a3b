"""What answers at the broker's address speaks no MQTT: ingest says so, and finds the broker when it is there."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from contracts.errors import Permanent, Transient
from ingest.session.broker import free_port
from ingest.session.broker_check import kept_while_away
from ingest.session.client import MqttClient
from ingest.session.protocol_version import speaks_version_5
from ingest.session.session import Ended, MqttSession, Signal, forget_session
from ingest.settings import BrokerAddress, ShardSettings
from ingest.shard.recording import RecordingLog
from tests.ingest.clients import PATIENCE_S, wait_until
from tests.ingest.shards import RunningShard
from tests.support.broker import mosquitto
from tests.support.cuttable import Cuttable
from tests.support.web_server import HTTP_502, web_server


@pytest.mark.service
@pytest.mark.parametrize("protocol", ["auto", "5", "3.1.1"])
def test_what_answers_first_is_no_broker_and_the_broker_that_comes_is_found(tmp_path: Path, protocol: str) -> None:
    port = free_port()
    with capture_logs() as said:
        with web_server(port) as (_, server):
            running = RunningShard(
                ShardSettings(mqtt_url=f"mqtt://127.0.0.1:{port}", protocol=protocol), RecordingLog(), tmp_path
            )
            for _ in range(3):
                assert server.answered.acquire(timeout=PATIENCE_S), "it is asked no more"
        with mosquitto(tmp_path / "broker", port):
            running.ready()
            running.stop()
    assert running.error is None
    told = [line for line in said if line["event"] == "no broker answers" and "no MQTT" in str(line["error"])]
    assert told and told[0]["broker"] == f"127.0.0.1:{port}"


@pytest.mark.service
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_web_servers_answer_in_a_standing_connection_is_a_lost_connection(tmp_path: Path, protocol: str) -> None:
    with mosquitto(tmp_path / "broker") as broker, Cuttable("127.0.0.1", broker.port) as way, capture_logs() as said:
        running = RunningShard(
            ShardSettings(mqtt_url=f"mqtt://127.0.0.1:{way.port}", protocol=protocol), RecordingLog(), tmp_path
        )
        running.ready()
        assert way.inject(HTTP_502) == 1
        again = wait_until(lambda: any(line.get("connection") == 2 for line in list(said)), PATIENCE_S / 3)
        running.stop()
    assert again and running.error is None
    lost = [line["reason"] for line in said if line["event"] == "disconnected"]
    assert len(lost) == 1 and "no MQTT" in lost[0]


@pytest.mark.service
def test_a_session_whose_thread_fails_ends_ingest_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_client: MqttClient, _timeout: float = 1.0) -> None:
        raise RecursionError("too deep")

    with mosquitto(tmp_path / "broker") as broker:
        running = RunningShard(ShardSettings(mqtt_url=broker.url), RecordingLog(), tmp_path)
        running.ready()
        monkeypatch.setattr(MqttClient, "_loop", broken)
        assert running.ended(PATIENCE_S)
    assert isinstance(running.error, Permanent)
    assert "too deep" in str(running.error) and "start it again" in str(running.error)


def test_a_session_that_cannot_begin_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    said, told = list[Signal](), threading.Event()

    def hear(signals: Sequence[Signal]) -> None:
        said.extend(signals)
        told.set()

    def broken(_address: BrokerAddress) -> bool:
        raise RuntimeError("no more threads")

    monkeypatch.setattr("ingest.session.session.speaks_version_5", broken)
    session = MqttSession(BrokerAddress("127.0.0.1", 1), "c", ["a/b"], "own", hear)
    session.start()
    assert told.wait(PATIENCE_S)
    session.stop()
    assert [type(signal) for signal in said] == [Ended]


def test_what_is_no_broker_is_said_in_one_sentence() -> None:
    with web_server() as (port, _):
        address = BrokerAddress("127.0.0.1", port)
        for ask in (lambda: kept_while_away(address, 1), lambda: forget_session(address, "c")):
            with pytest.raises(Transient, match="no MQTT"):
                ask()
        with pytest.raises(OSError, match="no MQTT"):
            speaks_version_5(address)
