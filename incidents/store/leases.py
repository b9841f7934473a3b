"""Who works on what, where several processes share one database: a name is worked on by one of them at a time."""

from __future__ import annotations

import threading
from typing import Protocol


class Leases(Protocol):
    """The names that this process has. Whoever works asks before each piece of work, and leaves it without the name.

    A name is forever the holder's until it ends, dies, is cut off from the database or stands still for long; then
    another process that asks gets it. A holder that was cut off may still finish the piece it is at, so what is done
    under a name must bear being done twice.
    """

    def holds(self, name: str) -> bool:
        """Return whether this process may work on ``name`` now; ask for it when it has not. Cheap; never raises."""
        ...

    def run(self, stop: threading.Event) -> None:
        """Keep what is held until ``stop``, then give it up."""
        ...


class UncontestedLeases:
    """A :class:`Leases` of a process that shares its database with nobody."""

    def holds(self, name: str) -> bool:
        """See :class:`Leases`."""
        return True

    def run(self, stop: threading.Event) -> None:
        """See :class:`Leases`."""
        stop.wait()
