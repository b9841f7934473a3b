"""``linli dead-letters``: what was rejected, from where, and why."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from app.cli.command_line import KEPT, pass_settings
from app.settings.settings import Settings
from contracts.errors import ConfigurationError, RejectReason
from ingest.shard.dead_letters import DeadLetter, DeadLetters


@click.group("dead-letters")
@click.option("--config", type=click.Path(path_type=Path), help="settings file (default: linli.toml here, if any)")
@click.pass_context
def command(context: click.Context, config: Path | None) -> None:
    """Show what was rejected, from where, and why.

    Texts that a person could be in are blanked before anything is kept; letters are encrypted and last 72 hours.
    """
    context.obj = config


@command.command("list")
@click.option("--reason", type=click.Choice([str(reason) for reason in RejectReason]), help="only this reason")
@click.option("--source", help="only this source: SITE/DEVICE, or unknown")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@pass_settings
def list_letters(settings: Settings, reason: str | None, source: str | None, limit: int) -> None:
    """Print the newest letters, newest first: number, time, reason, source, size, what was wrong."""
    letters = _letters(settings)
    found = letters.list(limit, reason, source)
    for letter in found:
        click.echo(
            f"{letter.letter}\t{_when(letter)}\t{letter.reason}\t{letter.source}\t{letter.size} bytes\t{letter.detail}"
        )
    letters.close()
    if not found:
        click.echo("no dead letters", err=True)


@command.command("show")
@click.argument("letter", type=KEPT)
@pass_settings
def show(settings: Settings, letter: int) -> None:
    """Print one letter in full: topic, SHA-256 and scrubbed excerpt too."""
    letters = _letters(settings)
    found = letters.show(letter)
    letters.close()
    if found is None:
        raise ConfigurationError(f"there is no dead letter {letter}; `linli dead-letters list` shows those kept")
    for name, value in (
        ("letter", found.letter),
        ("time", _when(found)),
        ("reason", found.reason),
        ("source", found.source),
        ("topic", found.topic),
        ("size", f"{found.size} bytes"),
        ("sha256", found.sha256),
        ("detail", found.detail),
        ("excerpt", found.excerpt),
    ):
        click.echo(f"{name:8} {value}")


@command.command("purge")
@click.confirmation_option(prompt="Delete all dead letters?")
@pass_settings
def purge(settings: Settings) -> None:
    """Delete all letters now."""
    letters = _letters(settings)
    count = letters.purge()
    letters.close()
    click.echo(f"{count} letters deleted", err=True)


def _letters(settings: Settings) -> DeadLetters:
    return DeadLetters(settings.dead_letters.folder)


def _when(letter: DeadLetter) -> str:
    return datetime.datetime.fromtimestamp(letter.at_ms / 1000, tz=datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
