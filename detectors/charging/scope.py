"""Which meters may be read for charging, and which of them a sighting, a tag or a fire sign concerns.

Dwellings' meters only with consent (docs/requirements.md#p13); the landlord's circuits of halls,
corridors and stairs always; charging sheds, gates and lifts never: charging is lawful in the one, and the others' loads
are their own.
"""

from __future__ import annotations

from contracts.events import DeviceConfigured
from contracts.names import DeviceClass
from contracts.places import Place, PlaceUse
from detectors.core.rule import MAX_KEYS
from detectors.core.site_view import SiteView

LANDLORD = frozenset((PlaceUse.COMMON, PlaceUse.CORRIDOR, PlaceUse.LOBBY, PlaceUse.STAIR))
INDOOR = frozenset((PlaceUse.LIFT, PlaceUse.LOBBY, PlaceUse.CORRIDOR, PlaceUse.STAIR, PlaceUse.ENTRANCE))
"""Where an e-bike or its tag, once seen, is on its way in."""


def is_judged(device: DeviceConfigured | None, site: SiteView) -> bool:
    """Return whether this meter's readings may be looked at at all. A place without a record is not judged."""
    if device is None or device.device_class is not DeviceClass.METER:
        return False
    place = site.places.get(device.place_id)
    if place is None:
        return False
    return device.consented if place.use is PlaceUse.DWELLING else place.use in LANDLORD


def meters_at(place_id: str, site: SiteView) -> tuple[str, ...]:
    """Return the judged meters of exactly this place."""
    here = site.devices_at.get(place_id, ())
    return tuple(name for name in here if is_judged(site.devices[name], site))[:MAX_KEYS]


def meters_near(place: Place, site: SiteView) -> tuple[str, ...]:
    """Return the judged meters that something seen at ``place`` may concern, sorted; none when it says too little.

    A corridor's floor, else the unit (stair), else the building; over 32 meters a sighting points at nobody.
    """
    if place.building is None:
        return ()
    names = [device.device_id for device in site.devices_in(place.building) if _is_near(place, device, site)]
    return tuple(sorted(names)) if len(names) <= MAX_KEYS else ()


def same_room(first_id: str, second_id: str, site: SiteView) -> bool:
    """Return whether two places are one, or parts of one room."""
    if first_id == second_id:
        return True
    first, second = site.places.get(first_id), site.places.get(second_id)
    if first is None or second is None or first.room is None:
        return False
    where = (first.building, first.unit, first.floor, first.room)
    return where == (second.building, second.unit, second.floor, second.room)


def _is_near(place: Place, device: DeviceConfigured, site: SiteView) -> bool:
    if device.device_class is not DeviceClass.METER:
        return False
    home = site.places.get(device.place_id)
    if home is None or home.building != place.building or not is_judged(device, site):
        return False
    if place.unit is not None and home.unit is not None and home.unit != place.unit:
        return False
    upstairs = place.use is PlaceUse.CORRIDOR and place.floor is not None and home.floor is not None
    return not upstairs or home.floor == place.floor
