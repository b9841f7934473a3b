"""The gates of a door: which there are, when each was last heard, and whether a credential would be known by them."""

from __future__ import annotations

import msgspec

from contracts.events import INGEST_SOURCE, DeviceReported, DeviceStateChanged, Event
from contracts.names import DeviceClass
from contracts.rules import Threshold
from detectors.access.grants import RULE
from detectors.core.site_view import SiteView

MAX_LIVE_MS = 600_000
LIVE = Threshold(
    RULE, "live_ms", 300_000, 10_000, MAX_LIVE_MS, "ms", "how long a gate without a reporting period counts as live"
)
MAX_GATES = 4


class Gate(msgspec.Struct, frozen=True, array_like=True):
    """One gate of the door: when it was last heard. ``online`` false: it said it goes, or its clock cannot be used."""

    device_id: str
    heard_ms: int
    online: bool


def gates_at(place_id: str, site: SiteView) -> tuple[str, ...]:
    """Return the gates of a door that count, by id."""
    here = site.devices_at.get(place_id, ())
    return tuple(name for name in here if site.devices[name].device_class is DeviceClass.GATE)[:MAX_GATES]


def is_unread(event: Event) -> bool:
    """Return whether ingest says that something of a gate of this door could not be taken: it may have been a grant."""
    return event.source_id == INGEST_SOURCE and type(event) is DeviceReported and not event.healthy


def heard(gates: tuple[Gate, ...], event: Event) -> tuple[Gate, ...]:
    """Return the gates after a word of one of them."""
    useless = event.untrusted or (type(event) is DeviceStateChanged and not event.online)
    known = {gate.device_id: gate for gate in gates}
    before = known.get(event.source_id)
    heard_ms = event.at_ms if before is None else max(event.at_ms, before.heard_ms)
    known[event.source_id] = Gate(event.source_id, heard_ms, not useless)
    return tuple(sorted(known.values(), key=_heard_ms))[-MAX_GATES:]


def _heard_ms(gate: Gate) -> tuple[int, str]:
    return gate.heard_ms, gate.device_id


def are_live(gates: tuple[Gate, ...], door_id: str, at_ms: int, site: SiteView) -> bool:
    """Return whether the door has gates, and each was heard, with a clock that can be used, in its own period."""
    known = {gate.device_id: gate for gate in gates}
    names = gates_at(door_id, site)
    return bool(names) and all(_live(known.get(name), name, at_ms, site) for name in names)


def _live(gate: Gate | None, device_id: str, at_ms: int, site: SiteView) -> bool:
    if gate is None or not gate.online:
        return False
    period_ms = site.devices[device_id].silent_after_ms or site.threshold(LIVE)
    return gate.heard_ms >= at_ms - min(period_ms, MAX_LIVE_MS)
