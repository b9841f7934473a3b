"""A platform in miniature for a box to talk to: mosquitto, and a subscriber that keeps rows and answers ``got``.

It keeps what a durable log would: per lane a high-water mark, rows above it kept once, everything answered; a row whose
forerunners got lost on the way (the broker died, nobody had subscribed yet) is not taken before them.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


PATIENCE_S = 60.0
"""How long a test waits for what must come; it goes on as soon as it has come. Only a failure takes so long."""


def wait_for(condition: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """Return as soon as ``condition`` holds; fail the test when it does not within ``patience_s``."""
    deadline_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline_s, f"not within {patience_s:.0f} s: {what}"
        time.sleep(0.05)


def mosquitto_path() -> str:
    """The broker's program; skips the test when it is not installed, which in CI is a failure."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        assert not os.environ.get("CI"), "mosquitto is not installed"
        pytest.skip("mosquitto is not installed")
    return found


@contextmanager
def broker(port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A mosquitto on the loopback; killed at the end."""
    config = folder / f"mosquitto-{port}.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n")
    process = subprocess.Popen(
        [mosquitto_path(), "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: _answers(port), "mosquitto listens")
        yield process
    finally:
        process.kill()
        process.wait()


class Platform:
    """Keeps rows as the platform's log and engine together would, and acknowledges them.

    ``kept``: every row taken, once, in order. ``messages``: everything that came, duplicates too. ``answering`` False
    takes rows without a word, like a platform that dies before its append is durable.
    """

    def __init__(self, port: int, site_id: str, box_id: str) -> None:
        self.kept: list[dict[str, Any]] = []
        self.messages = 0
        self.answering = True
        self.out_of_turn = 0
        self._marks: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()
        self._topic = f"linli/v1/{site_id}/edge/{box_id}"
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="platform", clean_session=False)
        self._client.on_connect = lambda client, *_: client.subscribe(f"{self._topic}/evt", qos=1)
        self._client.on_message = lambda _client, _data, message: self._take(bytes(message.payload))
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        """The rows kept of one kind."""
        with self._lock:
            return [row for row in self.kept if row["kind"] == kind]

    def _take(self, payload: bytes) -> None:
        row = json.loads(payload)
        mark = row["spool"]
        lane = (mark["spool_id"], mark["lane"])
        with self._lock:
            self.messages += 1
            if not self.answering:
                return
            taken = self._marks.get(lane, 0)
            if mark["seq"] - 1 > max(taken, mark["first"] - 1):
                self.out_of_turn += 1
            elif mark["seq"] > taken:
                self._marks[lane] = mark["seq"]
                self.kept.append(row)
            through = {"spool_id": mark["spool_id"], "lane": mark["lane"], "through_seq": self._marks.get(lane, 0)}
        self._client.publish(f"{self._topic}/got", json.dumps(through), qos=1)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0
