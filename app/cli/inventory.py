"""``linli inventory``: the sites, places and devices that ingest accepts."""

from __future__ import annotations

import getpass
from pathlib import Path

import click

from app.cli.command_line import pass_settings
from app.cli.devices import print_pending, when
from app.operations.inventory_files import faults_of, read_file, table_of
from app.settings.settings import Settings
from app.wiring.known_sites import need_site
from app.wiring.stores import look_into_inventory, open_inventory
from contracts.errors import Permanent
from inventory.faults import FileFault
from inventory.file_import import InventoryFile
from system.clock import wall_ms

TELL_EVERY = 10_000
"""Rows from one line about how far it is to the next: some seconds."""


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

    FILE is looked over first, as `linli inventory check` does. With a fault in it nothing is written, and the exit code
    is 1. `linli docs inventory` prints an example of every table, with comments. In short:

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
    read = _read(file, now_ms)
    inventory = open_inventory(settings)
    try:
        faults = faults_of(read, inventory)
        if not faults:
            before = inventory.last_change()
            changed = inventory.put(read.records, actor=getpass.getuser(), now_ms=now_ms) - before
    finally:
        inventory.close()
    _refuse(file, faults, to_stderr=True)
    click.echo(f"{file}: {len(read.records)} records read, {changed} changed", err=True)


@command.command("check")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@pass_settings
def check(settings: Settings, file: Path) -> None:
    """Look over FILE without writing anything: a line for each fault, with what was expected. Exit 1 if there is one.

    Looked for are rows that are there twice; places, boxes and sites that are named and not there; places around
    themselves; wrong types; unknown tables, keys and thresholds; numbers that cannot be meant, as seconds for
    milliseconds. FILE may be a part: what the inventory of the settings holds already counts as there.

    A file without a fault is shown as a table: site, class, devices, how many have a silence limit, how many a box.
    """
    read = _read(file, wall_ms())
    with look_into_inventory(settings) as inventory:
        faults = faults_of(read, inventory)
    _refuse(file, faults, to_stderr=False)
    for line in table_of(read.records):
        click.echo(line)
    click.echo(f"{file}: {len(read.records)} records, nothing wrong", err=True)


def _read(file: Path, now_ms: int) -> InventoryFile:
    """Read a file; say how far it is while that takes long."""

    def tell(rows: int) -> None:
        if rows % TELL_EVERY == 0:
            click.echo(f"{file}: {rows:,} rows read", err=True)

    return read_file(file, now_ms, tell)


def _refuse(file: Path, faults: list[FileFault], *, to_stderr: bool) -> None:
    for fault in faults:
        click.echo(str(fault), err=to_stderr)
    if faults:
        raise Permanent(f"{file}: {len(faults)} faults; nothing was written")


@command.command("list")
@click.option("--site", help="only this site")
@pass_settings
def list_devices(settings: Settings, site: str | None) -> None:
    """Print the devices in force, one a line: site, device, class, place, box, silence limit."""
    if site is not None:
        need_site(settings, site)
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
    """Print who knocks without being in the inventory, and why: another name of `linli devices pending`."""
    print_pending(settings)


@command.command("notices")
@pass_settings
def notices(settings: Settings) -> None:
    """Print what is wrong with the words of devices: site, device, what, details, how often, when last."""
    inventory = open_inventory(settings)
    found = inventory.notices.current()
    inventory.close()
    for one in found:
        click.echo(f"{one.site_id}\t{one.device_id}\t{one.code}\t{one.detail}\t{one.count}\t{when(one.last_ms)}")
    if not found:
        click.echo("nothing was noticed", err=True)
