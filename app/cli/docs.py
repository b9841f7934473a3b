"""``linli docs``: the pages for people who run Linli. They ship in the wheel; a checkout reads its own ``docs/``."""

from __future__ import annotations

import difflib
from importlib.resources import files
from importlib.resources.abc import Traversable

import click

from contracts.errors import ConfigurationError

EXAMPLE = "inventory"
"""The one page that is a file to copy, not a text."""


def pages_folder() -> Traversable:
    """Return the folder with the pages: ``app/docs`` of an installed wheel, else ``docs`` of the repository."""
    shipped = files("app") / "docs"
    return shipped if shipped.is_dir() else files("app").joinpath("..", "docs")


def pages() -> dict[str, Traversable]:
    """Return name → file of every page, sorted by name."""
    folder = pages_folder()
    found = {
        entry.name.removesuffix(".md"): entry
        for entry in folder.iterdir()
        if entry.is_file() and entry.name.endswith(".md")
    }
    found[EXAMPLE] = folder / "examples" / "inventory.toml"
    return dict(sorted(found.items()))


def title_of(text: str) -> str:
    """Return the first line of a page that says something, without the signs before it.

    >>> title_of("# Results\\n\\nNumbers.")
    'Results'
    """
    return next((line.lstrip("# ") for line in text.splitlines() if line.strip("# ")), "")


@click.command("docs")
@click.argument("page", required=False)
def command(page: str | None) -> None:
    """List the pages about running Linli, or print PAGE.

    \b
    linli docs                          # what there is
    linli docs runbook                  # what to do when something is wrong
    linli docs inventory > mine.toml    # the commented example of an inventory
    """
    found = pages()
    if page is None:
        for name, file in found.items():
            click.echo(f"{name:16} {title_of(file.read_text(encoding='utf-8'))}")
    elif page in found:
        click.echo(found[page].read_text(encoding="utf-8"), nl=False)
    else:
        close = difflib.get_close_matches(page, found, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(found)}"
        raise ConfigurationError(f"there is no page {page!r}: {hint}")
