"""Where options stand in a command line of ``linli``: some groups take the settings file, some commands do."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import click

from app.settings.loading import load_settings
from app.settings.settings import Settings

KEPT = click.IntRange(0, 2**63 - 1)
"""Numbers that a database keeps: places in a log, letters."""
P = ParamSpec("P")
R = TypeVar("R")


def pass_settings(work: Callable[Concatenate[Settings, P], R]) -> Callable[P, R]:
    """Give a command the settings of its group's ``--config``. They are read when the command is run, and not before.

    So a command explains itself, and says what is wrong with its own options, also where the settings are broken.
    """

    def run(config: Path | None, /, *args: P.args, **options: P.kwargs) -> R:
        return work(load_settings(config), *args, **options)

    return functools.update_wrapper(click.pass_obj(run), work)


def with_config(root: click.Command, arguments: Sequence[str], config: Path | None) -> tuple[str, ...]:
    """Return ``arguments`` with ``--config`` where the command takes it; as they are without a ``config``."""
    if config is None:
        return tuple(arguments)
    command: click.Command | None = root
    for place, word in enumerate(arguments, start=1):
        if not isinstance(command, click.Group):
            break
        command = command.get_command(click.Context(command), word)
        if command is not None and any(option.name == "config" for option in command.params):
            return (*arguments[:place], "--config", str(config), *arguments[place:])
    return tuple(arguments)
