"""``linli run``: one community on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from app.settings.loading import load_settings
from contracts.errors import ConfigurationError


@click.command("run")
@click.option("--config", type=click.Path(path_type=Path), help="settings file (default: linli.toml here, if any)")
@click.option("--accept-cut", is_flag=True, help="go on though the version before was killed, not ended in order")
def command(config: Path | None, accept_cut: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Run one community: broker (unless one answers already), ingest, rules, incidents, console; edge boxes run apart.

    Ctrl-C or SIGTERM ends it in order. Killed, it goes on where it was at the next start. The first start makes the
    user `admin`; its password is in the file first-password in the data folder. Delete it once it was read.

    After an update of the rules it starts only if the version before has ended in order. If that one was killed, start
    it once more and end it, or accept that some records are judged twice (--accept-cut); an alarm says which.
    """
    settings = load_settings(config)
    if settings.log.on_kafka:
        raise ConfigurationError(
            "log.url is Kafka: `linli run` is for one machine with sqlite:///FOLDER. A district's processes are "
            "`linli ingest run`, `linli streams run`, `linli incidents run`, `linli console run` and "
            "`linli results run`, after `linli topics create`"
        )
    from app.wiring.community import run_community
    from app.wiring.logs import configure_logs

    configure_logs()
    run_community(settings, accept_cut=accept_cut)
