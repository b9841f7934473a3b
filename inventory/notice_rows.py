"""What ingest noticed of devices, as the inventory's database keeps it: each shard its own, in place of all before."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from inventory.notices import DeviceNotice
from inventory.tables import Rows


def read_notices(rows: Rows, follower: str | None = None) -> list[DeviceNotice]:
    """Return the notices of one follower or of all, by site and device; of what two noticed, the newer word."""
    found = rows.execute("SELECT follower, body FROM notices")
    said = [msgspec.json.decode(body, type=DeviceNotice) for name, body in found if follower in {None, name}]
    newest = {(one.site_id, one.device_id, one.code): one for one in sorted(said, key=lambda one: one.last_ms)}
    return [newest[key] for key in sorted(newest)]


def write_notices(rows: Rows, notices: Sequence[DeviceNotice], follower: str) -> None:
    """Replace what is kept of ``follower``."""
    rows.execute("DELETE FROM notices WHERE follower = ?", (follower,))
    for one in notices:
        values = (follower, one.site_id, one.device_id, one.code.value, msgspec.json.encode(one))
        rows.execute("INSERT INTO notices VALUES (?, ?, ?, ?, ?)", values)
