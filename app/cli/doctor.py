"""``linli doctor``: is everything there, does it answer, and is it as it must be?"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import click
import msgspec

from app.settings.loading import load_settings

ORDINARY_START_S = 2.0


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="one JSON object a line, instead of text")
@click.option("--config", type=click.Path(path_type=Path), help="settings file (default: linli.toml here, if any)")
def command(*, as_json: bool, config: Path | None) -> None:
    """Look over a deployment, one machine or a district: a line a check, ok, warn or fail, and what to do.

    Ends within ten seconds, whatever is away. Changes nothing, but for a session at the MQTT broker that is removed
    again. Run it where a process of the deployment runs, with its settings and account. The exit code is 1 when a line
    says fail.
    """
    from app.operations.doctor import district, everywhere, machine
    from app.operations.doctor.report import Level, ok, text_of
    from app.operations.doctor.side_by_side import left_s, lines_of

    settings = load_settings(config)
    rest = district.checks_of(settings) if settings.log.on_kafka else machine.checks_of(settings)
    worst = False
    checks = [*everywhere.checks_of(settings), *rest]
    for line in [ok("settings", str(settings.log.url)), *lines_of(checks, left_s(_age_s()))]:
        click.echo(msgspec.json.encode(line).decode() if as_json else text_of(line))
        worst = worst or line.level is Level.FAIL
    sys.exit(1 if worst else 0)


def _age_s() -> float:
    """Return how old this process is, in seconds: Python and the libraries took their time before our first line."""
    try:
        begun_ticks = int(Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()[19])
    except OSError:
        return ORDINARY_START_S  # no Linux
    return time.clock_gettime(time.CLOCK_BOOTTIME) - begun_ticks / os.sysconf("SC_CLK_TCK")
