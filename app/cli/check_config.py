"""``linli check-config``: what is in force, and where each value came from."""

from __future__ import annotations

from pathlib import Path

import click

from app.settings.description import keys_as_table, lines_in_force
from app.settings.loading import load


@click.command("check-config")
@click.option("--config", type=click.Path(path_type=Path), help="settings file (default: linli.toml here, if any)")
@click.option("--markdown", is_flag=True, help="every key with its default and meaning, as a table for documents")
def command(*, config: Path | None, markdown: bool) -> None:
    """Check the settings as a whole and print them, one a line: key, value, origin, meaning.

    The origin is default, file, environment, or "follows log.url": a store that is not set lies beside the log. Every
    key can also be set in the environment: [log] url is LINLI_LOG_URL. A relative path in the file lies under the
    file's folder, any other under the working directory. Of secrets only the files are shown.
    """
    if markdown:
        click.echo(keys_as_table(), nl=False)
        return
    for line in lines_in_force(load(config)):
        click.echo(line)
