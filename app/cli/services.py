"""``linli services``: the processes of this deployment, one command each."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from app.cli.command_line import with_config
from app.operations.services import ProcessCounts, Service, services_of
from app.operations.systemd import units_of
from app.settings.loading import DEFAULT_FILE, load_settings
from contracts.errors import Permanent


@click.command("services")
@click.option("--shards", type=click.IntRange(1), default=2, show_default=True, help="ingest processes (district)")
@click.option("--workers", type=click.IntRange(1), default=3, show_default=True, help="streams processes (district)")
@click.option(
    "--incidents", type=click.IntRange(1), default=2, show_default=True, help="incidents processes (district)"
)
@click.option("--systemd", "folder", type=click.Path(path_type=Path, file_okay=False), help="write unit files here")
@click.option("--linli", type=click.Path(path_type=Path), help="program for the units (default: this one)")
@click.option("--config", type=click.Path(path_type=Path), help="settings file (default: linli.toml here, if any)")
def command(
    shards: int, workers: int, incidents: int, folder: Path | None, linli: Path | None, config: Path | None
) -> None:
    """Print the processes of the deployment that the settings describe, one a line: command, metrics port, purpose.

    With sqlite:///FOLDER as log.url that is `linli run`; with kafka://… it is the district. Boxes beside cameras run
    `linli edge run` on their own machines. A changed number of shards needs all of them stopped first; workers and
    incidents may be more or fewer at any time.

    \b
    linli services --workers 5 --systemd /etc/systemd/system --config /etc/linli/linli.toml
    systemctl daemon-reload && systemctl enable --now linli.target
    """
    settings, root = load_settings(config), click.get_current_context().find_root().command
    services = services_of(settings, ProcessCounts(shards, workers, incidents))
    for service in placed(root, services, config):
        port = "off" if service.metrics_port is None else str(service.metrics_port)
        click.echo(f"linli {' '.join(service.arguments)}\t{port}\t{service.does}")
    if folder is None:
        return
    program = linli or Path(shutil.which("linli") or "/opt/linli/bin/linli")
    file = (config or Path(DEFAULT_FILE)).absolute()
    units = units_of(settings, placed(root, services, file), linli=program)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in units.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise Permanent(f"units cannot be written to {folder}: {error.strerror}") from None
    click.echo(f"{len(units)} units written to {folder}; then: systemctl daemon-reload", err=True)


def placed(root: click.Command, services: Sequence[Service], config: Path | None) -> list[Service]:
    """Return the services with the settings file in their command lines, as ``root`` (all of ``linli``) takes it."""
    return [msgspec.structs.replace(s, arguments=with_config(root, s.arguments, config)) for s in services]
