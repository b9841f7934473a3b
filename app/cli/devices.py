"""``linli devices``: what each device said last and when, and who knocks without being in the inventory."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from app.cli.command_line import pass_settings
from app.settings.settings import Settings
from app.wiring.known_sites import need_site
from app.wiring.stores import open_inventory
from inventory.pending import why_device_waits, why_topic_waits
from system.clock import wall_ms


@click.group("devices")
@click.option("--config", type=click.Path(path_type=Path), help="settings file (default: linli.toml here, if any)")
@click.pass_context
def command(context: click.Context, config: Path | None) -> None:
    """Show what each device of the inventory said last, and who speaks without being in it.

    Both read beside running processes. `linli inventory list` shows what the inventory says of devices.
    """
    context.obj = config


@command.command("heard")
@click.option("--site", help="only this site")
@pass_settings
def heard(settings: Settings, site: str | None) -> None:
    """Print each device, one a line: site, device, class, state, when it was last heard, the kind of event it said.

    The state is online, unhealthy, silent (for longer than its silent_after_ms), offline, or never_heard.
    """
    from app.operations.heard import heard_devices

    if site is not None:
        need_site(settings, site)
    found = [one for one in heard_devices(settings, wall_ms()) if site in {None, one.site_id}]
    for one in found:
        last = when(one.last_ms) if one.last_ms is not None else "-"
        click.echo(f"{one.site_id}\t{one.device_id}\t{one.device_class}\t{one.state}\t{last}\t{one.last_kind or '-'}")
    if not found:
        click.echo("no devices are in the inventory", err=True)


@command.command("pending")
@pass_settings
def pending(settings: Settings) -> None:
    """Print who knocks without being in the inventory, and why it is not used: devices, and topics of nobody.

    Columns: device, site, id, class, how often, kind of event, when last, why; or topic, its name, how often, size,
    when last, why. `linli inventory pending` is the same.
    """
    print_pending(settings)


def print_pending(settings: Settings) -> None:
    """Print devices and topics that wait."""
    inventory = open_inventory(settings)
    try:
        devices, topics = inventory.waiting.current()
        known, sites = inventory.devices(), [site.site_id for site in inventory.sites()]
    finally:
        inventory.close()
    for device in devices:
        click.echo(
            f"device\t{device.site_id}\t{device.device_id}\t{device.device_class or '-'}\t{device.count}\t"
            f"{device.last_kind}\t{when(device.last_ms)}\t{why_device_waits(device, known, sites)}"
        )
    for topic in topics:
        click.echo(
            f"topic\t{topic.topic}\t{topic.count}\t{topic.last_bytes} bytes\t{when(topic.last_ms)}\t"
            f"{why_topic_waits(topic.topic)}"
        )
    if not devices and not topics:
        click.echo("nobody is pending", err=True)


def when(at_ms: int) -> str:
    """Return a time for people, in UTC."""
    return datetime.datetime.fromtimestamp(at_ms / 1000, tz=datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
