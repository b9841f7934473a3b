"""A dictionary with an end: the key used longest ago goes when a new one would be too many. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, ItemsView
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LruDict(Generic[K, V]):
    """At most ``limit`` keys, each made by ``make`` on first use.

    >>> counts: LruDict[str, list[int]] = LruDict(2, list)
    >>> for key in "abab" + "c":
    ...     counts[key].append(1)
    >>> [key for key, _ in counts.items()]
    ['b', 'c']
    """

    def __init__(self, limit: int, make: Callable[[], V]) -> None:
        self._limit, self._make = limit, make
        self._rows: OrderedDict[K, V] = OrderedDict()

    def __getitem__(self, key: K) -> V:
        found = self._rows.get(key)
        if found is None:
            found = self._make()
            if len(self._rows) >= self._limit:
                self._rows.popitem(last=False)
        else:
            self._rows.move_to_end(key)
            return found
        self._rows[key] = found
        return found

    def __setitem__(self, key: K, value: V) -> None:
        self[key]
        self._rows[key] = value

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: K) -> bool:
        return key in self._rows

    def items(self) -> ItemsView[K, V]:
        """Return all, the one used longest ago first."""
        return self._rows.items()

    def forget(self, key: K) -> None:
        """Drop one key, if it is there."""
        self._rows.pop(key, None)
