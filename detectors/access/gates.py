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
CLOCK_MS = 2_000
"""What is further from its receipt may be told by a wrong clock, and so may two words that differ by more in this."""


class Gate(msgspec.Struct, frozen=True, array_like=True):
    """One gate of the door: when it was last heard, and how long before its receipt that was by its clock.

    ``online`` false: it said it goes, or its clock cannot be used.
    """

    device_id: str
    heard_ms: int
    online: bool
    lag_ms: int = 0


def gates_at(place_id: str, site: SiteView) -> tuple[str, ...]:
    """Return the gates of a door that count, by id."""
    here = site.devices_at.get(place_id, ())
    return tuple(name for name in here if site.devices[name].device_class is DeviceClass.GATE)[:MAX_GATES]


def has_gate(place_id: str, site: SiteView) -> bool:
    """Return whether there is a gate at a door: asked of every event."""
    for name in site.devices_at.get(place_id, ()):  # noqa: SIM110 - a generator costs three times as much
        if site.devices[name].device_class is DeviceClass.GATE:
            return True
    return False


def is_unread(event: Event) -> bool:
    """Return whether ingest says that something of a gate of this door could not be taken: it may have been a grant."""
    return event.source_id == INGEST_SOURCE and type(event) is DeviceReported and not event.healthy


def is_doubtful(event: Event) -> bool:
    """Return whether its time may be wrong: its clock was ahead, contradicts what was measured of it, or never was."""
    return event.untrusted or event.future or abs(event.received_ms - event.at_ms) > CLOCK_MS


def heard(gates: tuple[Gate, ...], event: Event) -> tuple[Gate, ...]:
    """Return the gates after a word of one of them."""
    useless = is_doubtful(event) or (type(event) is DeviceStateChanged and not event.online)
    heard_ms, others = event.at_ms, []
    for gate in gates:
        if gate.device_id != event.source_id:
            others.append(gate)
        elif gate.heard_ms > heard_ms:
            heard_ms = gate.heard_ms
    spoke = Gate(event.source_id, heard_ms, not useless, event.received_ms - event.at_ms)
    return tuple(sorted((*others, spoke), key=_heard_ms))[-MAX_GATES:] if others else (spoke,)


def _heard_ms(gate: Gate) -> tuple[int, str]:
    return gate.heard_ms, gate.device_id


def are_live(gates: tuple[Gate, ...], door_id: str, at_ms: int, lag_ms: int, site: SiteView) -> bool:
    """Return whether the door has gates, and each was heard, with a clock that can be used, in its own period.

    ``lag_ms``: how long before its receipt something happened at ``at_ms``; the gates must be as near to theirs.
    """
    known = {gate.device_id: gate for gate in gates}
    names = gates_at(door_id, site)
    return bool(names) and all(
        (gate := known.get(name)) is not None
        and abs(gate.lag_ms - lag_ms) <= CLOCK_MS
        and _live(gate, site.devices[name].silent_after_ms, at_ms, site)
        for name in names
    )


def _live(gate: Gate, silent_after_ms: int | None, at_ms: int, site: SiteView) -> bool:
    period_ms = silent_after_ms or site.threshold(LIVE)
    return gate.online and gate.heard_ms >= at_ms - min(period_ms, MAX_LIVE_MS)
