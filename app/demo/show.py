"""The demo's course: set up, live for a while, let deliveries finish, end everything, count."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator

from sqlalchemy import func, select

from app.demo.audit import Published, Report, audit
from app.demo.stage import Stage
from contracts.events import AnyEvent
from contracts.incidents import DeliveryState
from contracts.names import Topic
from incidents.store.schema import deliveries
from incidents.store.store import Store
from simulator.publish import EventPublisher, publish_all
from simulator.topics import payload_of
from system.clock import wall_ms

FINISH_S = 12.0
"""How long open deliveries get after publishing has stopped."""
SETTLE_S = 3.0
"""The longest bound of a rule (2 s) and the way from broker to log: after it nothing new falls due but deadlines."""


class Show:
    """One run of the demo."""

    def __init__(self, stage: Stage, say: Callable[[str], None]) -> None:
        self._stage = stage
        self._say = say
        self._published: dict[str, Published] = {}
        self._over = threading.Event()

    def stop(self) -> None:
        """End the live part now."""
        self._over.set()

    def run(self, seconds: float | None) -> Report:
        """Live for ``seconds`` (None: until :meth:`stop`), then end in order and count."""
        stage = self._stage
        publisher = EventPublisher(stage.mqtt_url, "linli-demo")
        publisher.start()
        live_ms = wall_ms()
        thread = threading.Thread(target=self._publish, args=(publisher, live_ms), name="demo-life", daemon=True)
        thread.start()
        end_s = time.monotonic() + seconds if seconds is not None else None
        while not self._over.wait(0.5) and (end_s is None or time.monotonic() < end_s):
            stage.keep_alive()
        self._over.set()
        thread.join(5.0)
        return self._finish(publisher, live_ms)

    def _finish(self, publisher: EventPublisher, live_ms: int) -> Report:
        stage = self._stage
        deadline_s = time.monotonic() + FINISH_S
        stage.stop_box()
        publisher.wait_confirmed(max(0.0, deadline_s - time.monotonic()))
        publisher.stop()
        time.sleep(SETTLE_S)  # nothing says that a finding is the last: time is what makes it so
        while time.monotonic() < deadline_s and self._open_deliveries():
            time.sleep(0.2)  # deliveries belong to another process: its database can only be asked
        stage.stop_linli()
        return audit(stage.folder, self._published, stage.receiver, live_ms)

    def _open_deliveries(self) -> int:
        store = Store(f"sqlite:///{self._stage.folder / 'incidents.db'}")
        try:
            with store.read() as connection:
                pending = deliveries.c.state == DeliveryState.PENDING.value
                return int(connection.execute(select(func.count()).where(pending)).scalar_one())
        finally:
            store.close()

    def _publish(self, publisher: EventPublisher, live_ms: int) -> None:
        publish_all(publisher, self._noted(self._stage.script.live(live_ms, with_bad=True)), stop=self._over.is_set)

    def _noted(self, timed: Iterator[tuple[float, Topic, AnyEvent]]) -> Iterator[tuple[float, Topic, AnyEvent]]:
        """Yield the stream, each event noted when it is about to be sent."""
        for due_s, topic, event in timed:
            yield due_s, topic, event
            digest = hashlib.sha256(payload_of(event)).hexdigest()
            self._published[digest] = Published(event.site_id, event.event_id, event.spool is not None)
