"""The box's thread towards the platform: connects, sends what the sender says is due, hands it the acknowledgements."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable

import msgspec
import structlog

from contracts.errors import Transient
from contracts.names import Channel, DeviceClass, Topic
from edge.uplink.mqtt import BrokerConfig, BrokerConnection
from edge.uplink.sender import Acknowledgement, SpoolSender

POLL_S = 0.05
READY_TIMEOUT_S = 10.0
BACKOFF_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
STOOD_S = 30.0
"""A connection that stood so long, or on which rows were acknowledged, was a good one."""
_DECODER = msgspec.json.Decoder(Acknowledgement)
_log = structlog.get_logger("edge.uplink.publisher")


class SpoolPublisher:
    """Publishes one box's spool on ``linli/v1/{site}/edge/{box}/evt``.

    Args:
        sender: what is due.
        now_ms: epoch milliseconds.
    """

    def __init__(
        self, config: BrokerConfig, *, site_id: str, box_id: str, sender: SpoolSender, now_ms: Callable[[], int]
    ) -> None:
        self._config, self._sender, self._now_ms = config, sender, now_ms
        self._client_id = f"linli-box-{site_id}-{box_id}"
        self._evt = str(Topic(site_id, DeviceClass.EDGE, box_id, Channel.EVT))
        self._got = str(Topic(site_id, DeviceClass.EDGE, box_id, Channel.GOT))
        self.connected = self._answered = False
        self.reconnects = 0

    def run(self, stop: threading.Event) -> None:
        """Keep a connection and send, until ``stop``. Failures are logged and tried again."""
        failures = 0
        while not stop.is_set():
            began_s, self._answered = time.monotonic(), False
            try:
                self._one_connection(stop)
            except (Transient, sqlite3.DatabaseError) as error:  # a full disk keeps even an answer from being noted
                failures = 0 if self._went_well(began_s) else failures
                _log.warning("broker", error=str(error), failures=failures)
            finally:
                self.connected = False
            self.reconnects += 1
            pause_s = BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]
            stop.wait(pause_s * random.uniform(0.5, 1.0))  # a site's boxes must not come back as one
            failures += 1

    def _went_well(self, began_s: float) -> bool:
        """Return whether the broker wanted us: one that refuses what we say ends the connection at once."""
        return self.connected and (self._answered or time.monotonic() - began_s >= STOOD_S)

    def _one_connection(self, stop: threading.Event) -> None:
        connection = BrokerConnection(self._config, self._client_id, self._got, self._acknowledged)
        try:
            patience = int(READY_TIMEOUT_S / POLL_S)
            while not stop.is_set():
                connection.loop(POLL_S)
                patience -= 1
                if connection.ready:
                    self._send(connection)
                elif patience < 0:
                    raise Transient(f"the broker accepted nothing within {READY_TIMEOUT_S} s")
        finally:
            connection.close()

    def _send(self, connection: BrokerConnection) -> None:
        if not self.connected:
            self._sender.connected()
            self.connected = True
            _log.info("connected", topic=self._evt)
        for message in self._sender.due(self._now_ms()):
            connection.publish(self._evt, message)

    def _acknowledged(self, payload: bytes) -> None:
        try:
            message = _DECODER.decode(payload)
        except (msgspec.DecodeError, RecursionError) as error:
            self._sender.ignored_acknowledgements += 1
            _log.warning("unreadable acknowledgement", size=len(payload), error=str(error)[:200])
            return
        self._answered = self._sender.got(message, self._now_ms()) > 0 or self._answered
