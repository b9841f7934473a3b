"""Where an event happened: the inventory says where a device stands, the device only what lies in it. Pure.

A device that is moved keeps its old place in its settings, and nobody thinks of it. So the inventory's place counts.
Gates, cameras and lifts may name a place of their own where that is known: each of them sees several.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from contracts.errors import DropReason
from contracts.events import DeviceConfigured, ObjectFell, ObjectObserved, PassageObserved
from contracts.names import DeviceClass

MAX_LEVELS = 12
"""A cycle in the table of places must end."""
_SEVERAL = frozenset({DeviceClass.GATE, DeviceClass.LIFT})
_SEEN = (ObjectObserved, PassageObserved, ObjectFell)

Parents = Mapping[str, str | None]
"""A site's places, each with the one it lies in."""


class SettledPlace(msgspec.Struct, frozen=True):
    """Where an event happened, and why that is not what the device said."""

    place_id: str
    reason: DropReason | None = None


def settle_place(said: str, event_type: type, device: DeviceConfigured, places: Parents) -> SettledPlace:
    """Return the place that counts of what the device and the inventory say.

    Args:
        said: by the device; empty when it said nothing that could be read.
        event_type: what it says.
        device: its record.
        places: of its site.
    """
    own = device.place_id
    if said in {own, "", device.device_id}:  # boxes and cameras that were told no place say their own id
        return SettledPlace(own)
    known = said in places
    if known and device.device_class is DeviceClass.CAM and issubclass(event_type, _SEEN):
        return SettledPlace(said)
    if known and device.device_class in _SEVERAL and _lies_in(said, own, places):
        return SettledPlace(said)
    return SettledPlace(own, DropReason.OTHER_PLACE if known else DropReason.UNKNOWN_PLACE)


def _lies_in(place_id: str, outer: str, places: Parents) -> bool:
    here: str | None = place_id
    for _ in range(MAX_LEVELS):
        if here is None or here == outer:
            return here == outer
        here = places.get(here)
    return False
