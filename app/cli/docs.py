"""``linli docs``: the pages for people who run Linli. They ship in the wheel; a checkout reads its own ``docs/``."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection
from importlib.resources import files
from importlib.resources.abc import Traversable

import click

from contracts.errors import ConfigurationError
from contracts.suggestions import nearest

EXAMPLE = "inventory"
"""The one page that is a file to copy, not a text."""

_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s#:]+)(?:#[^)\s]*)?\)")  # to a file: its text, its path


def pages_folder() -> Traversable:
    """Return the folder with the pages: ``app/docs`` of an installed wheel, else ``docs`` of the repository."""
    shipped = files("app") / "docs"
    return shipped if shipped.is_dir() else files("app").joinpath("..", "docs")


def pages() -> dict[str, Traversable]:
    """Return name → file of every page, sorted by name; decisions (ADR) have names like ``adr/README``."""
    folder = pages_folder()
    found = {
        f"{prefix}{entry.name.removesuffix('.md')}": entry
        for prefix, place in (("", folder), ("adr/", folder / "adr"))
        for entry in place.iterdir()
        if entry.is_file() and entry.name.endswith(".md")
    }
    found[EXAMPLE] = folder / "examples" / "inventory.toml"
    return dict(sorted(found.items()))


def without_dead_links(text: str, page: str, names: Collection[str]) -> str:
    """Return the text of ``page`` with links to what is none of the pages ``names`` as plain text.

    >>> without_dead_links("[How](edge.md), [what](contracts/a.json), [who](https://a.b)", "ingest", ["edge"])
    '[How](edge.md), what, [who](https://a.b)'
    """

    def kept(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(page), link[2]))
        return link[0] if target.removesuffix(".md") in names else link[1]

    return _LINK.sub(kept, text)


def title_of(text: str) -> str:
    """Return the first line of a page that says something, without the signs before it.

    >>> title_of("# Results\\n\\nNumbers.")
    'Results'
    """
    return next((line.lstrip("# ") for line in text.splitlines() if line.strip("# ")), "")


@click.command("docs")
@click.argument("page", required=False)
def command(page: str | None) -> None:
    """List the pages about running Linli, or print PAGE. Of the decisions only their index is listed.

    \b
    linli docs                          # what there is
    linli docs runbook                  # what to do when something is wrong
    linli docs adr/README               # why it is as it is: an index of decisions, each a page as well
    linli docs inventory > mine.toml    # the commented example of an inventory
    """
    found = pages()
    listed = [name for name in found if "/" not in name or name == "adr/README"]
    name = (page or "").removesuffix(".md")
    if page is None:
        for each in listed:
            click.echo(f"{each:16} {title_of(found[each].read_text(encoding='utf-8'))}")
    elif name in found:
        text = found[name].read_text(encoding="utf-8")
        click.echo(text if name == EXAMPLE else without_dead_links(text, name, found), nl=False)
    else:
        close = nearest(page, found)
        hint = f"did you mean {close!r}?" if close else f"there are {', '.join(listed)}"
        raise ConfigurationError(f"there is no page {page!r}: {hint}")
