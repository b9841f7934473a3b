"""When each device was last heard, and what it said: what is kept, and what the log has had since."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import msgspec

from app.settings.settings import Settings
from app.wiring.sources import open_logs
from app.wiring.stores import look_into_inventory
from console.api.present import device_state
from inventory.last_seen import LastSeen
from inventory.last_seen_log import LOOK_BACK_MS, LastSeenFollower, recall_from_ms
from inventory.last_seen_rows import KeptLastSeen
from streams.log.sqlite.day_log import DayLog


class HeardDevice(msgspec.Struct, frozen=True):
    """A device of the inventory. ``last_ms`` None: it was never heard."""

    site_id: str
    device_id: str
    device_class: str
    state: str
    last_ms: int | None
    last_kind: str


def heard_devices(settings: Settings, now_ms: int) -> list[HeardDevice]:
    """Return the devices in force by site and id, each as it was last heard up to now.

    Raises:
        ConfigurationError: a store cannot be used as configured. Transient: a server does not answer.
    """
    with look_into_inventory(settings) as inventory:
        if inventory is None:
            return []
        devices, kept = inventory.devices(), inventory.last_seen()
    with _followed(settings, kept, now_ms) as follower:
        follower.take(kept.devices)
        follower.catch_up()
    known = follower.known()
    found = []
    for device in devices:
        heard = known.get((device.site_id, device.device_id), LastSeen())
        found.append(
            HeardDevice(
                device.site_id,
                device.device_id,
                device.device_class.value,
                device_state(device, heard, now_ms),
                heard.last_heard_ms,
                heard.last_kind,
            )
        )
    return found


@contextmanager
def _followed(settings: Settings, kept: KeptLastSeen, now_ms: int) -> Iterator[LastSeenFollower]:
    """Yield who hears what the log has had since it was kept."""
    if settings.log.on_kafka:
        with closing(open_logs(settings)) as logs:
            yield LastSeenFollower(logs.readers, kept.through_ms or now_ms - LOOK_BACK_MS)
    elif settings.log.folder().is_dir():
        with closing(DayLog(settings.log.folder(), readonly=True)) as log:
            yield LastSeenFollower([log], recall_from_ms(kept.through_ms, log.last_watermark_ms()))
    else:
        yield LastSeenFollower([], now_ms)
