"""``linli console run``: the district's process with the page, its API and the boxes' uploads."""

from __future__ import annotations

from pathlib import Path

import click

from app.settings.loading import load_settings


@click.group("console")
def command() -> None:
    """Serve the page of a district; one machine has it inside `linli run`."""


@command.command("run")
@click.option("--config", type=click.Path(path_type=Path), help="settings file (default: linli.toml here, if any)")
def run(config: Path | None) -> None:
    """Serve the page, its API and the boxes' uploads over the incidents that `linli incidents run` makes.

    When devices were last heard is read from the log, from ten minutes before the start on. Several may run over one
    PostgreSQL if they share evidence.folder. Ctrl-C or SIGTERM ends it in order; servers that are away are waited for.
    The first one makes the user `admin`; its password is in the file first-password, which only its account may read.
    """
    settings = load_settings(config)
    from app.wiring.console_process import wire_console
    from app.wiring.process import run_service

    run_service(wire_console, settings)
