"""When devices were last heard, as the inventory's database keeps it: the log forgets, and so does a process."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from contracts.durations import HOUR_MS
from inventory.last_seen import LastSeen
from inventory.tables import Rows, upsert

DeviceKey = tuple[str, str]
"""Site and device."""
AHEAD_MS = HOUR_MS
"""Processes that follow one log may be as far apart, not more."""
_THROUGH = ("", "")
"""The row whose time says how far the log was heard: no site and no device have an empty id."""
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(LastSeen)


class KeptLastSeen(msgspec.Struct, frozen=True):
    """What was kept, and the log's time (epoch ms) up to which it is complete; 0: nothing was ever kept."""

    devices: Mapping[DeviceKey, LastSeen]
    through_ms: int


def read_last_seen(rows: Rows) -> KeptLastSeen:
    """Return everything that is kept."""
    found = {(site, device): (last_ms, body) for site, device, last_ms, body in rows.execute("SELECT * FROM last_seen")}
    through_ms, _ = found.pop(_THROUGH, (0, b""))
    return KeptLastSeen({key: _DECODER.decode(body) for key, (_, body) in found.items()}, int(through_ms))


def write_last_seen(rows: Rows, devices: Mapping[DeviceKey, LastSeen], through_ms: int) -> None:
    """Write these rows; what another process kept of a device later stays.

    One far ahead of all that was heard is no later word: the log's time has gone back since.
    """
    values = [(*key, heard.last_heard_ms or 0, _ENCODER.encode(heard)) for key, heard in devices.items()]
    values.append((*_THROUGH, through_ms, _ENCODER.encode(LastSeen())))
    upsert(
        rows,
        "last_seen",
        values,
        "(site_id, device_id) DO UPDATE SET last_ms = excluded.last_ms, body = excluded.body"
        " WHERE last_seen.last_ms <= excluded.last_ms OR last_seen.last_ms > ?",
        through_ms + AHEAD_MS,
    )
