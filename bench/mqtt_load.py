"""The sender of the mix: a frugal MQTT 3.1.1 client over a few sockets, in a process of its own.

    python -m bench.mqtt_load --url mqtt://127.0.0.1:1883 --rate 3000 --seconds 60 --start-ms 1795392000000

A device's messages keep their order: a community's all go over one connection. QoS 1 with up to 20,000 messages a
connection in flight; a PUBACK is counted, not matched, for nothing is ever sent again: what stays unconfirmed is said
in the end. ``--until-stopped`` sends until standard input ends. The result is one line of JSON.
"""

from __future__ import annotations

import argparse
import socket
import sys
import threading
import time
import zlib
from collections import defaultdict

import msgspec

from bench.lanes import Line, due
from bench.mix import Mix
from ingest.settings import broker_address
from system.clock import wall_ms

CONNECTIONS = 4
WINDOW = 20_000
"""Less than the protocol's 65,535 numbers, so that none is used twice at a time."""
TICK_S = 0.005
SETTLE_S = 20.0
_PUBACK_BYTES = 4


class Sent(msgspec.Struct):
    """What was sent. ``late_ms``: how far behind its schedule the sender was at worst."""

    from_ms: int = 0
    to_ms: int = 0
    messages: int = 0
    unconfirmed: int = 0
    late_ms: int = 0
    cpu_s: float = 0.0


def remaining_length(size: int) -> bytes:
    """Return the variable length field of a packet.

    >>> remaining_length(321).hex()
    'c102'
    """
    out = bytearray()
    while True:
        size, digit = divmod(size, 128)
        out.append(digit | (0x80 if size else 0))
        if not size:
            return bytes(out)


def publish_packet(topic: bytes, payload: bytes, mid: int = 0, *, retain: bool = False) -> bytes:
    """Return a PUBLISH; ``mid`` 0 is QoS 0.

    >>> publish_packet(b"a/b", b"{}", 10).hex()
    '32090003612f62000a7b7d'
    """
    head = (0x30 | (0x02 if mid else 0) | retain).to_bytes(1, "big")
    name = len(topic).to_bytes(2, "big") + topic
    number = mid.to_bytes(2, "big") if mid else b""
    return b"".join((head, remaining_length(len(name) + len(number) + len(payload)), name, number, payload))


def connect_packet(client_id: str) -> bytes:
    """Return a CONNECT with a clean session and no keepalive: only publishes go out and only PUBACKs come back."""
    body = b"\x00\x04MQTT\x04\x02\x00\x00" + len(client_id).to_bytes(2, "big") + client_id.encode()
    return b"\x10" + remaining_length(len(body)) + body


class Connection:
    """One socket: what is put in goes out with :meth:`flush`."""

    def __init__(self, host: str, port: int, client_id: str) -> None:
        self._socket = socket.create_connection((host, port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(connect_packet(client_id))
        answer = self._socket.recv(4, socket.MSG_WAITALL)
        if answer != b"\x20\x02\x00\x00":
            raise SystemExit(f"the broker refuses {client_id}: {answer.hex()}")
        self._socket.settimeout(None)
        self._out = bytearray()
        self._sent = self._answered_bytes = 0

    @property
    def unconfirmed(self) -> int:
        """Messages of QoS 1 that the broker has not answered."""
        return self._sent - self._answered_bytes // _PUBACK_BYTES

    def put(self, line: Line, payload: bytes) -> None:
        """Add a message."""
        mid = 0
        if line.qos:
            self._sent += 1
            mid = 1 + self._sent % 65_535
        self._out += publish_packet(line.topic, payload, mid, retain=line.retain)

    def flush(self) -> None:
        """Send what was added, and count what was answered; waits while too much is in flight."""
        if self._out:
            self._socket.sendall(self._out)
            self._out.clear()
        self.count()
        while self.unconfirmed > WINDOW:
            time.sleep(TICK_S)  # a non-blocking socket: answers can only be asked for
            self.count()

    def count(self) -> None:
        """Take in the answers that have come."""
        try:
            while answer := self._socket.recv(65_536, socket.MSG_DONTWAIT):
                self._answered_bytes += len(answer)
        except BlockingIOError:
            pass

    def close(self) -> None:
        """Leave in order."""
        self._socket.sendall(b"\xe0\x00")
        self._socket.close()


class Sender:
    """Sends a mix over its connections."""

    def __init__(self, mqtt_url: str, mix: Mix, run: str) -> None:
        address = broker_address(mqtt_url)
        self._run, self._streams = run, mix.streams()
        self._counts: defaultdict[str, int] = defaultdict(int)
        self._of_site = {
            community.site_id: zlib.crc32(community.site_id.encode()) % CONNECTIONS for community in mix.communities
        }
        self._connections = [
            Connection(address.host, address.port, f"load-{run}-{number}") for number in range(CONNECTIONS)
        ]

    def send(self, seconds: float, stop: threading.Event) -> Sent:
        """Send for so long, or until ``stop``."""
        cpu_s, began_s, at_s = time.process_time(), time.monotonic(), 0.0
        sent = Sent(from_ms=wall_ms())
        while at_s < seconds and not stop.is_set():
            to_s = min(time.monotonic() - began_s, seconds)
            sent.late_ms = max(sent.late_ms, int((to_s - at_s - TICK_S) * 1_000))
            sent.messages += self._tick(at_s, to_s)
            at_s = to_s
            time.sleep(TICK_S)  # the tick of the load
        sent.to_ms = wall_ms()
        self._settle()
        sent.unconfirmed = sum(connection.unconfirmed for connection in self._connections)
        sent.cpu_s = time.process_time() - cpu_s
        for connection in self._connections:
            connection.close()
        return sent

    def _tick(self, from_s: float, to_s: float) -> int:
        now_ms = wall_ms()
        messages = due(self._streams, from_s, to_s)
        for line, number in messages:
            self._counts[line.speaker] = n = self._counts[line.speaker] + 1
            payload = line.payload(self._run, n, now_ms, number)
            self._connections[self._of_site[line.site_id]].put(line, payload)
        for connection in self._connections:
            connection.flush()
        return len(messages)

    def _settle(self) -> None:
        end_s = time.monotonic() + SETTLE_S
        while any(c.unconfirmed for c in self._connections) and time.monotonic() < end_s:
            time.sleep(TICK_S)  # answers can only be asked for
            for connection in self._connections:
                connection.count()


def main() -> None:
    """Send, and print what was sent."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--start-ms", type=int, required=True, help="of the district's history")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--until-stopped", action="store_true", help="end early when standard input does")
    options = parser.parse_args()
    mix = Mix(options.rate, options.start_ms, options.seed)
    sender = Sender(options.url, mix, f"{wall_ms():x}")
    stop = threading.Event()
    if options.until_stopped:
        threading.Thread(target=_until_input_ends, args=(stop,), daemon=True).start()
    print(msgspec.json.encode(sender.send(options.seconds, stop)).decode(), flush=True)


def _until_input_ends(stop: threading.Event) -> None:
    sys.stdin.read()
    stop.set()


if __name__ == "__main__":
    main()
