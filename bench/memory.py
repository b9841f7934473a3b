"""How much memory ``linli run`` holds over a large inventory: 5,856 devices, 20,000 visitors registered at one site.

Run: ``python -m bench.memory [--registrations N] [--rate N] [--seconds N]``. All of the platform is one process there:
ingest, rules, incidents, deliveries, results and the page; a process of a district holds less. The inventory is
followed into a log, judged and saved, then devices speak, and the page's lists are asked for. What counts is the most
that one process held. Required: 300 MB.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from app.wiring.ports import free_port
from app.wiring.run_child import start_run, wait_until_ready
from bench.figures import Figure, show
from bench.latency import HOST
from bench.mix import Mix
from bench.processes import Processes
from contracts.batch import decode_batch
from contracts.durations import DAY_MS
from contracts.events import CONFIG_SOURCE, Configuration, ConfigurationRecord, VisitorRegistered
from inventory.inventory import Inventory
from streams.log.sqlite.day_log import DayLog
from system.clock import wall_ms

MOST_MB = 300.0
FOLLOW_S = 300.0
LOOK_S = 0.2
SAVED_S = 25.0
"""After the last record: each changed site's row is written within ten seconds, and twice is safer than once."""


class Held(msgspec.Struct, frozen=True):
    """How long the inventory took to be in the log and judged, and the most that one process held."""

    records: int
    followed_s: float
    peak_mb: float


def measure(folder: Path, registrations: int, rate_per_s: float, seconds: float) -> Held:
    """Return one run in ``folder``."""
    mix = Mix(rate_per_s, wall_ms(), 1)
    records = [*mix.records(), *_registered(mix.records()[0].site_id, registrations)]
    inventory = Inventory(folder / "config.db")
    inventory.put(records, actor="bench", now_ms=wall_ms())
    inventory.close()
    url = f"mqtt://{HOST}:{free_port(HOST, 0)}"
    linli = start_run(folder, mqtt_url=url, port=free_port(HOST, 0), broker="mosquitto")
    processes = Processes({"linli": linli.pid})
    began_s = time.monotonic()
    try:
        wait_until_ready(linli)
        log = _Following(folder)
        while (count := log.count()) < len(records):
            processes.look()
            if time.monotonic() - began_s > FOLLOW_S:
                raise SystemExit(f"{count} of {len(records)} records in the log:\n{linli.tail()}")
            time.sleep(LOOK_S)  # until it has followed more
        followed_s = time.monotonic() - began_s
        _speak(url, rate_per_s, seconds, mix.start_ms, processes)
        end_s = time.monotonic() + SAVED_S
        while time.monotonic() < end_s:
            processes.look()
            time.sleep(LOOK_S)  # between two looks at its memory
    finally:
        code = linli.stop()
    if code:
        raise SystemExit(f"linli run ended with {code}:\n{linli.tail()}")
    return Held(len(records), followed_s, processes.peak_mb["linli"])


def _registered(site_id: str, count: int) -> Iterator[Configuration]:
    now_ms = wall_ms()
    for n in range(count):
        yield VisitorRegistered(
            event_id="",
            site_id=site_id,
            source_id=CONFIG_SOURCE,
            place_id=site_id,
            at_ms=now_ms,
            version=0,
            registration_id=f"visit-{n:06d}",
            host_place_id=f"b{n % 2 + 1}u{n % 3 + 1}-{n % 12 + 1:02d}01",
            party_size=n % 4 + 1,
            from_ms=now_ms + n % 24 * DAY_MS // 24,
            to_ms=now_ms + (n % 24 + 3) * DAY_MS // 24,
            door_ids=(f"b{n % 2 + 1}u{n % 3 + 1}-door",) if n % 3 else (),
        )


class _Following:
    """Counts the records of configuration in a log that grows."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._position, self._count = folder, 0, 0

    def count(self) -> int:
        """Return how many there are now."""
        log = DayLog(self._folder, readonly=True)
        while self._position < log.end() and (records := log.read(self._position, 512)):
            batches = [decode_batch(record.data) for record in records]
            self._count += sum(isinstance(event, ConfigurationRecord) for batch in batches for event in batch.events)
            self._position += len(records)
        log.close()
        return self._count


def _speak(url: str, rate_per_s: float, seconds: float, start_ms: int, processes: Processes) -> None:
    said = ["--rate", str(rate_per_s), "--seconds", str(seconds), "--start-ms", str(start_ms)]
    load = subprocess.Popen([sys.executable, "-m", "bench.mqtt_load", "--url", url, *said], stdout=subprocess.DEVNULL)
    while load.poll() is None:
        processes.look()
        time.sleep(LOOK_S)  # between two looks at its memory
    if load.returncode:
        raise SystemExit(f"the sender ended with {load.returncode}")


def figures(registrations: int = 20_000, rate_per_s: float = 300.0, seconds: float = 20.0) -> Iterator[Figure]:
    """Yield the most memory that ``linli run`` held."""
    with tempfile.TemporaryDirectory(prefix="linli-memory-") as folder:
        held = measure(Path(folder), registrations, rate_per_s, seconds)
    yield Figure(f"{held.records} records of configuration in the log", f"{held.followed_s:.0f} s")
    met = held.peak_mb <= MOST_MB
    yield Figure("most memory of `linli run`", f"{held.peak_mb:.0f} MB", f"≤ {MOST_MB:.0f} MB", met=met)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--registrations", type=int, default=20_000)
    parser.add_argument("--rate", type=float, default=300.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    show(
        f"python -m bench.memory --registrations {options.registrations}",
        figures(options.registrations, options.rate, options.seconds),
    )


if __name__ == "__main__":
    main()
