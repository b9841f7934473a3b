"""``linli migrate``: from one machine to a district, and from a district's log to one with more partitions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.settings.loading import DEFAULT_FILE, load_settings
from app.settings.settings import Settings
from app.wiring.district import is_district
from contracts.errors import ConfigurationError

if TYPE_CHECKING:
    from app.operations.migration.machine import MigrationResult

_MACHINE_NOTES = (
    "not copied: evidence (copy the folder to the district's evidence.folder), boxes.jsonl beside it, dead letters "
    "(72 hours), results, login sessions",
)
_DISTRICT_NOTES = (
    "not copied: evidence, incidents, inventory and results stay where they are; dead letters (72 hours) stay in the "
    "old topics, which may be deleted later",
)


@click.command("migrate")
@click.option(
    "--from", "source", type=click.Path(path_type=Path, exists=True), required=True,
    help="settings file of the single machine, or of the district as it was; a machine without one: where it was run",
)  # fmt: skip
@click.option(
    "--shards", type=click.IntRange(1), default=2, show_default=True,
    help="how many `linli ingest run` the district will have; their sessions at the broker are made",
)  # fmt: skip
@click.option(
    "--config", type=click.Path(path_type=Path), help="settings file of the district (default: linli.toml here)"
)
def command(source: Path, shards: int, config: Path | None) -> None:
    """Copy one machine's inventory, log and incidents, or another district's log, into the district of the settings.

    \b
    From one machine:
    1. linli topics create, with the district's settings; an empty PostgreSQL database; no process of it running
    2. end `linli run` with SIGTERM
    3. linli migrate --from OLD/linli.toml --shards N
    4. start the district (linli services --shards N); then the old folder may be kept as a backup

    Paths that OLD/linli.toml leaves to their defaults are those below OLD. A machine that was run without a file has
    --from OLD, the folder in which it was run. What devices said since it ended waits in its session at the broker: it
    is read into the new log. So brokers run meanwhile.

    Each site's events go to the partition that is its own among kafka.partitions. Incidents keep their numbers, cursors
    and the audit log their chain. The district judges the copied log from its start: findings whose ids are known open
    nothing and tell nobody anew. Where the first days of the log are dropped, the rules' state comes along instead.

    \b
    More partitions for a district (--from OLD.toml names a log on Kafka; all its processes stand still, drained):
    1. settings with another kafka.prefix, a new kafka.partitions, and the same incidents.url
    2. linli topics create
    3. linli migrate --from OLD.toml
    4. start the district with the new settings; incidents and inventory are those it had

    May be killed and started again at any time; what was copied is compared, not copied twice. A target that holds
    anything else is refused.
    """
    district = load_settings(config)
    if not district.log.on_kafka:
        raise ConfigurationError(f"log.url = {district.log.url!r}: --config must be the district's, kafka://…")
    old = settings_of(source)
    notes = _DISTRICT_NOTES if is_district(old) else _MACHINE_NOTES
    done = _migrate(old, district, shards)
    if done.before:
        click.echo("all of it was copied before; nothing was changed", err=True)
        return
    for partition, copy in sorted(done.log.items()):
        click.echo(f"log\t{partition}\t{copy.records}\t{copy.digest.hex()}")
    for table, rows in done.tables.items():
        click.echo(f"{table}\t\t{rows}\t")
    if done.carried_sites:
        click.echo(f"the rules' state of {done.carried_sites} sites came along", err=True)
    for note in notes:
        click.echo(note, err=True)


def settings_of(source: Path) -> Settings:
    """Return the settings that a process had which ran in the folder of this file, or in this folder without a file."""
    folder = source if source.is_dir() else source.parent
    file = folder / DEFAULT_FILE if source.is_dir() else source
    return load_settings(file if file.exists() else None, {}, working=folder.resolve())


def _migrate(old: Settings, district: Settings, shards: int) -> MigrationResult:
    from app.operations.migration.growth import migrate_district
    from app.operations.migration.machine import migrate_machine
    from app.wiring import logs

    def say(line: str) -> None:
        click.echo(line, err=True)

    if is_district(old):
        return migrate_district(old, district, say)
    logs.configure_logs()
    return migrate_machine(old, district, shards, say)
