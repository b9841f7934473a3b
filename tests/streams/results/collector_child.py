"""A process that carries results from a folder to an InfluxDB until it is killed: ``feeder_child FOLDER URL``.

After every step it prints how far it has come, so that a test can kill it by progress. ``done`` is printed when the
sources are read to their end and the spool is empty; then it goes on.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import click

from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.log.sqlite.day_log import DayLog
from streams.results.collector import FindingsSource, LogSource, PointCollector, PointSource
from streams.results.influx import Influx, InfluxCredentials
from streams.results.influx_url import parse_influx
from streams.results.sender import ResultsAlarm, ResultsSender
from streams.results.spool import PointSpool
from system.clock import wall_ms
from tests.streams.results.factories import meter_book


def main() -> None:
    """Run until killed."""
    folder, url = Path(sys.argv[1]), sys.argv[2]
    spool = PointSpool(folder / "spool.db")
    log, findings = DayLog(folder / "log"), SqliteCheckpointStore(folder / "engine.db")
    sources: list[PointSource] = [
        LogSource(log, meter_book(6), wall_ms, _told),
        FindingsSource(findings, wall_ms, _told),
    ]
    collector = PointCollector(spool, sources, wall_ms, _told)
    sender = ResultsSender(spool, Influx(parse_influx(url), InfluxCredentials(), timeout_s=2.0), wall_ms, _told)
    stop = threading.Event()
    threading.Thread(target=sender.run, args=(stop,), daemon=True).start()
    while True:
        found = collector.step()
        waiting = spool.depth().points
        click.echo("done" if not found and not waiting else f"waiting {waiting}")
        time.sleep(0.01)


def _told(_alarm: ResultsAlarm, _detail: str) -> None:
    pass


if __name__ == "__main__":
    main()
