"""Faust: membership of the group of workers, and deliveries of the log's records. The one file that imports it.

Faust is the partitioned reader around one agent, and nothing more: no table, no producer, no offset that anything rests
on. What it delivers may jump and repeat (docs/protocol.md#faust). An error that reached it would be logged and its
record counted as done, so none does: the agent hands every record over and the receiving side ends the process.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Iterable
from typing import Any, Protocol

import faust
import msgspec
from faust.auth import SASLCredentials, SSLCredentials

from streams.broker_security import KafkaSecurity

SESSION_S = 7.0  # the default, 60 s, would be the time that a killed worker's partitions stand still
HEARTBEAT_S = 2.0  # also how soon the others hear of it
REBALANCE_S = 15.0
REQUEST_S = 20.0  # Faust refuses one below the session's
MOST_RECORDS = 32  # the defaults, 4,096 records of 73 KB, are 309 MB (docs/protocol.md#the-log-on-kafka)
BREATH = 32
"""Records after which the loop may do something else, however many are waiting."""


class ReaderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which brokers (``host:port``), which topic, and as whom. ``group``: workers of one name share the partitions."""

    servers: tuple[str, ...]
    topic: str
    group: str
    security: KafkaSecurity = KafkaSecurity()


class PartitionListener(Protocol):
    """Who is told what Faust decides and delivers. Called on the event loop; must not raise."""

    def assigned(self, partitions: Iterable[int]) -> None:
        """Take these partitions: they are ours from now on."""
        ...

    def revoked(self, partitions: Iterable[int]) -> None:
        """Leave these partitions: they are not ours any more."""
        ...

    def delivered(self, partition: int, position: int, data: bytes, written_ms: int = 0) -> None:
        """Take a record."""
        ...


class _App(faust.App):
    def _create_directories(self) -> None:
        """Create none: there is no table whose file could lie there."""


class FaustReader:
    """One member of the group. :meth:`start`, then :meth:`check` now and then, then :meth:`stop`.

    ``member``: it has its assignment of the running generation, which may be empty.
    """

    def __init__(self, settings: ReaderSettings, receiver: PartitionListener) -> None:
        self.member = False
        self._receiver = receiver
        self._topic = settings.topic
        self._app = make_app(settings)
        self._agent = self._app.agent(self._channel(), name="judge")(self._deliver)
        self._app.on_partitions_revoked.connect(self._on_revoked)
        self._app.on_partitions_assigned.connect(self._on_assigned)

    @property
    def agent(self) -> Any:
        """The agent, for running it without brokers."""
        return self._agent

    async def start(self) -> None:
        """Join the group; returns before there is an assignment."""
        await self._app.start()

    def check(self) -> None:
        """Raise unless Faust works.

        Raises:
            RuntimeError: a part of it has crashed, and it would do nothing any more.
        """
        if self._app.should_stop:
            raise RuntimeError(f"the stream library stopped: {self._app.crash_reason!r}")

    async def stop(self) -> None:
        """Leave the group."""
        self.member = False
        await self._app.stop()

    def _channel(self) -> Any:
        return self._app.topic(
            self._topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", internal=False
        )

    async def _deliver(self, stream: Any) -> None:
        delivered = self._receiver.delivered
        since = 0
        async for event in stream.events():
            message = event.message
            written_ms = int((message.timestamp or 0) * 1000)
            delivered(message.partition, message.offset, message.value or b"", written_ms)
            since += 1
            if since >= BREATH:
                since = 0
                await asyncio.sleep(0)

    async def _on_revoked(self, _app: Any, revoked: Any, **_more: Any) -> None:
        self.member = False
        self._receiver.revoked(self._numbers(revoked))

    async def _on_assigned(self, _app: Any, assigned: Any, **_more: Any) -> None:
        self.member = True
        self._receiver.assigned(self._numbers(assigned))

    def _numbers(self, partitions: Iterable[Any]) -> list[int]:
        return [tp.partition for tp in partitions if tp.topic == self._topic]


def make_app(settings: ReaderSettings) -> Any:
    """Return a Faust application of its own: any number of them may run on a host, from one folder."""
    logging.getLogger("faust").setLevel(logging.WARNING)
    logging.getLogger("mode").setLevel(logging.WARNING)
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
    return _App(
        settings.group,
        broker=[f"aiokafka://{server}" for server in settings.servers],
        broker_credentials=_credentials(settings.security),
        store="memory://",
        web_enabled=False,
        # two workers of one url would take each other for themselves; nobody ever connects to it
        canonical_url=f"http://127.0.0.1:1/{secrets.token_hex(8)}",
        autodiscover=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        broker_session_timeout=SESSION_S,
        broker_heartbeat_interval=HEARTBEAT_S,
        broker_rebalance_timeout=REBALANCE_S,
        broker_request_timeout=REQUEST_S,
        broker_max_poll_records=MOST_RECORDS,
        stream_buffer_maxsize=MOST_RECORDS,
        stream_wait_empty=False,
        consumer_auto_offset_reset="latest",  # what lies before was read from the log when the partition was opened
    )


def _credentials(security: KafkaSecurity) -> Any:
    """Return the same as Faust's own. Raises ConfigurationError where a file of TLS cannot be used."""
    context = security.context()
    if context is None:
        return None
    if not security.user:
        return SSLCredentials(context)
    return SASLCredentials(
        username=security.user,
        password=security.client_password(),
        mechanism=security.mechanism.value,
        ssl_context=context,
    )
