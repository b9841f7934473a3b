"""What devices say, sent at the pace of the clock from a thread of its own, and a list of all that was said."""

from __future__ import annotations

import threading
import time

import msgspec

from contracts.names import Channel
from simulator.publish import EventPublisher
from system.clock import wall_ms
from tests.chaos.life import Life, stamped

CONFIRM_S = 120.0


class Said(msgspec.Struct, frozen=True):
    """One event that was handed to the publisher. ``promised``: QoS 1, so that it must arrive."""

    site_id: str
    event_id: str
    from_box: bool
    promised: bool
    at_ms: int


class Talker:
    """Speaks for all devices of ``life`` until the time is over or :meth:`stop`."""

    def __init__(self, url: str, life: Life, seconds: float, password: str = "", ca_file: str = "") -> None:
        self.start_ms = 0
        self._publisher = EventPublisher(url, "linli-chaos-devices", password=password, ca_file=ca_file)
        self._stream = life.stream(f"{wall_ms():x}", seconds)
        self._stop = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.said: list[Said] = []

    def start(self) -> None:
        """Begin."""
        self._publisher.start()
        self._thread.start()

    def finish(self) -> int:
        """Wait for the end; how many messages nobody has confirmed."""
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        self._publisher.wait_confirmed(CONFIRM_S)
        left = self._publisher.unconfirmed()
        self._publisher.stop()
        return left

    def talking(self) -> bool:
        """Whether more is to be said."""
        return self._thread.is_alive()

    def spoken_ms(self) -> tuple[int, int]:
        """When the first and the last thing was said."""
        return self.start_ms, self.said[-1].at_ms

    def stop(self) -> None:
        """Say no more."""
        self._stop.set()

    def _run(self) -> None:
        try:
            self._talk()
        except Exception as error:  # noqa: BLE001 - handed to who waits
            self._failure = error

    def _talk(self) -> None:
        began_s, self.start_ms = time.monotonic(), wall_ms()
        for due_s, topic, event in self._stream:
            if self._stop.wait(max(0.0, due_s - (time.monotonic() - began_s))):
                return
            now_ms = wall_ms()
            self._publisher.send(topic, stamped(event, now_ms))
            promised = topic.channel is not Channel.TELE
            self.said.append(Said(event.site_id, event.event_id, event.spool is not None, promised, now_ms))
