"""``linli archive``: the log's site-day segments: archive now, list them, check them, print one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from app.cli.command_line import pass_settings
from app.settings.settings import Settings
from app.wiring.folder_lock import FolderLock
from app.wiring.known_sites import need_site
from contracts.errors import Permanent


@click.group("archive")
@click.option("--config", type=click.Path(path_type=Path), help="settings file (default: linli.toml here, if any)")
@click.pass_context
def command(context: click.Context, config: Path | None) -> None:
    """Keep what the log held, a file per site and UTC day, compressed and encrypted with the site's own key.

    On one machine `linli run` archives by itself; a district runs `linli archive run` once. `linli replay --key-file
    KEYS FILES` runs the rules over segments. Without its line in the key file (archive.key_file) a segment opens for
    nobody: keep a copy of that file apart from the segments.
    """
    context.obj = config


@command.command("run")
@pass_settings
def run(settings: Settings) -> None:
    """Follow the district's log into the archive, and delete segments whose time is over, until SIGTERM or Ctrl-C.

    Killed, it goes on where it was. Servers that are away are waited for.
    """
    from app.wiring.archive_process import wire_archive
    from app.wiring.process import run_service

    run_service(wire_archive, settings)


@command.command("once")
@pass_settings
def once(settings: Settings) -> None:
    """Archive everything that the log holds now, delete segments whose time is over, and end.

    A day is sealed once the log has a record of a later day. On one machine not beside `linli run`, which does this.
    """
    from app.wiring.archive_process import archive_once

    with _lock_exclusively(settings):
        made, deleted = archive_once(settings)
    for segment in made:
        click.echo(segment)
    click.echo(f"{len(made)} segments sealed, {deleted} deleted", err=True)


@command.command("list")
@click.option("--site", help="only this site's")
@pass_settings
def list_segments(settings: Settings, site: str | None) -> None:
    """Print the segments, one a line: file, events, bytes, SHA-256."""
    from app.wiring.archives import need_archive

    if site is not None:
        need_site(settings, site)
    archive = need_archive(settings)
    segments = archive.catalogue.segments(site)
    archive.close()
    for segment in segments:
        click.echo(f"{segment.name}\t{segment.events}\t{segment.size_bytes}\t{segment.sha256}")
    if not segments:
        click.echo("no segments", err=True)


@command.command("verify")
@click.option("--site", help="only this site's")
@pass_settings
def verify(settings: Settings, site: str | None) -> None:
    """Read every segment whole: each must open with its key and be the file that was written. Exit 1 if one is not."""
    from app.wiring.archives import need_archive

    if site is not None:
        need_site(settings, site)
    archive, broken = need_archive(settings), 0
    segments = archive.catalogue.segments(site)
    for segment in segments:
        try:
            archive.verify(segment)
        except Permanent as error:
            broken += 1
            click.echo(str(error))
    archive.close()
    click.echo(f"{len(segments) - broken} segments are whole, {broken} are not", err=True)
    if broken:
        raise Permanent(f"{broken} segments are broken; restore them from a copy")


@command.command("show")
@click.argument("segment")
@pass_settings
def show(settings: Settings, segment: str) -> None:
    """Print the events of SEGMENT (as `linli archive list` names it) as JSON, one a line, configuration first.

    Another program can read them so, and `linli replay -` too, which cuts time anew.
    """
    from app.wiring.archives import need_archive
    from streams.archive.segment import ConfigurationPart

    archive = need_archive(settings)
    found = next((each for each in archive.catalogue.segments() if each.name == segment), None)
    if found is None:
        raise click.BadParameter(f"no segment {segment}; `linli archive list` shows those there are")
    for part in archive.read(found):
        rows = part.records if isinstance(part, ConfigurationPart) else [e for b in part.batches for e in b.events]
        for row in rows:
            click.echo(msgspec.json.encode(row))
    archive.close()


@command.command("erase-site")
@click.argument("site")
@click.confirmation_option(prompt="Delete the site's key and segments for good?")
@pass_settings
def erase_site(settings: Settings, site: str) -> None:
    """Delete SITE's key and segments: copies of its segments elsewhere open no more. A legal hold prevents it."""
    from app.wiring.archive_process import erase_site as erase

    count = erase(settings, site)
    click.echo(f"{site}: key and {count} segments deleted", err=True)


@contextmanager
def _lock_exclusively(settings: Settings) -> Iterator[None]:
    """Hold the lock of an embedded log, which is read by its one process."""
    if not settings.log.on_kafka:
        with FolderLock(settings.log.folder()):
            yield
    else:
        yield
