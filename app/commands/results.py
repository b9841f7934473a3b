"""``linli results``: what waits for the store of results, and what it refused."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from app.settings import Settings, load_settings
from contracts.errors import ConfigurationError
from streams.sinks.lines import line_of
from streams.sinks.spool import Spool


@click.group("results")
@click.option("--config", type=click.Path(path_type=Path), help="settings file (default: linli.toml here, if any)")
@click.pass_context
def command(context: click.Context, config: Path | None) -> None:
    """Measurements on their way to SQLite or InfluxDB (results.url).

    They wait in a spool on disk (results.spool) until the store has them, so a store that is away loses nothing. A
    point that the store refuses for good is kept aside with its reason, and its neighbours are written.
    """
    context.obj = load_settings(config)


@command.command("status")
@click.pass_obj
def status(settings: Settings) -> None:
    """Print what waits: points, bytes, since when, and how many were rejected and dropped since the spool was made."""
    spool = _spool(settings)
    depth = spool.depth()
    spool.close()
    since = _time(depth.oldest_ms) if depth.oldest_ms else "-"
    click.echo(f"waiting\t{depth.points}\npending_bytes\t{depth.bytes}\noldest\t{since}")
    click.echo(f"rejected\t{depth.rejected}\ndropped\t{depth.dropped}")


@command.command("rejected")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@click.pass_obj
def rejected(settings: Settings, limit: int) -> None:
    """Print the newest points that the store refused: time, reason, point as line protocol."""
    spool = _spool(settings)
    found = spool.rejected(limit)
    spool.close()
    for at_ms, bad in found:
        click.echo(f"{_time(at_ms)}\t{bad.reason}\t{line_of(bad.point)}")
    if not found:
        click.echo("nothing was rejected", err=True)


def _spool(settings: Settings) -> Spool:
    path = Path(settings["results.spool"])
    if not path.exists():
        raise ConfigurationError(f"results.spool = {str(path)!r}: there is no such file; nothing has run here yet")
    return Spool(path)


def _time(at_ms: int) -> str:
    return datetime.datetime.fromtimestamp(at_ms / 1000, tz=datetime.UTC).isoformat(timespec="milliseconds")
