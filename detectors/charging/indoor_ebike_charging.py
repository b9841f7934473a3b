"""`indoor_ebike_charging` 电动自行车室内充电: a charger-shaped load on a room's circuit, fused with what else was seen.

Situation: somebody charges an e-bike's battery in a flat, a corridor or a stair.

Events: ``PowerSampled`` of meters that may be read (``detectors.charging.scope``); ``ObjectObserved`` (e-bike) and
``TagSeen`` on the way in; ``EnvironmentSampled`` with a sign of fire; ``DeviceConfigured``, because a withdrawn consent
ends everything at once. Key: the meter.

Stages (``detectors.charging.charger_signature``): *plateau*, *power factor*, *e-bike or tag seen*, *taper with
energy*, *fire*.
Suspected (major, unverified): plateau with a charger's power factor, or plateau with an e-bike seen going in.
Confirmed: both of these, or the complete curve with its tail. Power alone, however complete, stays unverified and
major, because tool and scooter chargers look the same; with an e-bike or tag it is verified and critical. Smoke or heat
in the same room makes a plateau critical at once; elsewhere on the stair it raises what is already suspected.

Thresholds, all replaceable and all to be calibrated on recorded data before any claim
(docs/standards.md#charger-signature): plateau 80–450 W with σ/μ < 5 % for ≥ 45 min; on power factor alone ≥
``suspect_min_w`` 100 W, because laptops reach 90 W; power factor 0.45–0.70 (rectifiers without correction 0.5–0.65, and
measuring error); over 0.80 it is no such charger, and then only the complete curve together with an e-bike counts;
``lead_ms`` 60 min before plugging in for the e-bike; tail ≥ 20 min; 0.3–3 kWh in 2–12 h.

What it will not catch: chargers with power factor correction and no tail or nothing seen; charging that began before
the meter was heard, or within another load's shadow for hours; fast chargers over 450 W; e-bikes charged from a power
bank. A dehumidifier or an old fridge on its first long run can look like a plateau with a charger's power factor.

Late data: it remembers up to 14 hours, so late events do not make it judge again; a gap in the readings is a gap, and
an hour of it ends the case.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from contracts.durations import HOUR_MS
from contracts.events import (
    DeviceConfigured,
    EnvironmentSampled,
    Event,
    ObjectLabel,
    ObjectObserved,
    PlaceConfigured,
    PowerSampled,
    TagSeen,
    TrackPhase,
)
from contracts.findings import Phase, Severity, Subject, SubjectKind
from contracts.names import DeviceClass
from contracts.rules import RuleFacts
from detectors.charging import load_curve, stages
from detectors.charging.charger_signature import (
    MAX_CHARGE_MS,
    MAX_W,
    MIN_W,
    PLATEAU_LENGTH,
    RULE,
    SAME_START_MS,
    TAPER_LENGTH,
    VARIATION,
    Charge,
    Limits,
    find_charge,
    follow,
    is_like,
    limits_of,
    without,
)
from detectors.charging.load_curve import Block, Curve
from detectors.charging.scope import INDOOR, is_judged, meters_at, meters_near, same_room
from detectors.charging.stages import SeenEvent, Stated
from detectors.core.facts import fact
from detectors.core.rule import MAX_KEYS, Draft, Episode, Outcome
from detectors.core.site_view import SiteView
from detectors.fire.fire_signs import HEAT, SMOKE, fire_signs, is_sure

FORGET_MS = 7_200_000  # a meter silent for two hours: its curve is broken
MAX_CASES = 3
MAX_DONE = 120  # six hours hold no more plateaus of ten minutes, three at a time


class FollowedLoad(msgspec.Struct, frozen=True, array_like=True):
    """A charger-shaped load being followed, and what has been stated of it (None: nothing yet)."""

    charge: Charge
    stated: Stated | None = None


class MeterState(msgspec.Struct, frozen=True, array_like=True):
    """One meter: its curve, the loads being followed, and what was seen.

    Light or a television may have a charger's shape, and a charger may start on top of it, so several are followed.
    ``done``: when the loads that are over had begun (ms); their remains are not found again.
    """

    v: int
    meter_id: str
    curve: Curve | None = None
    cases: tuple[FollowedLoad, ...] = ()
    ebike: SeenEvent | None = None
    tag: SeenEvent | None = None
    fire: SeenEvent | None = None
    done: tuple[int, ...] = ()


class IndoorEbikeCharging:
    """OPEN when suspected, UPDATE as stages are added, CLOSE when the load ends. Key: the meter."""

    name: ClassVar[str] = RULE
    version: ClassVar[int] = 2
    accepts: ClassVar[tuple[type[Event], ...]] = (
        PowerSampled,
        ObjectObserved,
        TagSeen,
        EnvironmentSampled,
        DeviceConfigured,
        PlaceConfigured,
    )
    max_out_of_orderness_ms: ClassVar[int] = 2_000
    horizon_ms: ClassVar[int | None] = MAX_CHARGE_MS
    instant: ClassVar[bool] = False
    receipt: ClassVar[bool] = False
    facts: ClassVar[RuleFacts] = RuleFacts(
        severity=Severity.CRITICAL,
        life_safety=True,
        regroup_ms=HOUR_MS,
        thresholds=(MIN_W, MAX_W, VARIATION, PLATEAU_LENGTH, TAPER_LENGTH, *stages.THRESHOLDS),
        reads=(SMOKE, HEAT),
        fact_codes=(
            "stage",
            "plateau_w",
            "plateau_min",
            "plateau_variation",
            "power_factor",
            "ebike_seen_before_min",
            "tag_seen_before_min",
            "fire_sign",
            "taper_min",
            "energy_kwh",
            "charging_min",
            "ended",
        ),
    )
    state_type: type[MeterState] = MeterState

    def keys_of(self, event: Event, site: SiteView) -> tuple[str, ...]:
        """Return the meter itself, or the meters that a sighting, a tag or a fire sign may concern."""
        if type(event) is PowerSampled:
            return (event.source_id,) if is_judged(site.devices.get(event.source_id), site) else ()
        if type(event) is EnvironmentSampled:
            return _around(event.place_id, site, indoor=False) if is_sure(fire_signs(event, site)) else ()
        if type(event) is ObjectObserved:
            going_in = event.label is ObjectLabel.E_BIKE and event.phase is not TrackPhase.PRESENT
            return _around(event.place_id, site) if going_in else ()
        if type(event) is TagSeen:
            return _tagged(event, site)
        if type(event) is DeviceConfigured or type(event) is PlaceConfigured:
            return _configured(event, site)
        return ()

    def initial(self, key: str) -> MeterState:
        """Return a meter of which nothing is known."""
        return MeterState(1, key)

    def on_event(self, state: MeterState, event: Event, site: SiteView) -> Outcome[MeterState]:
        """Take a reading, something seen, a sign of fire, or a change of consent."""
        if type(event) is PowerSampled:
            return _read(state, event, site)
        match event:
            case ObjectObserved():
                return _assess(msgspec.structs.replace(state, ebike=SeenEvent(event.at_ms, event.event_id)), site)
            case TagSeen():
                return _assess(msgspec.structs.replace(state, tag=SeenEvent(event.at_ms, event.event_id)), site)
            case EnvironmentSampled():
                return _on_fire(state, event, site)
            case DeviceConfigured() | PlaceConfigured() if not is_judged(site.devices.get(state.meter_id), site):
                gone = event.removed or (
                    type(event) is DeviceConfigured and event.device_class is not DeviceClass.METER
                )
                return _ended(state, event.at_ms, "removed" if gone else "not_judged", site)
            case _:
                return Outcome(state if state.curve is not None else None)

    def deadline_ms(self, state: MeterState) -> int | None:
        """Return when nothing of what is known here is recent any more."""
        known_ms = 0 if state.curve is None else state.curve.last_ms
        for seen in (state.ebike, state.tag, state.fire):
            if seen is not None and seen.at_ms > known_ms:
                known_ms = seen.at_ms
        return known_ms + FORGET_MS

    def on_deadline(self, state: MeterState, due_ms: int, site: SiteView) -> Outcome[MeterState]:
        """Forget the meter; an open case is closed, unverified."""
        return _ended(state, due_ms, "removed" if site.gone else "no_samples", site)


# --- which meters -----------------------------------------------------------------------------------------------------


def _configured(record: DeviceConfigured | PlaceConfigured, site: SiteView) -> tuple[str, ...]:
    """Return the device of a record, or the devices of a place that goes."""
    if isinstance(record, DeviceConfigured):
        return (record.device_id,)
    return site.devices_at.get(record.place.place_id, ())[:MAX_KEYS] if record.removed else ()


def _around(place_id: str, site: SiteView, *, indoor: bool = True) -> tuple[str, ...]:
    place = site.places.get(place_id)
    if place is None or (indoor and place.use not in INDOOR):
        return ()
    return meters_near(place, site) or meters_at(place_id, site)


def _tagged(event: TagSeen, site: SiteView) -> tuple[str, ...]:
    """Return the meters of the vehicle's home, when its tag is heard inside a building."""
    place = site.places.get(event.place_id)
    vehicle = site.vehicles.get(site.tags.get(event.tag_id, ""))
    if place is None or place.building is None or place.use not in INDOOR or vehicle is None:
        return ()
    return meters_at(vehicle.home_place_id, site) if vehicle.home_place_id is not None else ()


# --- readings ---------------------------------------------------------------------------------------------------------


def _read(state: MeterState, event: PowerSampled, site: SiteView) -> Outcome[MeterState]:
    """Take one reading. Only every five minutes a block is finished and there is anything to judge."""
    watts = event.power_w if event.power_w > 0.0 else 0.0
    var = load_curve.reactive_var(watts, event.power_factor, event.voltage_v, event.current_a)
    if state.curve is None:
        return Outcome(msgspec.structs.replace(state, curve=load_curve.begin(event.at_ms, watts, var)))
    curve, finished = load_curve.advance(state.curve, event.at_ms, watts, var)
    after = MeterState(1, state.meter_id, curve, state.cases, state.ebike, state.tag, state.fire, state.done)
    return _judge(after, finished, site) if finished else Outcome(after)


def _judge(state: MeterState, finished: tuple[Block, ...], site: SiteView) -> Outcome[MeterState]:
    """Follow what is followed through the finished blocks, look for something new, and state what has changed."""
    if state.curve is None or (not state.cases and (finished[-1].power_w or 0.0) < site.threshold(MIN_W)):
        return Outcome(state)
    limits = limits_of(site)
    pairs = load_curve.unpacked(state.curve.blocks)
    cases = state.cases
    for number, block in enumerate(finished):
        before = len(pairs) - len(finished) + number - 1
        drop_w = pairs[before][0] - (block.power_w or 0.0) if before >= 0 and block.power_w is not None else 0.0
        cases = tuple(_followed(case, cases, block, drop_w, limits) for case in cases)
    levels_w = [case.charge.level_w for case in cases]
    found = find_charge(pairs, finished[-1].end_ms, limits, done=state.done, levels_w=levels_w)
    if found is not None and stages.may_be_charger(found, site):
        cases = _with_case(cases, FollowedLoad(found))
    return _assess(msgspec.structs.replace(state, cases=cases), site)


def _followed(
    case: FollowedLoad, cases: tuple[FollowedLoad, ...], block: Block, drop_w: float, limits: Limits
) -> FollowedLoad:
    charge = case.charge
    if charge.over:
        return case
    for other in cases:
        charge = without(charge, other.charge, drop_w)
    return FollowedLoad(follow(charge, block, limits), case.stated)


def _with_case(cases: tuple[FollowedLoad, ...], case: FollowedLoad) -> tuple[FollowedLoad, ...]:
    """Return the cases with one more, unless it is one of them; the oldest that nothing was stated of makes room."""
    if any(is_like(case.charge, old.charge) for old in cases):
        return cases
    if len(cases) < MAX_CASES:
        return (*cases, case)
    silent = next((old for old in cases if old.stated is None), None)
    return cases if silent is None else (*(old for old in cases if old is not silent), case)


# --- findings ---------------------------------------------------------------------------------------------------------


def _on_fire(state: MeterState, event: EnvironmentSampled, site: SiteView) -> Outcome[MeterState]:
    """Take a sign of fire: in the same room it opens on a plateau alone, elsewhere it raises what is open."""
    device = site.devices.get(state.meter_id)
    here = device is not None and same_room(device.place_id, event.place_id, site)
    if not any(here or case.stated is not None for case in state.cases):
        return Outcome(state if state.curve is not None else None)
    return _assess(msgspec.structs.replace(state, fire=SeenEvent(event.at_ms, event.event_id)), site)


def _assess(state: MeterState, site: SiteView) -> Outcome[MeterState]:
    """State of each case what its stages now say, when it is more than was stated; then close what is over."""
    if not state.cases:
        return Outcome(state)
    kept: list[FollowedLoad] = []
    drafts: list[Draft] = []
    done = state.done
    onsets_ms = {*done, *(case.stated.episode.onset_ms for case in state.cases if case.stated is not None)}
    for case in state.cases:
        case, draft = _stated(state, case, onsets_ms, site)  # noqa: PLW2901 - the same case, one statement later
        drafts += draft
        if not case.charge.over:
            kept.append(case)
            continue
        done = (*done, case.charge.start_ms if case.stated is None else case.stated.episode.onset_ms)
        drafts += _closed(state.meter_id, case, case.charge.end_ms, case.charge.over, site)
    fire = state.fire if kept else None
    done = _recent(done, state.curve)
    return Outcome(msgspec.structs.replace(state, cases=tuple(kept), fire=fire, done=done), tuple(drafts))


def _recent(done: tuple[int, ...], curve: Curve | None) -> tuple[int, ...]:
    """Return the starts that may still be found again: the curve goes no further back."""
    if curve is None:
        return done[-MAX_DONE:]
    from_ms = curve.block_ms - load_curve.KEPT_BLOCKS * load_curve.BLOCK_MS - SAME_START_MS
    return tuple(start_ms for start_ms in done if start_ms >= from_ms)[-MAX_DONE:]


def _stated(
    state: MeterState, case: FollowedLoad, onsets_ms: set[int], site: SiteView
) -> tuple[FollowedLoad, list[Draft]]:
    """Return the case and what is newly said of it. Two loads that began in one block are told apart by a ms."""
    charge, stated = case.charge, case.stated
    verdict = stages.verdict_of(charge, state.ebike, state.tag, state.fire, site)
    if verdict is None or (stated is not None and set(verdict.stages) <= set(stated.stages)):
        return case, []
    onset_ms = charge.start_ms
    while stated is None and onset_ms in onsets_ms:
        onset_ms += 1
    onsets_ms.add(onset_ms)
    phase, episode = Phase.OPEN, Episode(onset_ms, None)
    if stated is not None:
        phase, episode = Phase.UPDATE, stated.episode.next()
    draft = stages.draft_of(verdict, charge, phase, episode, state.meter_id, site)
    return FollowedLoad(charge, Stated(episode, verdict.stages, verdict.critical, verdict.verified)), [draft]


def _ended(state: MeterState, at_ms: int, ended: str, site: SiteView) -> Outcome[MeterState]:
    """Close every open case and forget all: the meter is no longer read."""
    closed = [draft for case in state.cases for draft in _closed(state.meter_id, case, at_ms, ended, site)]
    return Outcome(None, tuple(closed))


def _closed(meter_id: str, case: FollowedLoad, at_ms: int, ended: str, site: SiteView) -> list[Draft]:
    if case.stated is None:
        return []
    charge, place_id = case.charge, stages.place_of(meter_id, site)
    facts = (
        fact("ended", ended),
        fact("charging_min", (min(at_ms, charge.end_ms) - charge.start_ms) / 60_000),
        fact("energy_kwh", charge.energy_kwh),
    )
    draft = Draft(
        episode=case.stated.episode.next(),
        phase=Phase.CLOSE,
        subject=Subject(SubjectKind.PLACE, place_id),
        place_id=place_id,
        source_id=meter_id,
        severity=Severity.CRITICAL if case.stated.critical else Severity.MAJOR,
        verified=case.stated.verified and ended == "power_off",
        facts=facts,
    )
    return [draft]
