"""How many live feeds there may be: of a session, of an address and in all. Each takes work at every change."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

MOST_OF_SESSION = 8
MOST_OF_ADDRESS = 64
MOST = 128


class TooManyFeeds(Exception):  # noqa: N818 - answered with 429
    """The session, the address or the console has as many as it may have."""


class FeedPlaces:
    """Gives places to feeds."""

    def __init__(
        self, of_session: int = MOST_OF_SESSION, of_address: int = MOST_OF_ADDRESS, in_all: int = MOST
    ) -> None:
        self._most = {"session": of_session, "address": of_address, "all": in_all}
        self._lock = threading.Lock()
        self._taken: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def place(self, session: str, address: str) -> Iterator[None]:
        """Hold a place while the block runs.

        Raises:
            TooManyFeeds: there is none.
        """
        keys = [("session", session), ("address", address), ("all", "")]
        with self._lock:
            if any(self._taken[key] >= self._most[key[0]] for key in keys):
                raise TooManyFeeds
            self._taken.update(keys)
        try:
            yield
        finally:
            with self._lock:
                self._taken.subtract(keys)
                self._taken = +self._taken  # without what nobody holds
