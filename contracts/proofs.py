"""What proves us to a server, while it may be exchanged at any moment. Pure: what reads it comes in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from contracts.errors import ConfigurationError

P = TypeVar("P")


class ProofsInTurn(Generic[P]):
    """Gives what to prove oneself with until the server takes one.

    Args:
        now: gives what counts at this moment, the likeliest first; raises ConfigurationError when it cannot be read.
    """

    def __init__(self, now: Callable[[], Sequence[P]]) -> None:
        self._now = now
        self.taken: P | None = None

    def __iter__(self) -> Iterator[P]:
        """Yield each once, the one that was taken before last of all.

        They are read again after each, since one that was refused may just have been replaced.

        Raises:
            ConfigurationError: they cannot be read, and none was taken before; else a file that is gone takes nothing
                away.
        """
        tried: list[P] = []
        while left := [one for one in self._known() if one not in tried]:
            tried.append(left[0])
            yield left[0]

    def _known(self) -> list[P]:
        taken = [] if self.taken is None else [self.taken]
        try:
            return [*self._now(), *taken]
        except ConfigurationError:
            if not taken:
                raise
            return taken
