"""The demo's story: four hours that have passed, with two things about to come due, and then life without end.

Cameras observe nothing here: e-bikes and falling objects come from real frames through the demo's edge box. The
passages at unit doors come from the communities' own simulated boxes.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator

from msgspec.structs import replace

from contracts.durations import DAY_MS, HOUR_MS, MINUTE_MS
from contracts.events import AnyEvent, Origin
from contracts.names import DeviceClass, Topic
from simulator import appliances
from simulator.arrival import deliver
from simulator.chargers import Pack, SimulatedCharge, charger_load, draw_charge
from simulator.community import Community, Device
from simulator.demo_bad import bad_inputs
from simulator.demo_community import (
    DEMO_BOX,
    DEMO_SITE,
    SECOND_SITE,
    SILENT_MS,
    demo_communities,
    kitchen_meter,
)
from simulator.demo_live import LiveSite
from simulator.faults import Fault, FaultKind
from simulator.health import heartbeat, play_health
from simulator.inventory import inventory
from simulator.loads import Load
from simulator.meters import CHARGING, report
from simulator.naming import Naming
from simulator.script import Script
from simulator.sensors import alarm_at
from simulator.street import play_street
from simulator.topics import topic_of
from simulator.truth import Truth

Timed = tuple[float, Topic, AnyEvent]

HISTORY_MS = 4 * HOUR_MS
HORIZON_MS = 3 * DAY_MS
"""How far ahead appliances are drawn; a demo that runs longer sees its flats fall dark."""

PLATEAU_MS = 45 * MINUTE_MS
"""After this much flat load a charge is suspected (docs/standards.md#charger-signature)."""
CHARGE_DUE_MS = 40_000
SILENCE_DUE_MS = 40_000
"""How long after the end of the history the charge is suspected and the silence is due."""
EARLIER_MS = 200 * MINUTE_MS
KITCHEN_MS = 80 * MINUTE_MS
"""A charge too small to be suspected by its power; it has its plateau when smoke rises in the same room."""
BEFORE_MATURE_MS = 10 * MINUTE_MS


class DemoScript:
    """The whole demo for one seed. ``end_ms`` is where its history ends; :meth:`live` may begin later."""

    def __init__(self, seed: int, end_ms: int) -> None:
        self.seed = seed
        self.end_ms = end_ms
        self.start_ms = end_ms - HISTORY_MS
        self.communities = demo_communities(seed)
        self.truths: list[Truth] = []
        self._loads: dict[str, dict[str, list[Load]]] = {}
        for community in self.communities:
            self._loads[community.site_id] = self._draw_loads(community)
        self.silent_device = self.communities[1].of_class(DeviceClass.SENSOR)[2]
        self._naming = Naming()

    # --- what has passed ----------------------------------------------------------------------------------------------

    def history(self) -> Iterator[AnyEvent]:
        """Yield the last four hours in order of acceptance, configuration first."""
        streams = []
        for community in self.communities:
            script = self._play(community)
            events = [event for event in deliver(script, Origin.SIMULATED) if event.received_ms <= self.end_ms]
            self._naming.continue_from(events)
            self.truths += script.truths
            streams.append(events)
        yield from heapq.merge(*streams, key=lambda event: event.received_ms)

    def _play(self, community: Community) -> Script:
        script = Script(
            f"{self.seed}/demo",
            community,
            self.start_ms + MINUTE_MS,
            self.end_ms - BEFORE_MATURE_MS,
            self.end_ms,
            self._faults(community),
        )
        for record in inventory(community, self.start_ms):
            script.say(record)
        for unit in community.units:
            play_street(script, unit)
        self._play_sensors(script)
        for meter in community.of_class(DeviceClass.METER):
            report(script, meter, self._loads[community.site_id][meter.device_id])
        play_health(script)
        self._last_word(script)
        return script

    def _faults(self, community: Community) -> tuple[Fault, ...]:
        """Return the second community's sensor stops so that its silence is due shortly after the history's end."""
        if community.site_id != SECOND_SITE:
            return ()
        stops_ms = self.end_ms - SILENT_MS + SILENCE_DUE_MS
        return (Fault(FaultKind.SILENT, self.silent_device.device_id, stops_ms, self.end_ms + DAY_MS),)

    def _last_word(self, script: Script) -> None:
        for fault in script.faults:
            device = script.community.device(fault.device_id)
            heartbeat(script, device, fault.from_ms - 100, script.stream("last_word"))

    def _play_sensors(self, script: Script) -> None:
        """Play one smoke alarm in the past of each community."""
        rng = script.stream("smoke")
        sensor = script.community.of_class(DeviceClass.SENSOR)[-2]
        alarm_at(script, rng, sensor, script.pick_start(rng, 30 * MINUTE_MS) + 10 * MINUTE_MS)

    # --- circuits -----------------------------------------------------------------------------------------------------

    def _draw_loads(self, community: Community) -> dict[str, list[Load]]:
        meters = community.of_class(DeviceClass.METER)
        rooms = [meter for meter in meters if meter.consented]
        loads = {meter.device_id: self._ordinary(community, meter) for meter in meters}
        plugged = (
            (DEMO_SITE, rooms[3], self.end_ms + CHARGE_DUE_MS - PLATEAU_MS, Pack.LEAD_60),
            (DEMO_SITE, kitchen_meter(community), self.end_ms - KITCHEN_MS, Pack.LEAD_36),
            (SECOND_SITE, rooms[7], self.end_ms - EARLIER_MS, Pack.LEAD_48),
        )
        for site_id, meter, plug_ms, pack in plugged:
            if site_id == community.site_id:
                loads[meter.device_id] = self._charging(community, meter, plug_ms, pack)
        return loads

    def _charging(self, community: Community, meter: Device, plug_ms: int, pack: Pack) -> list[Load]:
        rng = random.Random(f"{self.seed}/demo/{community.site_id}/{meter.device_id}/charge")
        drawn = draw_charge(rng, pack, plug_ms)
        charge = SimulatedCharge(pack, plug_ms, drawn.bulk_end_ms, drawn.unplug_ms)
        self.truths.append(
            Truth(
                site_id=community.site_id,
                rule=CHARGING,
                subject=meter.place_id,
                place_id=meter.place_id,
                from_ms=plug_ms,
                to_ms=charge.unplug_ms,
                expected=True,
                detail=pack.value,
            )
        )
        return [charger_load(rng, charge), appliances.standby(rng, self.start_ms, self.end_ms + HORIZON_MS)]

    def _ordinary(self, community: Community, meter: Device) -> list[Load]:
        rng = random.Random(f"{self.seed}/demo/{community.site_id}/{meter.device_id}")
        until_ms = self.end_ms + HORIZON_MS
        makers: list[appliances.Make] = [appliances.standby, *rng.sample(appliances.LOOK_ALIKES, 2)]
        if rng.random() < 0.6:
            makers.append(appliances.fridge)
        return [make(rng, self.start_ms, until_ms) for make in makers]

    # --- what follows -------------------------------------------------------------------------------------------------

    def live(self, start_ms: int, *, with_bad: bool = False) -> Iterator[Timed]:
        """Yield life from ``start_ms`` on, without end: (seconds until due, topic, event), in order of being due."""
        lives = self._lives(start_ms)
        if not with_bad:
            return lives
        return heapq.merge(lives, bad_inputs(self.communities[0], start_ms), key=lambda due: due[0])

    def _lives(self, start_ms: int) -> Iterator[Timed]:
        sites = [
            LiveSite(f"{self.seed}/live", community, start_ms, self._loads[community.site_id], self._mute(community))
            for community in self.communities
        ]
        boxes = {(c.site_id, d.device_id): c.box_of(d.device_id) for c in self.communities for d in c.devices}
        classes = {d.device_id: d.device_class for c in self.communities for d in c.devices}
        naming = self._naming.restarted(f"{start_ms:x}")
        for event in heapq.merge(*(site.life() for site in sites), key=lambda event: event.at_ms):
            named = replace(naming.name(event, boxes[event.site_id, event.source_id]), origin=Origin.SIMULATED)
            topic = topic_of(named, classes)
            assert topic is not None  # nothing here is configuration
            yield (event.at_ms - start_ms) / 1_000, topic, named

    def _mute(self, community: Community) -> frozenset[str]:
        """Return devices that the simulator must not speak for: the silent one, and the real box."""
        muted = {DEMO_BOX} | {device.device_id for device in community.devices if device.box_id == DEMO_BOX}
        return frozenset(muted | ({self.silent_device.device_id} if community.site_id == SECOND_SITE else set()))


def history(seed: int, end_ms: int) -> Iterator[AnyEvent]:
    """Yield the demo's last four hours up to ``end_ms``, as a file holds them."""
    return DemoScript(seed, end_ms).history()


def live(seed: int, start_ms: int) -> Iterator[Timed]:
    """Yield the demo's life from ``start_ms`` on, for a history that ended there."""
    return DemoScript(seed, start_ms).live(start_ms)
