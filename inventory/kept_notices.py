"""What ingest noticed of devices, as the inventory's database keeps it: each shard its own, in place of all before."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from inventory.notices import DeviceNotice
from inventory.tables import Tables


class KeptNotices:
    """What is wrong with the words of devices. Any thread and process may use it."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def current(self) -> list[DeviceNotice]:
        """Return all notices, by site and device; of what two noticed, the newer word."""
        with self._tables.read() as rows:
            found = rows.execute("SELECT body FROM notices")
        said = [msgspec.json.decode(body, type=DeviceNotice) for (body,) in found]
        newest = {(one.site_id, one.device_id, one.code): one for one in sorted(said, key=lambda one: one.last_ms)}
        return [newest[key] for key in sorted(newest)]

    def put(self, notices: Sequence[DeviceNotice], follower: str, owns: Callable[[str], bool]) -> None:
        """Replace what ``follower`` noticed of devices, and what anybody did at a site that it ``owns``: a shard of
        another layout did.
        """
        with self._tables.write() as rows:
            rows.execute("DELETE FROM notices WHERE follower = ?", (follower,))
            for (site_id,) in rows.execute("SELECT DISTINCT site_id FROM notices"):
                if owns(site_id):
                    rows.execute("DELETE FROM notices WHERE site_id = ?", (site_id,))
            for one in notices:
                values = (follower, one.site_id, one.device_id, one.code.value, msgspec.json.encode(one))
                rows.execute("INSERT INTO notices VALUES (?, ?, ?, ?, ?)", values)
