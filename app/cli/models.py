"""``linli models``: what vision models are, and whether they are what they say."""

from __future__ import annotations

from pathlib import Path

import click

from contracts.errors import ConfigurationError, LinliError, Permanent


@click.group("models")
def command() -> None:
    """Manage vision models behind manifests: file, address, SHA-256, licence, tensors, labels."""


@command.command("check")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
def check(files: tuple[Path, ...]) -> None:
    """Check manifests and the models they name: hash, tensors, labels; runs each on pictures that show nothing.

    Exit 2 if a manifest is wrong or its model is absent, 1 if a model is not what its manifest says.
    """
    wrong = [error for file in files if (error := _fault(file)) is not None]
    if not wrong:
        return
    text = f"{len(wrong)} of {len(files)} models cannot be used"
    raise ConfigurationError(text) if any(isinstance(e, ConfigurationError) for e in wrong) else Permanent(text)


def _fault(file: Path) -> LinliError | None:
    """Check one model and say what comes of it."""
    from edge.inference.model_check import check_model

    try:
        click.echo(check_model(file))
    except LinliError as error:
        click.echo(f"{file}: {error}", err=True)
        return error
    return None
