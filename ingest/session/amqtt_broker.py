"""The broker for a machine without mosquitto: amqtt in this process, in a thread and event loop of its own.

What it cannot do, and what follows: it speaks MQTT 3.1.1 only; it keeps sessions in memory, so whatever waits in it is
lost when this process ends (boxes resend from their spools, others' gap is announced); a delivery that is not answered
within 5 s, or is under way when a client disconnects, is dropped; it delivers at the subscriber's QoS; a few hundred
events a second are its limit; a client that connects is sent retained messages that it did not ask for; a session that
a second client takes over may go deaf, which the shard notices by its probes. It listens on loopback only, since it
checks nobody.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

from amqtt.broker import Broker  # type: ignore[import-untyped]
from amqtt.plugins.base import BaseAuthPlugin  # type: ignore[import-untyped]
from amqtt.session import Session  # type: ignore[import-untyped]

from contracts.errors import Permanent

START_S = 15.0
STOP_S = 10.0


class Loopback(BaseAuthPlugin):  # type: ignore[misc]
    """Lets everyone in. Unlike amqtt's own anonymous plugin it does not mark them anonymous: their sessions persist."""

    async def authenticate(self, *, session: Session) -> bool | None:
        """Return True."""
        return session is not None


class _Broker(Broker):  # type: ignore[misc]
    """amqtt's broker, which leaves connections open when it stops; here they are closed."""

    def __init__(self, config: dict[str, Any], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(config, loop=loop)
        self._writers: set[asyncio.StreamWriter] = set()

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        """Serve one client."""
        self._writers.add(writer)
        try:
            await super().stream_connected(reader, writer, listener_name)
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _publish_session_retained_messages(self, session: Session) -> None:
        """Deliver what waited for a session that was away. amqtt would mark it as retained, which it is not."""
        handler = self._get_handler(session)
        under_way = []
        while handler and not session.retained_messages.empty():
            kept = await session.retained_messages.get()
            under_way.append(asyncio.ensure_future(handler.mqtt_publish(kept.topic, kept.data, kept.qos, retain=False)))
        if under_way:
            await asyncio.wait(under_way)

    async def hang_up(self) -> None:
        """Close every connection."""
        writers = list(self._writers)
        for writer in writers:
            writer.close()
        await asyncio.sleep(0.05)  # transports close in the loop's next turns


class AmqttBroker:
    """amqtt on 127.0.0.1:``port``."""

    name = "amqtt"
    protocol = "3.1.1"

    def __init__(self, port: int) -> None:
        self.port = port
        logging.getLogger("amqtt").setLevel(logging.CRITICAL)  # it reports every client that hangs up, with a traceback
        logging.getLogger("transitions").setLevel(logging.ERROR)
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._stopping = asyncio.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="linli-amqtt", daemon=True)
        self._thread.start()
        if not self._started.wait(START_S) or self._failure is not None:
            raise Permanent(f"the built-in broker did not start on port {port}: {self._failure}")

    @property
    def url(self) -> str:
        """``mqtt://127.0.0.1:PORT``."""
        return f"mqtt://127.0.0.1:{self.port}"

    def running(self) -> bool:
        """Return whether it still runs."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End it; what waits in it is lost."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(STOP_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except Exception as error:  # noqa: BLE001 - the boundary of the thread: handed to whoever waits for the start
            self._failure = error
            self._started.set()
        finally:
            self._loop.run_until_complete(_cancel_rest())
            self._loop.close()

    async def _serve(self) -> None:
        broker = _Broker(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}},
                "plugins": {f"{Loopback.__module__}.{Loopback.__qualname__}": {}},
            },
            loop=self._loop,
        )
        await broker.start()
        self._started.set()
        await self._stopping.wait()
        await broker.shutdown()
        await broker.hang_up()


async def _cancel_rest() -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
