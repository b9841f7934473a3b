"""A residential community: its buildings, rooms and people, and the devices that watch its common places."""

from __future__ import annotations

import random

import msgspec

from contracts.durations import HOUR_MS, MINUTE_MS
from contracts.names import DeviceClass
from contracts.places import Place, PlaceKind, PlaceUse

TIME_ZONE_OFFSET_MS = 8 * HOUR_MS  # Asia/Shanghai, without daylight saving since 1991

NAMES = ("锦绣花园", "翠湖新村", "和平里", "阳光家园", "梧桐苑", "滨江小区", "望春社区", "桂花园")


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """One device as it is built in. ``heartbeat_ms``: how often it says that it lives (0: only when it is used)."""

    device_id: str
    device_class: DeviceClass
    place_id: str
    heartbeat_ms: int
    silent_after_ms: int | None
    box_id: str | None = None
    consented: bool = False


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """A flat (室) and the pseudonyms of those who live there."""

    place_id: str
    floor: int
    people: tuple[str, ...]


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """A stair (单元): one door, one lobby, one lift."""

    unit_id: str
    building_id: str
    rooms: tuple[Room, ...]

    @property
    def door_id(self) -> str:
        """The place of its entrance door."""
        return f"{self.unit_id}-door"

    @property
    def lobby_id(self) -> str:
        """The place of its lobby."""
        return f"{self.unit_id}-lobby"

    @property
    def lift_id(self) -> str:
        """The place of its lift car."""
        return f"{self.unit_id}-lift"

    @property
    def gate_id(self) -> str:
        """The gate at its door."""
        return f"gate-{self.unit_id}"

    def camera_id(self, where: str) -> str:
        """Return the camera at its ``door``, ``lobby`` or ``lift``."""
        return f"cam-{self.unit_id}-{where}"


class Building(msgspec.Struct, frozen=True, kw_only=True):
    """A building (楼栋): its stairs, its facade in columns, and the edge box in its cellar."""

    building_id: str
    units: tuple[Unit, ...]
    floors: int
    columns: int

    @property
    def box_id(self) -> str:
        """The edge box that speaks for its cameras."""
        return f"box-{self.building_id}"

    @property
    def facade_id(self) -> str:
        """The place of its watched facade."""
        return f"{self.building_id}-facade"

    @property
    def facade_camera_id(self) -> str:
        """The camera that looks up its facade."""
        return f"cam-{self.building_id}-facade"

    def column_id(self, number: int) -> str:
        """Return the place of one vertical strip of its facade, counted from 1."""
        return f"{self.building_id}-col{number}"


class Community(msgspec.Struct, frozen=True, kw_only=True):
    """One site: what is built there and which devices watch it."""

    site_id: str
    name: str
    buildings: tuple[Building, ...]
    places: tuple[Place, ...]
    devices: tuple[Device, ...]

    @property
    def units(self) -> tuple[Unit, ...]:
        """All stairs of all buildings."""
        return tuple(unit for building in self.buildings for unit in building.units)

    def of_class(self, device_class: DeviceClass) -> tuple[Device, ...]:
        """Return the devices of one class, in order of building."""
        return tuple(device for device in self.devices if device.device_class is device_class)

    def device(self, device_id: str) -> Device:
        """Return one device by its id."""
        return next(device for device in self.devices if device.device_id == device_id)

    def box_of(self, device_id: str) -> str | None:
        """Return the box that speaks for a device: a box speaks for itself, a gate for nobody else."""
        device = self.device(device_id)
        return device.device_id if device.device_class is DeviceClass.EDGE else device.box_id


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How large a community is built."""

    buildings: int = 2
    units: int = 2
    floors: int = 12
    rooms: int = 8  # inhabited rooms of a unit that the simulation follows
    metered_rooms: int = 2  # of each unit
    columns: int = 4


MAIN_GATE_ID = "gate-main"
MAIN_GATE_PLACE = "main-gate"
SHED_PLACE = "shed"
SHED_METER_ID = "meter-shed"

GATE_HEARTBEAT_MS, GATE_SILENT_MS = 10 * MINUTE_MS, 30 * MINUTE_MS
BOX_HEARTBEAT_MS, BOX_SILENT_MS = 5 * MINUTE_MS, 15 * MINUTE_MS
# A camera is heard through its box: 15 minutes, a 25 minutes' outage of the box and 15 more must not look like silence.
CAMERA_HEARTBEAT_MS, CAMERA_SILENT_MS = 15 * MINUTE_MS, 60 * MINUTE_MS
SENSOR_HEARTBEAT_MS, SENSOR_SILENT_MS = 20 * MINUTE_MS, 60 * MINUTE_MS
METER_SILENT_MS = 20 * MINUTE_MS
LONGEST_SILENCE_MS = 60 * MINUTE_MS
_PACE = {  # heartbeat, silent after
    DeviceClass.GATE: (GATE_HEARTBEAT_MS, GATE_SILENT_MS),
    DeviceClass.EDGE: (BOX_HEARTBEAT_MS, BOX_SILENT_MS),
    DeviceClass.CAM: (CAMERA_HEARTBEAT_MS, CAMERA_SILENT_MS),
    DeviceClass.SENSOR: (SENSOR_HEARTBEAT_MS, SENSOR_SILENT_MS),
    DeviceClass.METER: (0, METER_SILENT_MS),
}


def build_community(rng: random.Random, site_id: str, name: str, plan: Plan) -> Community:
    """Return a community of ``plan``'s size; rooms, people and consents are drawn from ``rng``."""
    buildings = tuple(_building(rng, f"b{number + 1}", plan) for number in range(plan.buildings))
    return Community(
        site_id=site_id,
        name=name,
        buildings=buildings,
        places=tuple(_places(site_id, buildings)),
        devices=tuple(_devices(rng, buildings, plan)),
    )


def _building(rng: random.Random, building_id: str, plan: Plan) -> Building:
    units = tuple(_unit(rng, building_id, f"{building_id}u{number + 1}", plan) for number in range(plan.units))
    return Building(building_id=building_id, units=units, floors=plan.floors, columns=plan.columns)


def _unit(rng: random.Random, building_id: str, unit_id: str, plan: Plan) -> Unit:
    numbers = sorted(rng.sample([(floor, side) for floor in range(1, plan.floors + 1) for side in (1, 2)], plan.rooms))
    rooms = tuple(
        Room(
            place_id=f"{unit_id}-{floor:02d}{side:02d}",
            floor=floor,
            people=tuple(f"p-{rng.getrandbits(40):010x}" for _ in range(rng.choice((1, 2, 2, 3)))),
        )
        for floor, side in numbers
    )
    return Unit(unit_id=unit_id, building_id=building_id, rooms=rooms)


# --- places -----------------------------------------------------------------------------------------------------------


def _places(site_id: str, buildings: tuple[Building, ...]) -> list[Place]:
    places = [
        Place(place_id=site_id, kind=PlaceKind.SITE, use=PlaceUse.OUTDOOR),
        Place(place_id=MAIN_GATE_PLACE, kind=PlaceKind.DOOR, use=PlaceUse.ENTRANCE, parent_id=site_id, name="东门"),
        Place(place_id=SHED_PLACE, kind=PlaceKind.ZONE, use=PlaceUse.SHED, parent_id=site_id, name="充电棚"),
    ]
    for building in buildings:
        places += _building_places(site_id, building)
        for unit in building.units:
            places += _unit_places(unit)
    return places


def _building_places(site_id: str, building: Building) -> list[Place]:
    b = building.building_id
    facade = building.facade_id
    return [
        Place(
            place_id=b,
            kind=PlaceKind.BUILDING,
            use=PlaceUse.DWELLING,
            parent_id=site_id,
            building=b,
            name=f"{_number(b)}号楼",
        ),
        Place(place_id=facade, kind=PlaceKind.ZONE, use=PlaceUse.FACADE, parent_id=b, building=b, name="外墙"),
        Place(
            place_id=f"{b}-common", kind=PlaceKind.ZONE, use=PlaceUse.COMMON, parent_id=b, building=b, name="公共用电"
        ),
        *(
            Place(
                place_id=building.column_id(n + 1),
                kind=PlaceKind.COLUMN,
                use=PlaceUse.FACADE,
                parent_id=facade,
                building=b,
                name=f"第{n + 1}列",
            )
            for n in range(building.columns)
        ),
    ]


def _number(identity: str) -> str:
    """Return the digits at the end of an id: ``b1u2`` → ``2``."""
    return identity[len(identity.rstrip("0123456789")) :]


def _unit_places(unit: Unit) -> list[Place]:
    b, u = unit.building_id, unit.unit_id

    def part(
        place_id: str, kind: PlaceKind, use: PlaceUse, parent_id: str, name: str, floor: int | None = None
    ) -> Place:
        room = place_id if kind is PlaceKind.ROOM else None
        return Place(
            place_id=place_id,
            kind=kind,
            use=use,
            parent_id=parent_id,
            building=b,
            unit=u,
            floor=floor,
            room=room,
            name=name,
        )

    floors = sorted({room.floor for room in unit.rooms} | {1})
    return [
        part(u, PlaceKind.UNIT, PlaceUse.STAIR, b, f"{_number(u)}单元"),
        part(unit.door_id, PlaceKind.DOOR, PlaceUse.ENTRANCE, u, "单元门", 1),
        part(unit.lobby_id, PlaceKind.ZONE, PlaceUse.LOBBY, u, "大堂", 1),
        part(unit.lift_id, PlaceKind.LIFT, PlaceUse.LIFT, u, "电梯"),
        *(part(corridor_id(unit, n), PlaceKind.FLOOR, PlaceUse.CORRIDOR, u, f"{n}层", n) for n in floors),
        *(
            part(
                r.place_id,
                PlaceKind.ROOM,
                PlaceUse.DWELLING,
                corridor_id(unit, r.floor),
                f"{r.place_id[-4:].lstrip('0')}室",
                r.floor,
            )
            for r in unit.rooms
        ),
    ]


def corridor_id(unit: Unit, floor: int) -> str:
    """Return the place of a floor's corridor."""
    return f"{unit.unit_id}-f{floor:02d}"


# --- devices ----------------------------------------------------------------------------------------------------------


def _devices(rng: random.Random, buildings: tuple[Building, ...], plan: Plan) -> list[Device]:
    devices = [
        _device(DeviceClass.GATE, MAIN_GATE_ID, MAIN_GATE_PLACE),
        _device(DeviceClass.METER, SHED_METER_ID, SHED_PLACE),
    ]
    for building in buildings:
        devices += _building_devices(building)
        for unit in building.units:
            devices += _unit_devices(rng, building, unit, plan)
    return devices


def _building_devices(building: Building) -> list[Device]:
    b = building.building_id
    return [
        _device(DeviceClass.EDGE, building.box_id, b),
        _device(DeviceClass.CAM, building.facade_camera_id, building.facade_id, box_id=building.box_id),
        _device(DeviceClass.METER, f"meter-{b}-common", f"{b}-common"),
    ]


def _unit_devices(rng: random.Random, building: Building, unit: Unit, plan: Plan) -> list[Device]:
    floors = sorted({room.floor for room in unit.rooms})[:2]
    metered = sorted(rng.sample(unit.rooms, plan.metered_rooms), key=lambda room: room.place_id)
    return [
        _device(DeviceClass.GATE, unit.gate_id, unit.door_id),
        _device(DeviceClass.CAM, unit.camera_id("door"), unit.door_id, box_id=building.box_id),
        _device(DeviceClass.CAM, unit.camera_id("lobby"), unit.lobby_id, box_id=building.box_id),
        _device(DeviceClass.CAM, unit.camera_id("lift"), unit.lift_id, box_id=building.box_id),
        _device(DeviceClass.SENSOR, f"smoke-{unit.unit_id}-lobby", unit.lobby_id),
        *(
            _device(DeviceClass.SENSOR, f"smoke-{corridor_id(unit, floor)}", corridor_id(unit, floor))
            for floor in floors
        ),
        *(_device(DeviceClass.METER, f"meter-{room.place_id}", room.place_id, consented=True) for room in metered),
    ]


def _device(
    device_class: DeviceClass, device_id: str, place_id: str, *, box_id: str | None = None, consented: bool = False
) -> Device:
    heartbeat_ms, silent_after_ms = _PACE[device_class]
    return Device(
        device_id=device_id,
        device_class=device_class,
        place_id=place_id,
        heartbeat_ms=heartbeat_ms,
        silent_after_ms=silent_after_ms,
        box_id=box_id,
        consented=consented,
    )
