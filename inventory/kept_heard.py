"""What was heard of those whom nobody configured, as it was heard: it may name somebody, and can be forgotten."""

from __future__ import annotations

from collections.abc import Callable

from inventory.tables import Tables

_TABLES = ("waiting_devices", "waiting_topics", "notices")


class KeptHeard:
    """Pending devices and topics, and notices of devices. Any thread and process may use it."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def forget(self, names: Callable[[str], bool], *, dry: bool) -> int:
        """Delete the rows whose text ``names`` says yes to; how many there were.

        A shard that runs may write a row again: it ends seven days after it was heard last.

        Args:
            names: is asked with all that a row says.
            dry: only count.
        """
        count = 0
        with self._tables.read() if dry else self._tables.write() as rows:
            for table in _TABLES:
                for (body,) in rows.execute(f"SELECT DISTINCT body FROM {table}"):
                    if names(bytes(body).decode("utf-8", "replace")):
                        count += 1
                        if not dry:
                            rows.execute(f"DELETE FROM {table} WHERE body = ?", (body,))
        return count
