"""How many passwords are hashed at once: each takes memory and a core, and strangers can ask for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from contracts.errors import Transient

AT_ONCE = 2
"""With the parameters of :mod:`identity.passwords`, 64 MiB at most."""
WAITING = 16


class HashingQueue:
    """Lets ``at_once`` threads hash while ``waiting`` others wait; who comes after those is sent away."""

    def __init__(self, at_once: int = AT_ONCE, waiting: int = WAITING) -> None:
        self._places = threading.BoundedSemaphore(at_once + waiting)
        self._hashing = threading.BoundedSemaphore(at_once)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn and hold it.

        Raises:
            Transient: too many wait already.
        """
        if not self._places.acquire(blocking=False):
            raise Transient("too many log in at this moment", retry_after_s=2)
        try:
            with self._hashing:
                yield
        finally:
            self._places.release()
