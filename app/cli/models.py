"""``linli models``: what vision models are, and whether they are what they say."""

from __future__ import annotations

from pathlib import Path

import click

from contracts.errors import LinliError


@click.group("models")
def command() -> None:
    """Vision models behind manifests: file, address, SHA-256, licence, tensors, labels."""


@command.command("check")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def check(files: tuple[Path, ...]) -> None:
    """Check manifests and the models they name: hash, tensors, labels; runs each once on an empty picture."""
    bad = [file for file in files if not _is_good(file)]
    if bad:
        raise click.exceptions.Exit(1)


def _is_good(file: Path) -> bool:
    from edge.inference.model_check import check_model

    try:
        click.echo(check_model(file))
    except LinliError as error:
        click.echo(f"linli: {error}", err=True)
        return False
    return True
