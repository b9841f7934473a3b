"""``linli run``: one community on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from app.settings import load_settings
from contracts.errors import ConfigurationError


@click.command("run")
@click.option("--config", type=click.Path(path_type=Path), help="settings file (default: linli.toml here, if any)")
def command(config: Path | None) -> None:
    """Run one community: broker (unless one answers already), ingest, rules, incidents, console; edge boxes run apart.

    Ctrl-C or SIGTERM ends it in order. Killed, it goes on where it was at the next start. The first start makes the
    user `admin` and shows its password once.
    """
    settings = load_settings(config)
    if settings["log.url"].startswith("kafka:"):
        raise ConfigurationError("log.url is Kafka: `linli run` is for one machine with sqlite:///FOLDER")
    from app.community import run_community
    from app.logs import configure_logs

    configure_logs()
    run_community(settings)
