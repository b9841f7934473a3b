"""``linli incidents run``: the district's process that makes incidents of findings and tells receivers."""

from __future__ import annotations

from pathlib import Path

import click

from app.settings.loading import load_settings


@click.group("incidents")
def command() -> None:
    """Serve the incidents of a district; one machine does this inside `linli run`."""


@command.command("run")
@click.option("--config", type=click.Path(path_type=Path), help="settings file (default: linli.toml here, if any)")
def run(config: Path | None) -> None:
    """Make incidents of what `linli streams run` found, tell receivers, and look over all of it.

    Findings are read where log.url is, incidents lie at incidents.url. With PostgreSQL any number of these may run, on
    one host or several: each partition, receiver and the stuck-work monitor are worked by one at a time, and what a
    dead one had is taken over. Ctrl-C or SIGTERM ends it in order; killed, it goes on where it was. Servers that are
    away are waited for.
    """
    settings = load_settings(config)
    from app.wiring.incidents_process import wire_incidents
    from app.wiring.process import run_service

    run_service(wire_incidents, settings)
