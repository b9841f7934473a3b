"""A dictionary with an end: a key used long ago goes when a new one would be too many. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, ItemsView
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LruDict(Generic[K, V]):
    """At most ``limit`` keys, each made by ``make`` on first use.

    Args:
        limit: of keys.
        make: a value for a new key.
        exact: keep the order of use always, so that the key used longest ago goes first. Otherwise only while it is
            more than half full: noting each use of thousands of keys costs more than finding them.

    >>> counts: LruDict[str, list[int]] = LruDict(2, list)
    >>> for key in "abab" + "c":
    ...     counts[key].append(1)
    >>> [key for key, _ in counts.items()]
    ['b', 'c']
    """

    def __init__(self, limit: int, make: Callable[[], V], *, exact: bool = True) -> None:
        self._limit, self._make = limit, make
        self._orders_from = 0 if exact else limit // 2
        self._rows: OrderedDict[K, V] = OrderedDict()

    def __getitem__(self, key: K) -> V:
        found = self._rows.get(key)
        if found is None:
            found = self._make()
            if len(self._rows) >= self._limit:
                self._rows.popitem(last=False)
            self._rows[key] = found
        elif len(self._rows) > self._orders_from:
            self._rows.move_to_end(key)
        return found

    def __setitem__(self, key: K, value: V) -> None:
        self[key]
        self._rows[key] = value

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: K) -> bool:
        return key in self._rows

    def items(self) -> ItemsView[K, V]:
        """Return all, the one used longest ago first; where the order is not kept, the one made first."""
        return self._rows.items()

    def forget(self, key: K) -> None:
        """Drop one key, if it is there."""
        self._rows.pop(key, None)
