"""``linli doctor``: is everything there, does it answer, and is it as it must be?"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click
import msgspec

from app.settings.loading import load_settings

LEAST_S = 4.0
"""What the checks are given on a machine so busy that it took long to load them."""


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="one JSON object a line, instead of text")
@click.option("--config", type=click.Path(path_type=Path), help="settings file (default: linli.toml here, if any)")
def command(*, as_json: bool, config: Path | None) -> None:
    """Look over a deployment, one machine or a district: a line a check, ok, warn or fail, and what to do.

    Ends within ten seconds, whatever is away. Changes nothing, but for a session at the MQTT broker that is removed
    again. Run it where a process of the deployment runs, with its settings and account. The exit code is 1 when a line
    says fail.
    """
    begun_s = time.monotonic()
    from app.operations.doctor import district, everywhere, machine
    from app.operations.doctor.report import Level, ok, text_of
    from app.operations.doctor.side_by_side import BOUND_S, lines_of

    settings = load_settings(config)
    rest = district.checks_of(settings) if settings.log.on_kafka else machine.checks_of(settings)
    worst = False
    checks, left_s = [*everywhere.checks_of(settings), *rest], BOUND_S - (time.monotonic() - begun_s)
    for line in [ok("settings", str(settings.log.url)), *lines_of(checks, max(left_s, LEAST_S))]:
        click.echo(msgspec.json.encode(line).decode() if as_json else text_of(line))
        worst = worst or line.level is Level.FAIL
    sys.exit(1 if worst else 0)
