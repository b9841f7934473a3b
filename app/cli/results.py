"""``linli results``: carry a district's results; what waits for their store, and what it refused."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from app.settings.loading import load_settings
from app.settings.settings import Settings
from contracts.errors import ConfigurationError
from streams.results.lines import line_of
from streams.results.spool import PointSpool

_CONFIG = click.option(
    "--config", type=click.Path(path_type=Path), help="settings file (default: linli.toml here, if any)"
)


@click.group("results")
def command() -> None:
    """Send measurements on their way to SQLite or InfluxDB (results.url).

    They wait in a spool on disk (results.spool) until the store has them, so a store that is away loses nothing. A
    point that the store refuses for good is kept aside with its reason, and its neighbours are written.
    """


@command.command("run")
@_CONFIG
def run(config: Path | None) -> None:
    """Carry a district's results: its log, findings and incidents, to the store that results.url names.

    One process. It reads on its own and holds up nobody; servers that are away are waited for. Ctrl-C or SIGTERM ends
    it in order; killed, it goes on where the spool says it was. On one machine `linli run` does this itself.
    """
    from app.wiring.process import run_service
    from app.wiring.results_process import wire_results

    run_service(wire_results, load_settings(config))


@command.command("status")
@_CONFIG
def status(config: Path | None) -> None:
    """Print what waits: points, bytes, since when, and how many were rejected and dropped since the spool was made."""
    spool = _spool(load_settings(config))
    depth = spool.depth()
    spool.close()
    since = _time(depth.oldest_ms) if depth.oldest_ms else "-"
    click.echo(f"waiting\t{depth.points}\npending_bytes\t{depth.bytes}\noldest\t{since}")
    click.echo(f"rejected\t{depth.rejected}\ndropped\t{depth.dropped}")


@command.command("rejected")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@_CONFIG
def rejected(config: Path | None, limit: int) -> None:
    """Print the newest points that the store refused: time, reason, point as line protocol."""
    spool = _spool(load_settings(config))
    found = spool.rejected(limit)
    spool.close()
    for at_ms, bad in found:
        click.echo(f"{_time(at_ms)}\t{bad.reason}\t{line_of(bad.point)}")
    if not found:
        click.echo("nothing was rejected", err=True)


def _spool(settings: Settings) -> PointSpool:
    path = settings.results.spool
    if not path.exists():
        raise ConfigurationError(f"results.spool = {str(path)!r}: there is no such file; nothing has run here yet")
    return PointSpool(path)


def _time(at_ms: int) -> str:
    return datetime.datetime.fromtimestamp(at_ms / 1000, tz=datetime.UTC).isoformat(timespec="milliseconds")
