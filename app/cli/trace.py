"""``linli trace``: from a device's message to its delivery, hop by hop."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click
import msgspec

from app.operations.story import lines_of, steps_of
from app.operations.trace_stores import open_tracer
from app.settings.loading import load_settings
from app.wiring.known_sites import need_site


@click.command("trace")
@click.argument("wanted", metavar="ID")
@click.option("--site", help="site of an event's id or an incident's number, where several sites have the same")
@click.option("--json", "as_json", is_flag=True, help="one JSON object a step, instead of text")
@click.option("--config", type=click.Path(path_type=Path), help="settings file (default: linli.toml here, if any)")
def command(wanted: str, site: str | None, *, as_json: bool, config: Path | None) -> None:
    """Follow ID from the device's message to the last delivery: one line a hop, with its time and how long it took.

    ID is that of an event, a finding, an incident (or its number, 20261123-0042) or a delivery. Log lines carry it as
    trace=…: the event an incident began with, or its first finding where no event did. Reads beside running processes.
    """
    settings = load_settings(config)
    if site is not None:
        need_site(settings, site)
    with ExitStack() as opened:
        story = open_tracer(settings, opened).story(wanted, site)
    steps = steps_of(story)
    for line in [msgspec.json.encode(step).decode() for step in steps] if as_json else lines_of(steps):
        click.echo(line)
    click.echo(f"trace={story.trace}", err=True)
    for sentence in story.missing:
        click.echo(sentence, err=True)
