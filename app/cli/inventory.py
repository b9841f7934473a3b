"""``linli inventory``: the sites, places and devices that ingest accepts."""

from __future__ import annotations

import datetime
import getpass
from pathlib import Path

import click

from app.cli.command_line import pass_settings
from app.settings.settings import Settings
from app.wiring.stores import open_inventory
from contracts.errors import ConfigurationError
from inventory.file_import import parse_inventory
from system.clock import wall_ms


@click.group("inventory")
@click.option("--config", type=click.Path(path_type=Path), help="settings file (default: linli.toml here, if any)")
@click.pass_context
def command(context: click.Context, config: Path | None) -> None:
    """Read and change the sites, places and devices that ingest accepts.

    A running `linli run` takes changes over within a second.
    """
    context.obj = config


@command.command("load")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@pass_settings
def load(settings: Settings, file: Path) -> None:
    """Write the records of FILE (.toml, or one JSON record a line); what is already so stays as it is.

    `linli docs inventory` prints an example of every table, with comments. In short:

    \b
    site_id = "s1"
    [[site]]
    name = "Willow Court"
    [[place]]
    place_id = "gate-1"
    kind = "door"
    use = "entrance"
    [[device]]
    device_id = "g1"
    device_class = "gate"
    place_id = "gate-1"
    silent_after_ms = 180000
    """
    now_ms = wall_ms()
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"inventory file {file} cannot be read: {error}") from None
    records = parse_inventory(text, toml=file.suffix == ".toml", now_ms=now_ms)
    inventory = open_inventory(settings)
    try:
        before = inventory.last_change()
        changed = inventory.put(records, actor=getpass.getuser(), now_ms=now_ms) - before
    finally:
        inventory.close()
    click.echo(f"{file}: {len(records)} records read, {changed} changed", err=True)


@command.command("list")
@click.option("--site", help="only this site")
@pass_settings
def list_devices(settings: Settings, site: str | None) -> None:
    """Print the devices in force, one a line: site, device, class, place, box, silence limit."""
    inventory = open_inventory(settings)
    for record in inventory.devices(site):
        limit = f"{record.silent_after_ms / 1000:g} s" if record.silent_after_ms else "-"
        click.echo(
            f"{record.site_id}\t{record.device_id}\t{record.device_class}\t{record.place_id}\t"
            f"{record.box_id or '-'}\t{limit}\t{record.name}"
        )
    inventory.close()


@command.command("pending")
@pass_settings
def pending(settings: Settings) -> None:
    """Print who knocks without being in the inventory: devices, and topics that are none of ours."""
    inventory = open_inventory(settings)
    devices, topics = inventory.pending()
    for device in devices:
        click.echo(
            f"device\t{device.site_id}\t{device.device_id}\t{device.device_class or '-'}\t"
            f"{device.count}\t{device.last_kind}\t{_when(device.last_ms)}"
        )
    for topic in topics:
        click.echo(f"topic\t{topic.topic}\t{topic.count}\t{topic.last_bytes} bytes\t{_when(topic.last_ms)}")
    inventory.close()
    if not devices and not topics:
        click.echo("nobody is pending", err=True)


@command.command("notices")
@pass_settings
def notices(settings: Settings) -> None:
    """Print what is wrong with the words of devices: site, device, what, details, how often, when last."""
    inventory = open_inventory(settings)
    found = inventory.notices.current()
    inventory.close()
    for one in found:
        click.echo(f"{one.site_id}\t{one.device_id}\t{one.code}\t{one.detail}\t{one.count}\t{_when(one.last_ms)}")
    if not found:
        click.echo("nothing was noticed", err=True)


def _when(at_ms: int) -> str:
    return datetime.datetime.fromtimestamp(at_ms / 1000, tz=datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
