"""Where options stand in a command line of ``linli``: some groups take the settings file, some commands do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click


def with_config(root: click.Command, arguments: Sequence[str], config: Path | None) -> tuple[str, ...]:
    """``arguments`` of ``linli`` with ``--config`` where the command takes it; as they are without a ``config``."""
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
