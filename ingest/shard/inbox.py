"""Where the network thread and the log's thread hand over to the shard's thread. Bounded for messages."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """A queue that is emptied whole.

    Args:
        limit: from so many items on, :meth:`put` waits; what the shard tells itself (:meth:`put_now`) never does.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: deque[T] = deque()
        self._own: deque[T] = deque()
        self._lock = threading.Lock()
        self._filled = threading.Condition(self._lock)
        self._emptied = threading.Condition(self._lock)
        self._closed = False

    def put(self, items: Sequence[T]) -> None:
        """Add items as there is room for them, waiting for more: the caller then reads no more from its socket."""
        done = 0
        with self._lock:
            while done < len(items):
                while len(self._items) >= self._limit and not self._closed:
                    self._emptied.wait(1.0)
                room = len(items) if self._closed else self._limit - len(self._items)
                self._items.extend(items[done : done + room])
                done += room
                self._filled.notify()

    def put_now(self, item: T) -> None:
        """Add an item of the shard's own at once."""
        with self._lock:
            self._own.append(item)
            self._filled.notify()

    def take(self, timeout_s: float, *, own_only: bool = False) -> list[T]:
        """Take everything there, waiting up to ``timeout_s`` for something; ``own_only`` leaves the rest in place."""
        with self._lock:
            if not self._own and (own_only or not self._items) and timeout_s > 0:
                self._filled.wait(timeout_s)
            taken = list(self._own)
            self._own.clear()
            if not own_only:
                taken += self._items
                self._items.clear()
                self._emptied.notify_all()
            return taken

    def close(self) -> None:
        """Let those who wait go: nobody will take any more."""
        with self._lock:
            self._closed = True
            self._emptied.notify_all()
