"""``linli migrate``: from one machine to a district."""

from __future__ import annotations

from pathlib import Path

import click

from app.settings import load_settings
from contracts.errors import ConfigurationError

_NOTES = (
    "not copied: evidence (copy the folder to the district's evidence.folder), boxes.jsonl beside it, dead letters "
    "(72 hours), results, login sessions",
    "devices' messages since the old process ended wait in the broker's session of its mqtt.client_id",
)


@click.command("migrate")
@click.option(
    "--from", "source", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=True,
    help="settings file of the single machine",
)  # fmt: skip
@click.option(
    "--config", type=click.Path(path_type=Path), help="settings file of the district (default: linli.toml here)"
)
def command(source: Path, config: Path | None) -> None:
    """Copy one machine's inventory, log and incidents into the district that the settings describe.

    \b
    1. linli topics create, with the district's settings; an empty PostgreSQL database; no process of it running
    2. end `linli run` with SIGTERM
    3. linli migrate --from OLD/linli.toml
    4. start the district (linli services); then the old folder may be kept as a backup

    Each site's events go to the partition that is its own among kafka.partitions. Incidents keep their numbers, cursors
    and the audit log their chain. The district judges the copied log from its start: findings whose ids are known open
    nothing and tell nobody anew. Where the first days of the log are dropped, the rules' state comes along instead.

    May be killed and started again at any time; what was copied is compared, not copied twice. A target that holds
    anything else is refused.
    """
    from app.migration.machine import migrate_machine

    district = load_settings(config)
    if not district["log.url"].startswith("kafka:"):
        raise ConfigurationError(f"log.url = {district['log.url']!r}: --config must be the district's, kafka://…")
    done = migrate_machine(load_settings(source, {}), district, lambda line: click.echo(line, err=True))
    if done.before:
        click.echo("all of it was copied before; nothing was changed", err=True)
        return
    for partition, copy in sorted(done.log.items()):
        click.echo(f"log\t{partition}\t{copy.records}\t{copy.digest.hex()}")
    for table, rows in done.tables.items():
        click.echo(f"{table}\t\t{rows}\t")
    if done.carried_sites:
        click.echo(f"the rules' state of {done.carried_sites} sites came along", err=True)
    for note in _NOTES:
        click.echo(note, err=True)
