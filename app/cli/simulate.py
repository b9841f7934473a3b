"""``linli simulate``: days of life in simulated communities, as a file with its truth or over MQTT."""

from __future__ import annotations

import datetime
import sys
import time
from pathlib import Path

import click

from contracts.errors import ConfigurationError
from contracts.events import AnyEvent, Origin
from contracts.written_text import decode_written
from simulator.files import write_events, write_truths
from simulator.generate import DEFAULT_START_MS, SimulationRequest, World, generate
from simulator.publish import EventPublisher, publish_all
from simulator.topics import timed

CONFIRM_TIMEOUT_S = 30.0


@click.command("simulate")
@click.option("--seed", type=int, required=True, help="same seed, same bytes")
@click.option("--days", type=click.IntRange(1, 31), default=1, show_default=True)
@click.option("--sites", type=click.IntRange(1, 99), default=8, show_default=True)
@click.option(
    "--out", type=click.Path(path_type=Path), help="events, one JSON line each, in order of acceptance; - is stdout"
)
@click.option("--truth", type=click.Path(path_type=Path), help="what is right to find in them, and what is not")
@click.option("--start", help="ISO time or epoch ms of the first record [default: 2026-03-16T12:00+08:00]")
@click.option(
    "--origin", type=click.Choice([o.value for o in Origin]), default=Origin.SIMULATED.value, show_default=True
)
@click.option("--mqtt", "mqtt_url", help="publish to this broker instead: mqtt://host:port")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="with --mqtt: file with user:password",
)
@click.option(
    "--ca-file", type=click.Path(path_type=Path, exists=True), help="with --mqtt: a private authority's certificates"
)
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="with --mqtt: how many simulated seconds pass in one",
)
def command(
    seed: int,
    days: int,
    sites: int,
    out: Path | None,
    truth: Path | None,
    start: str | None,
    origin: str,
    mqtt_url: str | None,
    password_file: Path | None,
    ca_file: Path | None,
    speed: float,
) -> None:
    """Simulate communities: residents, visitors, e-bikes, meters, faults, duplicates, late arrivals.

    The file holds configuration records first and ends in two quiet hours. `linli replay FILE` runs the rules over it.
    With --mqtt the devices must be in the target's inventory: write a file with the same seed and
    `linli inventory load` it there first.
    """
    if out is None and mqtt_url is None:
        raise ConfigurationError("nothing to do: give --out FILE (or - for stdout), or --mqtt URL")
    world = generate(
        SimulationRequest(seed=seed, days=days, sites=sites, start_ms=_start_ms(start), origin=Origin(origin))
    )
    try:
        if truth is not None:
            write_truths(world.truths, truth)
        if out is not None:
            _write(world.events, out)
    except OSError as error:
        if error.filename is None:  # who read our output has gone
            raise
        raise ConfigurationError(f"{error.filename} cannot be written: {error.strerror}") from None
    _count(world)
    if mqtt_url is not None:
        password, name = _password(password_file), f"linli-simulator-{seed}"
        _publish(world, EventPublisher(mqtt_url, name, password=password, ca_file=str(ca_file or "")), speed)


def _count(world: World) -> None:
    expected = sum(truth.expected for truth in world.truths)
    misses = len(world.truths) - expected
    click.echo(f"{len(world.events)} events, {expected} findings expected, {misses} near misses", err=True)


def _password(file: Path | None) -> str:
    try:
        return decode_written(file.read_bytes(), f"password file {file}") if file else ""
    except OSError as error:
        raise ConfigurationError(f"password file {file} cannot be read: {error}") from None


def _start_ms(text: str | None) -> int:
    if text is None:
        return DEFAULT_START_MS
    if text.isdecimal():
        return int(text)
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f"--start {text!r}: expected ISO time like 2026-03-16T12:00+08:00, or epoch ms"
        ) from None
    if moment.tzinfo is None:
        raise ConfigurationError(f"--start {text!r} has no offset: write +08:00 or Z behind it")
    return int(moment.timestamp() * 1_000)


def _write(events: list[AnyEvent], out: Path) -> None:
    if str(out) == "-":
        write_events(events, sys.stdout.buffer)
        return
    with out.open("wb") as file:
        write_events(events, file)


def _publish(world: World, publisher: EventPublisher, speed: float) -> None:
    publisher.start()
    try:
        stream = timed(world.events, int(time.time() * 1_000), speed)
        sent = publish_all(publisher, stream, stop=lambda: False)
        confirmed = publisher.wait_confirmed(CONFIRM_TIMEOUT_S)
    finally:
        publisher.stop()
    click.echo(f"{sent} published, {publisher.unconfirmed()} unconfirmed", err=True)
    if not confirmed:
        sys.exit(1)
