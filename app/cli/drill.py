"""``linli test-alarm``: a test through every receiver of alarms, as it is configured."""

from __future__ import annotations

from pathlib import Path

import click

from app.settings.loading import load_settings
from contracts.errors import Permanent


@click.command("test-alarm")
@click.option("--site", help="site that the test names (default: the first of the inventory)")
@click.option("--receiver", help="only this receiver, by its name")
@click.option("--config", type=click.Path(path_type=Path), help="settings file (default: linli.toml here, if any)")
def command(site: str | None, receiver: str | None, config: Path | None) -> None:
    """Send a test to every receiver that the settings name, and print what came of each; exit 1 unless all took it.

    It is really sent, once, with the receiver's own address, secret and certificates, also to receivers that are told
    of nothing but live alarms: so tell the people there before. It is marked: origin "drill", scenario "test_alarm", a
    number that ends in 0000. No incident is opened, nothing is stored, and no figure counts it.

    A line a receiver: its name, attempted or "not attempted", accepted or failed, and the reason.
    """
    from app.operations.drill import site_to_name, try_receivers
    from system.clock import wall_ms

    settings = load_settings(config)
    failed = 0
    for one in try_receivers(settings, site_to_name(settings, site), receiver, wall_ms()):
        failed += not one.accepted
        attempted = "attempted" if one.attempted else "not attempted"
        click.echo(f"{one.receiver}\t{attempted}\t{'accepted' if one.accepted else 'failed'}\t{one.reason or '-'}")
    if failed:
        raise Permanent(f"{failed} receivers did not take the test: nobody there would hear of an alarm now")
