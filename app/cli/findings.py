"""``linli findings``: what the rules have found, read from where it lies."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from app.cli.replay import line_of
from app.settings.loading import load_settings
from app.wiring.findings import findings_by_site


@click.group("findings")
def command() -> None:
    """Show what the rules have found in the log."""


@command.command("export")
@click.option("--json", "as_json", is_flag=True, help="one JSON line a finding, all of it")
@click.option("--config", type=click.Path(path_type=Path), help="settings file (default: linli.toml here, if any)")
def export(as_json: bool, config: Path | None) -> None:  # noqa: FBT001 - click passes flags so
    """Print every finding up to this moment, each once: site by site, in order of decision, as `linli replay` does.

    Nothing else goes to stdout. Compare two runs without `position` and `number`, which depend on how the log was cut.
    """
    for findings in findings_by_site(load_settings(config)).values():
        for finding in findings:
            click.echo(msgspec.json.encode(finding) if as_json else line_of(finding))
