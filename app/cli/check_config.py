"""``linli check-config``: what is in force, and where each value came from."""

from __future__ import annotations

from pathlib import Path

import click

from app.settings.settings import KEYS, environment_name, load_settings


@click.command("check-config")
@click.option("--config", type=click.Path(path_type=Path), help="settings file (default: linli.toml here, if any)")
def command(config: Path | None) -> None:
    """Check the settings as a whole and print them, one a line: key, value, source, meaning.

    Every key can also be set in the environment: [log] url is LINLI_LOG_URL.
    """
    settings = load_settings(config)
    for name, key in KEYS.items():
        value = settings.values[name]
        shown = value.value or "(none)"
        click.echo(f"{name:26} {shown:40} {value.source:12} {key.meaning} [{environment_name(name)}]")
