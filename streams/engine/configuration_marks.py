"""Which configuration records a site has taken, and how the engine numbers them on. Pure.

An inventory numbers its records for each site, and names itself in them. A store that was lost begins again at 1 under
another name. One that was put back from a backup gives numbers a second time, in other transactions. Neither may be
taken for what is known (docs/protocol.md#duplicates).
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from contracts.events import ConfigurationRecord

MAX_TRANSACTIONS = 32
"""Transactions remembered one by one; of older ones only how far their store had come."""
MAX_STORES = 8

R = TypeVar("R", bound=ConfigurationRecord)


class TransactionMark(msgspec.Struct, frozen=True, array_like=True):
    """The highest version taken of what a store wrote at once; it numbers that in order."""

    store: str
    transaction: str
    version: int


class ConfigurationRow(msgspec.Struct, frozen=True, array_like=True):
    """The marks as a snapshot keeps them, oldest first. ``passed``: store → up to where all may have been taken."""

    transactions: tuple[TransactionMark, ...] = ()
    passed: dict[str, int] = {}


class ConfigurationMarks:
    """The records that one site has taken.

    ``version`` is the highest number given to one here. It never goes back, whatever stores do: a record whose own
    number is not above it gets the next one.
    """

    __slots__ = ("_passed", "_transactions", "version")

    def __init__(self, version: int, row: ConfigurationRow | None) -> None:
        self.version = version
        self._passed = dict(row.passed) if row else {"": version}
        self._transactions: dict[tuple[str, str], int] = {}
        if row is not None:
            self._transactions = {(mark.store, mark.transaction): mark.version for mark in row.transactions}

    def row(self) -> ConfigurationRow:
        """Return the marks for a snapshot."""
        marks = tuple(TransactionMark(*of, version) for of, version in self._transactions.items())
        return ConfigurationRow(marks, dict(self._passed))

    def is_new(self, record: ConfigurationRecord) -> bool:
        """Return whether ``record`` was not taken before; marks it as taken."""
        of = (record.store, record.transaction)
        if record.version <= self._transactions.get(of, self._passed.get(record.store, 0)):
            return False
        self.version = max(self.version + 1, record.version)
        if not record.store:  # of a time when stores had no name: their numbers alone tell them apart
            self._pass("", record.version)
            return True
        self._transactions[of] = record.version
        if len(self._transactions) > MAX_TRANSACTIONS:
            (store, _), reached = oldest = next(iter(self._transactions.items()))
            del self._transactions[oldest[0]]
            self._pass(store, reached)
        return True

    def numbered(self, record: R) -> R:
        """Return the record that was taken last with its number here."""
        return record if record.version == self.version else msgspec.structs.replace(record, version=self.version)

    def _pass(self, store: str, version: int) -> None:
        self._passed[store] = max(self._passed.pop(store, 0), version)
        if len(self._passed) > MAX_STORES:
            del self._passed[next(iter(self._passed))]
