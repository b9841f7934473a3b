"""``linli streams``: what the rules' reader stands at, and how it gets past a record it cannot digest."""

from __future__ import annotations

from pathlib import Path

import click

from app.folder_lock import FolderLock
from app.settings import load_settings
from contracts.errors import ConfigurationError
from streams.engine_store import EngineStore


@click.group("streams")
@click.option("--config", type=click.Path(path_type=Path), help="settings file (default: linli.toml here, if any)")
@click.pass_context
def command(context: click.Context, config: Path | None) -> None:
    """Look at positions of the log that the rules could not be fed, and skip one.

    Three uncaught errors at one position stop `linli run`: going on alone would lose findings silently. A newer version
    may well digest the record; only when none does, give it up.
    """
    context.obj = load_settings(config).folder()


@command.command("failures")
@click.pass_obj
def failures(folder: Path) -> None:
    """Print the positions that failed, one a line: position, times, skipped or not, the last error."""
    store = _store(folder)
    skipped, failed = store.skipped(), store.failure_details()
    store.close()
    for position, (times, detail) in failed.items():
        click.echo(f"{position}\t{times}\t{'skipped' if position in skipped else '-'}\t{detail}")
    if not failed:
        click.echo("nothing has failed", err=True)


@command.command("retry")
@click.argument("position", type=click.IntRange(min=0))
@click.pass_obj
def retry(folder: Path, position: int) -> None:
    """Forget how often POSITION failed: three more attempts, after an update."""
    with FolderLock(folder):
        store = _store(folder)
        known = store.forget_failure(position)
        store.close()
    if not known:
        raise ConfigurationError(f"position {position} has not failed; `linli streams failures` shows which did")
    click.echo(f"position {position} will be tried again", err=True)


@command.command("skip")
@click.argument("position", type=click.IntRange(min=0))
@click.pass_obj
def skip(folder: Path, position: int) -> None:
    """Give up the record at POSITION for good: what it holds is not judged, and a finding says so."""
    with FolderLock(folder):
        store = _store(folder)
        known = position in store.failures()
        if known:
            store.skip(position)
        store.close()
    if not known:
        raise ConfigurationError(f"position {position} has not failed; `linli streams failures` shows which did")
    click.echo(f"position {position} will be skipped", err=True)


def _store(folder: Path) -> EngineStore:
    path = folder / "engine.db"
    if not path.exists():
        raise ConfigurationError(f"there is no engine.db in {folder}; log.url names the folder of `linli run`")
    return EngineStore(path)
