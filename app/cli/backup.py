"""``linli backup``: all that one machine must have to go on elsewhere, copied while it works."""

from __future__ import annotations

from pathlib import Path

import click

from app.settings.loading import load_settings

IN_IT = (
    "in it: what devices said, incidents, people's names and password hashes, the inventory, stills and clips, and the "
    "keys that open them and the archive. Whoever can read it can read all of that: keep it like the machine"
)
NOT_IN_IT = (
    "not in it: the settings file and the files of secrets that it names, the first password, what waits at the MQTT "
    "broker, halves of uploads"
)


@click.command("backup")
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--config", type=click.Path(path_type=Path), help="settings file (default: linli.toml here, if any)")
def command(target: Path, config: Path | None) -> None:
    """Write a backup of this machine to TARGET: a file if its name ends in .tar, else a folder.

    `linli run` may work meanwhile: all stores are held at one moment, and copied from there. The backup has a manifest
    with a hash of each file, and nobody but you may read it. It is not encrypted. `linli restore` puts it back.
    """
    from app.operations.backup.making import make_backup
    from system.clock import wall_ms

    manifest = make_backup(load_settings(config), target, wall_ms())
    for file in manifest.files:
        click.echo(f"{file.name}\t{file.size}\t{file.sha256}")
    click.echo(f"{target}: {len(manifest.files)} files, {sum(file.size for file in manifest.files)} bytes", err=True)
    click.echo(IN_IT, err=True)
    click.echo(NOT_IN_IT, err=True)
