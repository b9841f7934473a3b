"""``linli restore``: a machine's backup back into empty places."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from app.settings.loading import load_settings

AFTER = (
    "start `linli run`. Devices and boxes send what they still hold; what is known already is not raised twice",
    "receivers may be told again what they were told since, under the same ids; incident numbers may be given again",
    "people log in anew. Who was removed since is back: `linli users list`. Boxes whose tokens were taken away too",
    "`linli erase verify` names erasures that were done before the backup and do not hold; later ones do again",
)


@click.command("restore")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--config", type=click.Path(path_type=Path), help="settings file (default: linli.toml here, if any)")
def command(source: Path, config: Path | None) -> None:
    """Put the backup SOURCE back where the settings say; the folder of log.url must be empty, or not be there.

    Everything is compared with the backup's manifest first. A backup that is damaged or not whole is refused, and
    nothing of it is put back.
    """
    from app.operations.backup.restoring import restore_backup

    manifest = restore_backup(load_settings(config), source)
    made = datetime.fromtimestamp(manifest.made_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    click.echo(f"{len(manifest.files)} files are as they were at {made} (made by linli {manifest.program})", err=True)
    for line in AFTER:
        click.echo(line, err=True)
