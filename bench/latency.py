"""How long after it was due a finding is on the feed: ``linli run`` as it is shipped, under a steady rate of messages.

    python -m bench.latency --rate 500 --seconds 60 --broker mosquitto
    python -m bench.latency --rate 200 --seconds 60 --broker amqtt

*Over due* is from the moment a finding was due (its deciding event received, or its deadline, plus the rule's bound)
to its row in ``incidents.db``, which is what the feed reads. *After it happened* is from the deciding moment itself, so
it holds the rule's bound. ``indoor_ebike_charging`` decides when a five-minute block of the clock ends;
``--until-block`` begins the run so that one does. *Sleeps late* is the machine's own noise: how much later than asked
this program woke from 10 ms of sleep. Required over due: p50 ≤ 0.3 s and p99 ≤ 1 s, at 500 events/s with mosquitto and
at 200 with amqtt.
"""

from __future__ import annotations

import argparse
import math
import secrets
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import msgspec
from sqlalchemy import select

from app.wiring.log_loading import load_events
from app.wiring.ports import free_port
from app.wiring.run_child import start_run, wait_until_ready, write_secret
from bench.traffic import BLOCK_MS, Traffic, stamped
from contracts.batch import decode_batch
from contracts.findings import Finding
from delivery.receivers.webhook.stand_in import StandIn
from incidents.store.schema import findings
from incidents.store.store import Store
from inventory.inventory import Inventory
from simulator.publish import EventPublisher
from streams.log.sqlite.day_log import DayLog
from system.clock import wall_ms

HOST = "127.0.0.1"
WARM_UP_S = 5.0
"""Left out: connections, first pages of files."""
SETTLE_S = 4.0
"""After the last message: the longest bound is 2 s."""


class Delay(msgspec.Struct, frozen=True):
    """One finding: ms over due, and ms after the moment that decided it."""

    rule: str
    over_due_ms: int
    after_ms: int


class Run(msgspec.Struct, kw_only=True):
    """What one run came to."""

    broker: str
    wanted_per_s: float
    seconds: float
    sent: int
    logged: int
    unconfirmed: int
    cpu_s: float
    late_ms: list[int]
    delays: list[Delay]

    @property
    def logged_per_s(self) -> float:
        """Events a second that reached the log."""
        return self.logged / self.seconds


class Noise:
    """How late a thread of this program wakes while other things go on: what the machine adds to any latency."""

    def __init__(self) -> None:
        self.late_ms: list[int] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Noise:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.is_set():
            began_s = time.monotonic()
            time.sleep(0.01)  # how much later it ends is what is measured
            self.late_ms.append(round((time.monotonic() - began_s) * 1_000) - 10)


def measure(broker: str, rate_per_s: float, seconds: float, seed: int) -> Run:
    """Return one run in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="linli-latency-") as name:
        folder = Path(name)
        traffic = Traffic(rate_per_s, wall_ms(), seed)
        _set_up(folder, traffic)
        secret = secrets.token_hex(16)
        write_secret(folder, secret)
        mqtt_url = f"mqtt://{HOST}:{free_port(HOST, 0)}"
        port = free_port(HOST, 0)
        with StandIn(secret.encode()) as receiver:
            linli = start_run(folder, mqtt_url=mqtt_url, port=port, webhook_url=receiver.url, broker=broker)
            try:
                wait_until_ready(linli)
                before_s = _cpu_s(linli.pid)
                with Noise() as noise:
                    from_ms, sent, unconfirmed = _publish(mqtt_url, traffic, seconds)
                    time.sleep(SETTLE_S)  # nothing says that a finding is the last: time is what makes it so
                cpu_s = _cpu_s(linli.pid) - before_s
            finally:
                code = linli.stop()
            if code:
                raise SystemExit(f"linli run ended with {code}:\n{linli.tail()}")
        return Run(
            broker=broker,
            wanted_per_s=rate_per_s,
            seconds=seconds,
            sent=sent,
            logged=_logged(folder, from_ms),
            unconfirmed=unconfirmed,
            cpu_s=cpu_s,
            late_ms=noise.late_ms,
            delays=_delays(folder, from_ms + int(WARM_UP_S * 1_000)),
        )


def _set_up(folder: Path, traffic: Traffic) -> None:
    inventory = Inventory(folder / "config.db")
    inventory.put(traffic.records(), actor="bench")
    inventory.close()
    log = DayLog(folder)
    load_events(log, traffic.history())
    log.close()


def _publish(mqtt_url: str, traffic: Traffic, seconds: float) -> tuple[int, int, int]:
    """Send for so long; when it began, how many were sent, and how many nobody has confirmed."""
    publisher = EventPublisher(mqtt_url, "linli-bench")
    publisher.start()
    from_ms, began_s, sent = wall_ms(), time.monotonic(), 0
    for due_s, topic, event in traffic.live():
        if due_s > seconds:
            break
        if (wait_s := due_s - (time.monotonic() - began_s)) > 0.002:  # a finer sleep costs more than it spaces
            time.sleep(wait_s)  # until the message is due
        publisher.send(topic, stamped(event, wall_ms()))
        sent += 1
    publisher.wait_confirmed(5.0)
    unconfirmed = publisher.unconfirmed()
    publisher.stop()
    return from_ms, sent, unconfirmed


def _cpu_s(pid: int) -> float:
    import psutil

    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _logged(folder: Path, from_ms: int) -> int:
    log = DayLog(folder)
    position, count = log.begin(), 0
    while records := log.read(position, 512):
        batches = [decode_batch(record.data) for record in records]
        count += sum(event.received_ms >= from_ms for batch in batches for event in batch.events)
        position += len(records)
    log.close()
    return count


def _delays(folder: Path, from_ms: int) -> list[Delay]:
    store = Store(f"sqlite:///{folder / 'incidents.db'}")
    query = select(findings.c.content, findings.c.taken_ms).where(findings.c.due_ms >= from_ms)
    with store.read() as connection:
        rows = [
            (msgspec.json.decode(content, type=Finding), taken_ms) for content, taken_ms in connection.execute(query)
        ]
    store.close()
    return [Delay(one.rule, taken_ms - one.due_ms, taken_ms - one.decided_ms) for one, taken_ms in rows]


def quantile_ms(values: Sequence[int], q: float) -> int:
    """Return the nearest-rank quantile; 0 of nothing."""
    return sorted(values)[max(0, math.ceil(q * len(values)) - 1)] if values else 0


def report(run: Run) -> str:
    """Return the run as Markdown."""
    by_rule: dict[str, list[Delay]] = defaultdict(list)
    for delay in run.delays:
        by_rule[delay.rule].append(delay)
    minutes = (run.seconds - WARM_UP_S) / 60
    lines = [
        f"{run.broker}: {run.logged_per_s:.0f} events/s in the log ({run.sent} messages sent, {run.unconfirmed} not "
        f"confirmed), `linli run` used {run.cpu_s / run.seconds:.0%} of a core. Sleeps late: p99 "
        f"{quantile_ms(run.late_ms, 0.99)} ms, at most {max(run.late_ms, default=0)} ms.",
        "",
        "| rule | findings/min | over due p50 ms | p99 ms | max ms | after it happened p50 ms | p99 ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for rule, delays in [*sorted(by_rule.items()), ("**all**", run.delays)]:
        over, after = [d.over_due_ms for d in delays], [d.after_ms for d in delays]
        lines.append(
            f"| {rule} | {len(delays) / minutes:.1f} | {quantile_ms(over, 0.5)} | {quantile_ms(over, 0.99)} | "
            f"{max(over, default=0)} | {quantile_ms(after, 0.5)} | {quantile_ms(after, 0.99)} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run from the command line; figures on stdout, progress on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=500.0, help="messages a second")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--broker", choices=("mosquitto", "amqtt"), default="mosquitto")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--until-block", action="store_true", help="wait so that a five-minute block ends in the run")
    options = parser.parse_args()
    if options.until_block:
        _wait_for_block(options.seconds)
    run = measure(options.broker, options.rate, options.seconds, options.seed)
    print(f"python -m bench.latency --rate {options.rate:g} --seconds {options.seconds:g} --broker {options.broker}\n")
    print(report(run))


def _wait_for_block(seconds: float) -> None:
    left_s = BLOCK_MS / 1_000 - wall_ms() % BLOCK_MS / 1_000
    wait_s = left_s - seconds * 0.7
    if wait_s > 0:
        print(f"waiting {wait_s:.0f} s, so that a block ends in the run", file=sys.stderr)
        time.sleep(wait_s)  # a block of a meter ends by the wall clock


if __name__ == "__main__":
    main()
