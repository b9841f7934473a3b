"""A session as ingest has one, for what is no shard: it tries a broker, or is made before its shard first runs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence

from contracts.errors import ConfigurationError, Transient
from contracts.names import PROBE_ROOT
from ingest.pipeline.pipeline import Arrival
from ingest.session.protocol_version import speaks_version_5
from ingest.session.session import Connected, Ended, MqttSession, Signal
from ingest.settings import BrokerAddress

ANSWER_S = 10.0
_AT_ONCE = 500
"""Fewer than brokers keep for a session: what says them must hear them all."""


def protocol_of(address: BrokerAddress) -> str:
    """Return what the broker speaks: ``5`` or ``3.1.1``.

    Raises:
        Transient: it does not answer.
    """
    try:
        return "5" if speaks_version_5(address) else "3.1.1"
    except OSError as error:
        raise Transient(f"no MQTT broker answers at {address.host}:{address.port}: {address.said_of(error)}") from None


class Listener:
    """A session as ingest has it, with the probe topic of a shard; it acknowledges everything, and counts what comes.

    Args:
        address: of the broker.
        client_id: the session's name.
        topics: what it subscribes to; it publishes on the first and counts what comes there.
        protocol: ``5`` or ``3.1.1``.
    """

    def __init__(self, address: BrokerAddress, client_id: str, topics: Sequence[str], protocol: str) -> None:
        self._topic, self._own_topic = next(iter(topics), ""), f"{PROBE_ROOT}/{client_id}"
        self._changed = threading.Condition()
        self._connected, self._subscribed, self._heard, self._refused = False, False, 0, ""
        self.session = MqttSession(address, client_id, topics, self._own_topic, self._on_signals, protocol)

    def wait_until_subscribed(self) -> None:
        """Wait for a message of our own to come back: then the broker has both subscriptions."""
        self._wait(lambda: self._connected or bool(self._refused), "did not answer")
        if self._refused:
            raise ConfigurationError(self._refused)
        self.session.publish(self._own_topic, b"here")
        self._wait(lambda: self._subscribed or bool(self._refused), "did not confirm a subscription")
        if self._refused:
            raise ConfigurationError(self._refused)

    def publish(self, messages: int) -> None:
        """Say so many, and hear every one."""
        for start in range(0, messages, _AT_ONCE):
            end = min(start + _AT_ONCE, messages)
            for _ in range(start, end):
                self.session.publish(self._topic, b"x")
            self._wait(lambda end=end: self._heard >= end, "did not confirm what was published")  # type: ignore[misc]

    def heard(self, messages: int) -> int:
        """Return how many came; no more than ``messages``. They come at once: ends when none has for a while."""
        before = -1
        with self._changed:
            while before < self._heard < messages:
                before = self._heard
                self._changed.wait_for(lambda: self._heard >= messages, ANSWER_S / 4)
            return min(self._heard, messages)

    def _wait(self, done: Callable[[], bool], otherwise: str) -> None:
        with self._changed:
            if not self._changed.wait_for(done, ANSWER_S):
                raise Transient(f"the MQTT broker {otherwise} within {ANSWER_S:.0f} s")

    def _on_signals(self, signals: Sequence[Signal]) -> None:
        with self._changed:
            for signal in signals:
                match signal:
                    case Connected():
                        self._connected = True
                    case Ended(reason=reason):
                        self._refused = reason
                    case Arrival(topic=topic):
                        self._heard += topic == self._topic
                        self._subscribed |= topic == self._own_topic
                        if signal.qos:
                            self.session.ack(signal.connection, [signal.mid])
            self._changed.notify_all()


@contextlib.contextmanager
def listening(address: BrokerAddress, client_id: str, topics: Sequence[str], protocol: str) -> Iterator[Listener]:
    """Open a session until the broker has its subscriptions; it keeps the session afterwards.

    Raises:
        Transient: the broker does not answer. ConfigurationError: it refuses us.
    """
    listener = Listener(address, client_id, topics, protocol)
    listener.session.start()
    try:
        listener.wait_until_subscribed()
        yield listener
    finally:
        listener.session.stop()
