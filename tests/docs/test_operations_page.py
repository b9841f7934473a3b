"""What the page on running Linli says can be typed: its settings and commands exist, its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from app.main import COMMANDS, linli
from app.settings.description import keys_as_table
from app.settings.loading import ValueOrigin, load
from app.settings.settings import keys

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operations.md"
TEXT = PAGE.read_text(encoding="utf-8")
SECTIONS = "|".join(sorted({key.split(".")[0] for key in keys()}))


def test_the_example_of_a_settings_file_is_one(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    file = tmp_path / "linli.toml"
    file.write_text(block, encoding="utf-8")
    origins = load(file, {}).origins.values()
    assert sum(origin is ValueOrigin.FILE for origin in origins) == block.count(" = ")


def test_its_table_of_keys_is_the_one_that_the_command_prints() -> None:
    differing = [line for line in keys_as_table().splitlines() if line not in TEXT.splitlines()]
    assert differing == [], "docs/operations.md lacks these rows: paste what linli check-config --markdown prints"
    assert keys_as_table() in TEXT, "docs/operations.md: rows too many, or in another order; paste it as said above"


def test_every_setting_it_names_exists() -> None:
    named = set(re.findall(rf"`((?:{SECTIONS})\.(?!db|toml|key|md)[a-z_]+)`", TEXT))
    assert len(named) > 5
    assert named <= set(keys())


def commands_named() -> list[str]:
    """``users add`` and the like, as far as they are words."""
    found = re.findall(r"(?:`|^)linli ((?:[a-z-]+ ?)+)", TEXT, re.MULTILINE)
    return sorted({" ".join(name.split()) for name in found})


@pytest.mark.parametrize("name", commands_named())
def test_every_command_it_names_exists(name: str) -> None:
    group, *rest = name.split()
    assert group in COMMANDS
    command = linli.get_command(click.Context(linli), group)
    for word in rest:
        if isinstance(command, click.Group):
            command = command.commands[word]
    assert command is not None


def test_its_links_lead_to_pages_that_exist() -> None:
    links = re.findall(r"\]\(([a-z-]+\.md)\)", TEXT)
    assert links
    assert all((PAGE.parent / link).exists() for link in links)
