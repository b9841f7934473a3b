"""``linli hold``: legal holds, which keep what they cover from being deleted or erased."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from app.cli.command_line import pass_settings
from app.settings.settings import Settings
from app.wiring.known_sites import need_site
from app.wiring.stores import open_incidents
from governance.holds import add_hold, end_hold, standing_holds
from system.clock import wall_ms


@click.group("hold")
@click.option("--config", type=click.Path(path_type=Path), help="settings file (default: linli.toml here, if any)")
@click.pass_context
def command(context: click.Context, config: Path | None) -> None:
    """Keep an incident, or all of a site, from retention and erasure for as long as somebody needs it as proof.

    A hold on an incident keeps its rows and evidence, and the site's segments in the archive. Both steps are audited.
    """
    context.obj = config


@command.command("add")
@click.option("--site", required=True, help="the site's id")
@click.option("--incident", help="only this incident (its id or number); without it the whole site")
@click.option("--reason", required=True, help="why, with a file number; nobody's name")
@pass_settings
def add(settings: Settings, site: str, incident: str | None, reason: str) -> None:
    """Begin a hold; prints its id."""
    need_site(settings, site)
    store = open_incidents(settings)
    try:
        with store.write() as connection:
            hold = add_hold(connection, site, incident, reason, "cli", wall_ms())
    finally:
        store.close()
    click.echo(hold.hold_id)


@command.command("remove")
@click.argument("hold")
@pass_settings
def remove(settings: Settings, hold: str) -> None:
    """End HOLD. What it covered goes when its time is over; ask for an erasure that it prevented again."""
    store = open_incidents(settings)
    try:
        with store.write() as connection:
            end_hold(connection, hold, "cli", wall_ms())
    finally:
        store.close()
    click.echo(f"{hold} has ended", err=True)


@command.command("list")
@pass_settings
def list_holds(settings: Settings) -> None:
    """Print the holds that stand, one a line: id, site, incident or -, since when, reason."""
    store = open_incidents(settings)
    try:
        with store.read() as connection:
            holds = standing_holds(connection)
    finally:
        store.close()
    for hold in holds:
        since = datetime.datetime.fromtimestamp(hold.since_ms / 1000, tz=datetime.UTC)
        click.echo(f"{hold.hold_id}\t{hold.site_id}\t{hold.incident_id or '-'}\t{since:%Y-%m-%d}\t{hold.reason}")
    if not holds:
        click.echo("no holds", err=True)
