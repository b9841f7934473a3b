"""Secrets that no output ever shows: not a log, not an error, not ``repr``, not a settings listing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

HIDDEN = "***"


class Secret:
    """A text that only :meth:`reveal` gives. Equal to a secret of the same text; never printed, never encoded."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself, for the one call that needs it."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return f"Secret({HIDDEN})"

    def __str__(self) -> str:
        return HIDDEN


Passwords: TypeAlias = Callable[[], Sequence[Secret]]
"""Gives what proves us, asked whenever it is to be proven: the one in force, and while it is exchanged the next one."""
