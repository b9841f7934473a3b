"""The public mix: a district of 48 communities with 5,856 devices that together say ``rate_per_s`` things a second.

Of the messages, by who says them (exactly, whatever the rate):

====================  =====  ========================================================================================
meters                70 %   readings, ``tele``, QoS 0: rooms and landlords' circuits, each in turn
gates and doors       15 %   four fifths at stair doors, where a person is credential, open, closed; the rest at main
                             gates
cameras               10 %   through the spools of 96 boxes: a passage for each of those persons, strangers, e-bikes,
                             falls, pictures gone black; the rest bicycles where they may be
state                  5 %   connections lost and back, smoke on and off, gates' heartbeats; the rest sensors' readings
====================  =====  ========================================================================================

*Incidents*: every 10 s one of each momentary situation (stranger, e-bike in a lift, fall, smoke, lost connection, black
picture) at a place that had none for twelve minutes, so each is an incident of its own: six a minute and rule. Charging
matures by the clock: 192 rooms have been charging for part of the hour before, so that 32 plateaus are complete at the
end of each of the next six five-minute blocks, 6.4 a minute. *Findings*: besides, other places have their incidents
again and again, so that 1.2 % of all messages open or close something: 55 % of these are connections, 15 % e-bikes,
15 % smoke, 10 % strangers, 5 % falls.

Communities are named so that each of 24 partitions has two. Everything follows from the seed and ``start_ms``. Pure.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import msgspec

from bench import lanes
from bench.lanes import Line, Stream
from bench.situations import GRACE_MS, air, head
from bench.traffic import HISTORY_MS, aged, charging, grace
from contracts.durations import MINUTE_MS
from contracts.events import (
    AccessAttempted,
    AnyEvent,
    CameraImpairment,
    Configuration,
    Credential,
    DeviceReported,
    DeviceStateChanged,
    Direction,
    DoorChanged,
    DoorState,
    Event,
    ObjectFell,
    ObjectLabel,
    ObjectObserved,
    PassageObserved,
    TrackPhase,
)
from contracts.names import Channel, DeviceClass, Topic, partition_of
from simulator.community import MAIN_GATE_ID, MAIN_GATE_PLACE, Building, Community, Device, Plan, Unit, build_community
from simulator.meters import sampled

PARTITIONS, SITES_EACH = 24, 2
PLAN = Plan(buildings=2, units=3, floors=12, rooms=12, metered_rooms=12)
SHARES = {"meters": 0.70, "gates": 0.15, "cameras": 0.10, "state": 0.05}
AT_STAIRS = 0.8
FINDINGS = 0.012
OF_FINDINGS = {"connection": 0.55, "ebike": 0.15, "smoke": 0.15, "stranger": 0.10, "fall": 0.05}
EACH_IS = {"connection": 2, "ebike": 2, "smoke": 2, "stranger": 1, "fall": 1}
"""Findings that one of these comes to: its opening, and its end where it has one."""
FRESH_S = 10.0
FRESH_PLACES = 72
"""So many places in turn: each has twelve minutes without, and ten are what joins two episodes to one incident."""
MIN_RATE, MAX_RATE = 200.0, 11_000.0
"""Below, incidents would be more than their share; above, a sensor would not have a minute to clear."""
CHARGING_ROOMS, FAILING_ROOMS = 4, 12
"""Of a community's metered rooms: the first charge, the next lose their connection."""
MATURE_BLOCKS = 6
BUSY_SENSORS = 640
"""They alarm again and again; 72 do so once, the remaining 152 only report."""
READINGS = 8
"""Different ones per meter, in turn."""
SIGHTING_S = 0.7
WILL_S = 2 * GRACE_MS / 1_000
ALARM_S = 2.0
BLACK_S = 2.0
HEARTBEAT_S = 30.0
QUIET_UNITS = 2
"""Of a community's stairs: nobody there has a credential."""

T = TypeVar("T")
Places = list[tuple[Community, Unit]]


class Mix:
    """The district at one rate.

    Args:
        rate_per_s: messages a second, all shares together; 200 to 11,000.
        start_ms: when the devices begin to speak, epoch ms.
        seed: of homes, loads and readings.
    """

    def __init__(self, rate_per_s: float, start_ms: int, seed: int = 1) -> None:
        if not MIN_RATE <= rate_per_s <= MAX_RATE:
            raise ValueError(f"the mix is defined for {MIN_RATE:g} to {MAX_RATE:g} messages a second, not {rate_per_s}")
        self.rate_per_s, self.start_ms = rate_per_s, start_ms
        self._rng = random.Random(seed)
        self.communities = [
            build_community(random.Random(f"{seed}/{site_id}"), site_id, site_id, PLAN) for site_id in site_ids()
        ]
        self._charging = self._rooms(0, CHARGING_ROOMS)
        self._failing = across(iter(self._rooms(CHARGING_ROOMS, CHARGING_ROOMS + FAILING_ROOMS)))

    def records(self) -> list[Configuration]:
        """Return the inventory: rooms where something charges are known for two hours, all other devices since now."""
        old_ms = self.start_ms - HISTORY_MS
        known = {(community.site_id, meter.device_id) for community, meter in self._charging}
        return [
            record
            for community in self.communities
            for record in aged(community, known, old_ms, self.start_ms - 1_000, [grace(community.site_id, old_ms)])
        ]

    def history(self) -> list[AnyEvent]:
        """Return the log before: the inventory, and readings a minute of rooms in which something charges."""
        readings = [
            self._reading(number, community, meter, at_ms)
            for at_ms in range(self.start_ms - HISTORY_MS, self.start_ms, MINUTE_MS)
            for number, (community, meter) in enumerate(self._charging)
        ]
        named = (msgspec.structs.replace(one, event_id=f"{one.source_id}-h-{one.at_ms}") for one in readings)
        received = (msgspec.structs.replace(one, received_ms=one.at_ms) for one in [*self.records(), *named])
        return sorted(received, key=lambda one: one.received_ms)

    def streams(self) -> list[Stream]:
        """Return everything that is said."""
        said = [*self._persons(), *self._main_gates(), *self._situations(), *self._heartbeats()]
        return [*said, *self._meters(), *self._rest("cameras", said), *self._rest("state", said)]

    # --- ordinary life ------------------------------------------------------------------------------------------------

    def _meters(self) -> Iterator[Stream]:
        charging_rooms = {(c.site_id, m.device_id): n for n, (c, m) in enumerate(self._charging)}
        failing = {(c.site_id, m.device_id) for c, m in self._failing}
        meters = [
            (c, m)
            for c, m in across((c, m) for c in self.communities for m in c.of_class(DeviceClass.METER))
            if (c.site_id, m.device_id) not in failing
        ]
        lines = []
        for _ in range(READINGS):
            for community, meter in meters:
                number = charging_rooms.get((community.site_id, meter.device_id))
                reading = self._reading(number, community, meter, self.start_ms)
                reading = msgspec.structs.replace(reading, at_ms=0)
                topic = Topic(community.site_id, DeviceClass.METER, meter.device_id, Channel.TELE)
                lines.append(lanes.telemetry(reading, topic))
        yield Stream("meters", SHARES["meters"] * self.rate_per_s, lines)

    def _reading(self, number: int | None, community: Community, meter: Device, at_ms: int) -> Any:
        """Return a charging room's charger's reading; for others a standby of 5 to 70 W, which no rule looks for."""
        if number is not None:
            return sampled(
                community.site_id, meter, [charging(meter, self.start_ms, number % MATURE_BLOCKS)], at_ms, self._rng
            )
        reading = sampled(community.site_id, meter, [], at_ms, self._rng)
        standby_w = 5 + 65 * random.Random(meter.device_id).random()
        power_w = round(standby_w * self._rng.gauss(1.0, 0.03), 1)
        return msgspec.structs.replace(reading, power_w=power_w, power_factor=0.9)

    def _persons(self) -> Iterator[Stream]:
        """Yield persons, each a credential, open, passage, closed; one after the other at each door."""
        doors = [(c, u) for c, u in self._units() if not _is_quiet(c, u)]
        per_s = AT_STAIRS * SHARES["gates"] * self.rate_per_s / 3
        pause_s = len(doors) / per_s
        shown = [_gate(c, u, AccessAttempted, credential=Credential.CARD, granted=True) for c, u in doors]
        opened = [_gate(c, u, DoorChanged, state=DoorState.OPEN) for c, u in doors]
        closed = [_gate(c, u, DoorChanged, state=DoorState.CLOSED) for c, u in doors]
        yield Stream("gates", per_s, shown)
        yield Stream("gates", per_s, opened, 0.2 * pause_s)
        yield Stream("cameras", per_s, [_passage(c, u) for c, u in doors], 0.4 * pause_s)
        yield Stream("gates", per_s, closed, 0.8 * pause_s)

    def _main_gates(self) -> Iterator[Stream]:
        per_s = (1 - AT_STAIRS) * SHARES["gates"] * self.rate_per_s / 3
        pause_s = len(self.communities) / per_s
        for part, what in enumerate((_main_shown, _main_open, _main_closed)):
            yield Stream("gates", per_s, [what(c) for c in self.communities], part * 0.3 * pause_s)

    def _heartbeats(self) -> Iterator[Stream]:
        """Yield heartbeats: gates that nobody uses must prove that they live, or what passes them stays unverified."""
        quiet = [(c, u) for c, u in self._units() if _is_quiet(c, u)]
        yield Stream("state", len(quiet) / HEARTBEAT_S, [_gate(c, u, DeviceReported) for c, u in quiet])

    def _rest(self, share: str, said: Sequence[Stream]) -> Iterator[Stream]:
        """Yield what fills a share up: bicycles in lobbies, sensors' readings."""
        left = SHARES[share] * self.rate_per_s - sum(stream.rate_per_s for stream in said if stream.share == share)
        if share == "state":
            calm = self._sensors()[FRESH_PLACES + BUSY_SENSORS :]
            yield Stream(share, left, [_sensed(c, s, alarm=False) for c, s in calm])
            return
        yield from self._stays(share, left / 4, ObjectLabel.BICYCLE, self._units(), "lobby", 4, 0.0)

    # --- situations ---------------------------------------------------------------------------------------------------

    def _situations(self) -> Iterator[Stream]:
        """Yield each kind twice: at places that have one incident, and at those that have it again and again."""
        for kind, streams, places in self._kinds():
            yield from streams(1 / FRESH_S, places[:FRESH_PLACES])
            yield from streams(self._again_per_s(kind), places[FRESH_PLACES:])
        yield from self._blinks(
            1 / FRESH_S, across((c, b) for c in self.communities for b in c.buildings)[:FRESH_PLACES]
        )

    def _again_per_s(self, kind: str) -> float:
        return FINDINGS * self.rate_per_s * OF_FINDINGS[kind] / EACH_IS[kind]

    def _kinds(self) -> Iterator[tuple[str, Callable[[float, Any], Iterator[Stream]], Sequence[Any]]]:
        columns = ((c, (b, n)) for n in (1, 2, 3, 4) for c in self.communities for b in c.buildings)
        yield "stranger", self._strangers, [(c, u) for c, u in self._units() if _is_quiet(c, u)]
        yield "ebike", self._ebikes, self._units()
        yield "fall", self._falls, across(columns)
        yield "smoke", self._smoke, self._sensors()[: FRESH_PLACES + BUSY_SENSORS]
        yield "connection", self._connections, self._failing

    def _strangers(self, per_s: float, doors: Places) -> Iterator[Stream]:
        yield Stream("cameras", per_s, [_passage(c, u) for c, u in doors])

    def _ebikes(self, per_s: float, lifts: Places) -> Iterator[Stream]:
        yield from self._stays("cameras", per_s, ObjectLabel.E_BIKE, lifts, "lift", 5, 0.0)

    def _stays(
        self, share: str, per_s: float, label: ObjectLabel, units: Places, where: str, sightings: int, from_s: float
    ) -> Iterator[Stream]:
        """Yield one stream for each sighting: something enters, is there, and leaves."""
        phases = [TrackPhase.ENTERED, *[TrackPhase.PRESENT] * (sightings - 2), TrackPhase.LEFT]
        for n, phase in enumerate(phases):
            dwell_ms = int(n * SIGHTING_S * 1_000)
            lines = [
                _seen(c, u, where, ObjectObserved, label=label, phase=phase, track_id=0, score=0.9, dwell_ms=dwell_ms)
                for c, u in units
            ]
            yield Stream(share, per_s, lines, from_s + n * SIGHTING_S)

    def _falls(self, per_s: float, columns: Sequence[tuple[Community, tuple[Building, int]]]) -> Iterator[Stream]:
        lines = []
        for community, (building, number) in columns:
            about = head(community.site_id, building.facade_camera_id, building.column_id(number))
            fell = ObjectFell(
                **about, track_id=0, started_ms=0, duration_ms=lanes.FALL_MS, calibrated=True, drop_m=12.0
            )
            lines.append(lanes.spooled(fell, _box(community.site_id, building.box_id)))
        yield Stream("cameras", per_s, lines)

    def _blinks(self, per_s: float, facades: Sequence[tuple[Community, Building]]) -> Iterator[Stream]:
        yield Stream("cameras", per_s, [_reported(c, b, CameraImpairment.BLACK) for c, b in facades])
        yield Stream("cameras", per_s, [_reported(c, b, None) for c, b in facades], BLACK_S)

    def _smoke(self, per_s: float, sensors: Sequence[tuple[Community, Device]]) -> Iterator[Stream]:
        yield Stream("state", per_s, [_sensed(c, s, alarm=True) for c, s in sensors])
        yield Stream("state", per_s, [_sensed(c, s, alarm=False) for c, s in sensors], ALARM_S)

    def _connections(self, per_s: float, devices: Sequence[tuple[Community, Device]]) -> Iterator[Stream]:
        yield Stream("state", per_s, [_connected(c, d, online=False) for c, d in devices])
        yield Stream("state", per_s, [_connected(c, d, online=True) for c, d in devices], WILL_S)

    # --- where --------------------------------------------------------------------------------------------------------

    def _rooms(self, first: int, end: int) -> list[tuple[Community, Device]]:
        return [
            (c, meter)
            for c in self.communities
            for meter in [m for m in c.of_class(DeviceClass.METER) if m.consented][first:end]
        ]

    def _units(self) -> Places:
        return across((c, u) for c in self.communities for u in c.units)

    def _sensors(self) -> list[tuple[Community, Device]]:
        return across((c, s) for c in self.communities for s in c.of_class(DeviceClass.SENSOR))


def site_ids() -> list[str]:
    """Return the communities' names: the first two of each partition."""
    free = dict.fromkeys(range(PARTITIONS), SITES_EACH)
    chosen = []
    for site_id in (f"site-{number:03d}" for number in itertools.count(1)):
        if free[partition_of(site_id, PARTITIONS)]:
            free[partition_of(site_id, PARTITIONS)] -= 1
            chosen.append(site_id)
        if not any(free.values()):
            return chosen
    raise AssertionError("names do not end")


def across(pairs: Iterator[tuple[Community, T]]) -> list[tuple[Community, T]]:
    """Return the pairs so ordered that neighbours are of different communities: each one's first, its second, …"""
    by_site: dict[str, list[tuple[Community, T]]] = {}
    for community, one in pairs:
        by_site.setdefault(community.site_id, []).append((community, one))
    rounds = itertools.zip_longest(*by_site.values())
    return [pair for each in rounds for pair in each if pair is not None]


def _is_quiet(community: Community, unit: Unit) -> bool:
    return community.units.index(unit) < QUIET_UNITS


def _gate(community: Community, unit: Unit, kind: type[Event], **said: Any) -> Line:
    event = kind(**head(community.site_id, unit.gate_id, unit.door_id), **said)
    return lanes.numbered(event, Topic(community.site_id, DeviceClass.GATE, unit.gate_id, Channel.EVT))


def _main(community: Community, kind: type[Event], **said: Any) -> Line:
    event = kind(**head(community.site_id, MAIN_GATE_ID, MAIN_GATE_PLACE), **said)
    return lanes.numbered(event, Topic(community.site_id, DeviceClass.GATE, MAIN_GATE_ID, Channel.EVT))


def _main_shown(community: Community) -> Line:
    return _main(community, AccessAttempted, credential=Credential.FACE, granted=True)


def _main_open(community: Community) -> Line:
    return _main(community, DoorChanged, state=DoorState.OPEN)


def _main_closed(community: Community) -> Line:
    return _main(community, DoorChanged, state=DoorState.CLOSED)


def _passage(community: Community, unit: Unit) -> Line:
    return _seen(community, unit, "door", PassageObserved, direction=Direction.IN, track_id=0, score=0.9)


def _seen(community: Community, unit: Unit, where: str, kind: type[Event], **said: Any) -> Line:
    places = {"door": unit.door_id, "lobby": unit.lobby_id, "lift": unit.lift_id}
    event = kind(**head(community.site_id, unit.camera_id(where), places[where]), **said)
    return lanes.spooled(event, _box(community.site_id, f"box-{unit.building_id}"))


def _reported(community: Community, building: Building, impaired_by: CameraImpairment | None) -> Line:
    about = head(community.site_id, building.facade_camera_id, building.facade_id)
    report = DeviceReported(**about, healthy=impaired_by is None, impaired_by=impaired_by)
    return lanes.spooled(report, _box(community.site_id, building.box_id))


def _box(site_id: str, box_id: str) -> Topic:
    return Topic(site_id, DeviceClass.EDGE, box_id, Channel.EVT)


def _sensed(community: Community, sensor: Device, *, alarm: bool) -> Line:
    topic = Topic(community.site_id, DeviceClass.SENSOR, sensor.device_id, Channel.EVT)
    return lanes.numbered(air(community.site_id, sensor, alarm=alarm), topic)


def _connected(community: Community, device: Device, *, online: bool) -> Line:
    event = DeviceStateChanged(**head(community.site_id, device.device_id, device.place_id), online=online)
    return lanes.state(event, Topic(community.site_id, device.device_class, device.device_id, Channel.STATE))
