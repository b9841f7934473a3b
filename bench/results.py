"""Results: points a second into the spool, out of it to InfluxDB 1.x and to results.db; events a second measured.

``python -m bench.results [--points N]``. InfluxDB is Debian's, on this machine: its own work is part of the wall time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from app.wiring.logs import configure_logs
from app.wiring.rule_facts import finding_facts
from bench.engine import cut, lived
from bench.figures import Figure, show
from contracts.batch import decode_batch, encode_batch
from contracts.events import DeviceConfigured, PlaceConfigured
from contracts.findings import Finding, Phase, Subject, SubjectKind, finding_id
from inventory.directory import MemoryDirectory
from streams.results.influx import Influx, InfluxCredentials
from streams.results.influx_url import parse_influx
from streams.results.log_measures import LogMeasures
from streams.results.points import Point, finding_point, point
from streams.results.sender import ResultsAlarm, ResultsSender
from streams.results.spool import PointSpool, SourceBatch
from streams.results.sqlite import SqliteResults
from streams.results.target import PointStore
from tests.support.influx import influxd

T0 = 1_795_400_000_000
STEP_POINTS = 500
SITES = 40
RULES = sorted(finding_facts().items(), key=lambda entry: entry[0])


class Speed(msgspec.Struct, frozen=True):
    """How long so many took."""

    count: int
    wall_s: float
    cpu_s: float

    def shown(self) -> str:
        """Return a second of wall time, and of this process's CPU."""
        return f"{self.count / self.wall_s:,.0f}/s ({self.count / self.cpu_s:,.0f}/s of CPU)"


def points_of(count: int) -> list[Point]:
    """Return half findings with keys of their own, half aggregates, over 40 sites."""
    found = []
    for n in range(count // 2):
        site, at_ms = f"s{n % SITES}", T0 + n * 40
        found.append(finding_point(_finding(site, n, at_ms)))
        fields = {"known": 50, "heard": n % 50, "offline": n % 3, "unhealthy": 0, "events": n, "stored": 0}
        found.append(point("devices", {"site": site, "class": "meter"}, dict(fields), at_ms))
    return found


def spooled(spool: PointSpool, points: Sequence[Point]) -> Speed:
    """Measure the way into the spool, durably, 500 a step."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    for n in range(0, len(points), STEP_POINTS):
        spool.append([SourceBatch("bench", "one", n, points[n : n + STEP_POINTS])], T0)
    return Speed(len(points), time.perf_counter() - wall_s, time.process_time() - cpu_s)


def sent(spool: PointSpool, target: PointStore) -> Speed:
    """Measure the way out of the spool."""
    sender = ResultsSender(spool, target, lambda: T0, _nobody)
    wall_s, cpu_s, count = time.perf_counter(), time.process_time(), 0
    while taken := sender.step():
        count += taken
    return Speed(count, time.perf_counter() - wall_s, time.process_time() - cpu_s)


def measured(records: Sequence[bytes], book: MemoryDirectory, events: int) -> Speed:
    """Measure encoded batches into measurements, state kept every 64."""
    measures, rows = LogMeasures("log/0", book, lambda _key: None), 0
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    for n, record in enumerate(records):
        measures.feed(decode_batch(record))
        if n % 64 == 63:
            rows += len(measures.rows())
    return Speed(events, time.perf_counter() - wall_s, time.process_time() - cpu_s)


def figures(count: int) -> Iterator[Figure]:
    """Yield every figure of this bench."""
    points = points_of(count)
    with tempfile.TemporaryDirectory() as name, influxd(Path(name)) as server:
        folder = Path(name)
        spool = PointSpool(folder / "spool.db")
        yield Figure("points into the spool, durable", spooled(spool, points).shown())
        influx = Influx(parse_influx(f"influx://127.0.0.1:{server.port}/linli?version=1"), InfluxCredentials())
        yield Figure("points from the spool into InfluxDB 1.6", sent(spool, influx).shown())
        influx.close()
        spool.close()
        second, store = PointSpool(folder / "second.db"), SqliteResults(folder / "results.db")
        spooled(second, points)
        yield Figure("points from the spool into results.db, durable", sent(second, store).shown())
        second.close()
        store.close()
    yield Figure("events of the log into measurements", _measured_life(60_000).shown())


def _measured_life(count: int) -> Speed:
    events = lived(count, seed=1)
    book = MemoryDirectory(e for e in events if isinstance(e, PlaceConfigured | DeviceConfigured))
    records = [encode_batch(batch) for batch in cut(events, 8)]
    return measured(records, book, len(events))


def _finding(site: str, n: int, at_ms: int) -> Finding:
    rule, facts = RULES[n % len(RULES)]
    own = finding_id(site, rule, f"door-{n}", at_ms, None, 0)
    return Finding(
        finding_id=own,
        open_id=own,
        nth=0,
        site_id=site,
        rule=rule,
        key=f"door-{n}",
        phase=Phase.OPEN,
        subject=Subject(SubjectKind.PLACE, f"door-{n}"),
        place_id="door",
        onset_ms=at_ms,
        onset_event_id=None,
        decided_ms=at_ms,
        due_ms=at_ms + 200,
        severity=facts.severity,
    )


def _nobody(_alarm: ResultsAlarm, _detail: str) -> None:
    pass


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=200_000)
    options = parser.parse_args()
    configure_logs()
    show(f"python -m bench.results --points {options.points}", list(figures(options.points)))


if __name__ == "__main__":
    main()
