"""Every command's module has its line in ``COMMANDS``, and every line its module, with words for ``linli --help``."""

from __future__ import annotations

import importlib
import pkgutil

import click
import pytest

import app.cli
from app.main import COMMANDS, linli

MODULES = {f"app.cli.{module.name}" for module in pkgutil.iter_modules(app.cli.__path__)}


def test_every_module_with_a_command_has_its_line() -> None:
    with_command = {name for name in MODULES if isinstance(_command(name), click.Command)}
    listed = {module for module, _ in COMMANDS.values()}
    assert with_command - listed == set(), "a line in COMMANDS of app/main.py is missing"
    assert listed - with_command == set(), "COMMANDS of app/main.py names a module without a command"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_its_name_and_says_in_a_sentence_what_it_does(name: str) -> None:
    module, sentence = COMMANDS[name]
    command = linli.get_command(click.Context(linli), name)
    assert command is not None
    assert command.name == name, f"{module}: the command is called {command.name!r}, COMMANDS of app/main.py {name!r}"
    assert command.help, f"{module}: the command has no docstring"
    assert sentence.endswith("."), f"app/main.py: the line of {name!r} is no sentence"


def _command(module: str) -> object:
    return getattr(importlib.import_module(module), "command", None)
