"""How much a broker may send our session without an answer: no more than is remembered, whatever the broker allows."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from contracts.events.identity import IN_FLIGHT
from ingest.pipeline.pipeline import Arrival
from ingest.session.session import MqttSession, Signal
from ingest.settings import broker_address
from tests.ingest.clients import PATIENCE_S, Devices
from tests.support.broker import mosquitto

pytestmark = pytest.mark.service
WITHOUT_A_BOUND = "max_inflight_messages 0"


class Silent:
    """A session that never acknowledges."""

    def __init__(self, url: str) -> None:
        self.arrived: list[Arrival] = []
        self._grown = threading.Condition()
        self._session = MqttSession(broker_address(url), "silent", ["burst/#"], "linli/probe/x", self._on_signals, "5")
        self._session.start()

    def heard(self, count: int, timeout_s: float) -> bool:
        """Whether so many came in time."""
        with self._grown:
            return self._grown.wait_for(lambda: len(self.arrived) >= count, timeout_s)

    def close(self) -> None:
        """Hang up."""
        self._session.stop()

    def _on_signals(self, signals: Sequence[Signal]) -> None:
        with self._grown:
            self.arrived += [signal for signal in signals if isinstance(signal, Arrival)]
            self._grown.notify_all()


def test_the_session_takes_no_more_ahead_of_its_answers_than_is_remembered(tmp_path: Path) -> None:
    generous = mosquitto(tmp_path, change=lambda text: text.replace("max_inflight_messages 4096", WITHOUT_A_BOUND))
    with generous as broker, Devices(broker.port) as devices:
        assert WITHOUT_A_BOUND in (tmp_path / "mosquitto.conf").read_text(encoding="utf-8")
        silent = Silent(broker.url)
        while not silent.heard(1, 0.2):  # until it is subscribed
            devices.send("burst/first", b"")
            devices.confirmed()
        for n in range(IN_FLIGHT + 500):
            devices.send("burst/x", n.to_bytes(4, "big"))
            if n % 500 == 499:
                devices.confirmed()
        devices.confirmed()
        assert silent.heard(IN_FLIGHT, PATIENCE_S)
        assert not silent.heard(IN_FLIGHT + 1, 1.0)
        silent.close()
