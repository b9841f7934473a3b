"""Which PUBACKs may go: in the order of receipt, as MQTT wants them, and only of the connection they came on. Pure.

A message that is held back gives up its place, so that it cannot stop the others; brokers take an answer out of turn.
"""

from __future__ import annotations

from collections import deque

import msgspec


class PendingPuback(msgspec.Struct):
    """One QoS 1 message of one connection, to be acknowledged once what it said is durable (or refused)."""

    mid: int
    connection: int
    done: bool = False
    detached: bool = False


class PubackQueue:
    """The open receipts of the present connection, oldest first."""

    def __init__(self) -> None:
        self._open: deque[PendingPuback] = deque()
        self._free: list[PendingPuback] = []

    def __len__(self) -> int:
        return len(self._open)

    def received(self, mid: int, connection: int) -> PendingPuback:
        """Return a receipt for a message that has just come."""
        receipt = PendingPuback(mid, connection)
        self._open.append(receipt)
        return receipt

    def detach(self, receipt: PendingPuback) -> None:
        """Give up its place in the order: it will be answered when it is done."""
        receipt.detached = True

    def finish(self, receipt: PendingPuback) -> None:
        """Note that the message is durable, or refused."""
        receipt.done = True
        if receipt.detached:
            self._free.append(receipt)

    def disconnected(self) -> None:
        """Forget them all: the broker will send everything unanswered again, perhaps under other numbers."""
        self._open.clear()
        self._free.clear()

    def take(self, connection: int) -> list[int]:
        """Return the message numbers to answer now, in order."""
        mids = [r.mid for r in self._free if r.connection == connection]
        self._free.clear()
        while self._open and (self._open[0].done or self._open[0].detached):
            receipt = self._open.popleft()
            if receipt.done and not receipt.detached and receipt.connection == connection:
                mids.append(receipt.mid)
        return mids
