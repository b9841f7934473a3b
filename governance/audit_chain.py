"""The audit log's chain, looked at again and again by one process: what is new, and a part of what is old."""

from __future__ import annotations

from sqlalchemy import Connection

from governance.audit import Link, chain_begin, first_broken, follow_chain

AGAIN = 1_000
"""So many old entries are read again at each look: in turn, so that each is looked at every so often."""


class AuditChain:
    """Remembers how far the chain was found whole. The first look reads all of it."""

    def __init__(self) -> None:
        self._through: Link | None = None
        self._again: Link | None = None  # up to where old entries were read again; None: from the beginning

    def first_broken(self, connection: Connection) -> int | None:
        """Return the number of the first broken entry that was met, None when there was none."""
        begin = chain_begin(connection)
        if isinstance(begin, int):
            return begin
        if self._through is None or self._through.seq < begin.seq:
            self._through = begin
        new, through = follow_chain(connection, self._through)
        if new is not None:
            return self._earlier(connection, new)
        self._through = through
        if self._again is None or self._again.seq < begin.seq:
            self._again = begin
        old, self._again = follow_chain(connection, self._again, AGAIN)
        if self._again.seq >= through.seq:
            self._again = None
        return old

    def _earlier(self, connection: Connection, number: int) -> int:
        """Return where the chain is broken first, now that it is: the whole of it is read."""
        self._through = self._again = None
        return first_broken(connection) or number
