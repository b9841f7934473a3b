"""What ingest noticed of devices, as the inventory's database keeps it: each shard its own, in place of all before."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from inventory.notices import DeviceNotice
from inventory.tables import Rows


def read_notices(rows: Rows) -> list[DeviceNotice]:
    """Return all notices, by site and device; of what two noticed, the newer word."""
    found = rows.execute("SELECT body FROM notices")
    said = [msgspec.json.decode(body, type=DeviceNotice) for (body,) in found]
    newest = {(one.site_id, one.device_id, one.code): one for one in sorted(said, key=lambda one: one.last_ms)}
    return [newest[key] for key in sorted(newest)]


def write_notices(rows: Rows, notices: Sequence[DeviceNotice], follower: str, owns: Callable[[str], bool]) -> None:
    """Replace what is kept of ``follower``, and of its sites, whoever wrote that: a shard of another layout did."""
    rows.execute("DELETE FROM notices WHERE follower = ?", (follower,))
    for (site_id,) in rows.execute("SELECT DISTINCT site_id FROM notices"):
        if owns(site_id):
            rows.execute("DELETE FROM notices WHERE site_id = ?", (site_id,))
    for one in notices:
        values = (follower, one.site_id, one.device_id, one.code.value, msgspec.json.encode(one))
        rows.execute("INSERT INTO notices VALUES (?, ?, ?, ?, ?)", values)
