"""`indoor_ebike_charging`: what a charger's curve and what was seen beside it add up to."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from contracts.events import Event, ObjectLabel, TrackPhase
from contracts.findings import Phase, Severity
from contracts.names import DeviceClass
from contracts.places import PlaceKind, PlaceUse
from detectors.charging import load_curve
from detectors.charging.charger_signature import Charge
from detectors.charging.indoor_ebike_charging import FollowedLoad, IndoorEbikeCharging, MeterState
from detectors.core.site_view import SiteView
from tests.detectors.builders import HOUR, MINUTE, SECOND, T0, Script
from tests.detectors.charging import curves
from tests.detectors.charging.curves import Sample
from tests.detectors.harness import Decided, Harness, phases

PLUGGED_IN = 3 * HOUR
S_PER_HOUR = 3600.0


def site(script: Script, *, consented: bool = True, use: PlaceUse = PlaceUse.DWELLING) -> list[Event]:
    where: dict[str, Any] = {"building": "b1", "unit": "u1"}
    return [
        script.place("room1", use, PlaceKind.ROOM, floor=3, room="r301", **where),
        script.place("kitchen1", PlaceUse.DWELLING, PlaceKind.ROOM, floor=3, room="r301", **where),
        script.place("room2", PlaceUse.DWELLING, PlaceKind.ROOM, floor=9, room="r901", **where),
        script.place("lift1", PlaceUse.LIFT, PlaceKind.LIFT, **where),
        script.place("corridor9", PlaceUse.CORRIDOR, floor=9, **where),
        script.place("far", PlaceUse.LIFT, PlaceKind.LIFT, building="b1", unit="u2"),
        script.device("meter1", DeviceClass.METER, "room1", consented=consented),
        script.vehicle("bike1", "tag1", "room1"),
    ]


def charge(seed: int = 1, kind: str = "lead_acid_48v", *, factor: bool = True, every_s: float = 30.0) -> list[Sample]:
    """A charger alone on its circuit from ``PLUGGED_IN`` on, read to an hour and a half after it is over."""
    rng = random.Random(f"{kind}/{seed}")
    charging = curves.CHARGERS[kind](rng, PLUGGED_IN / 1000)
    hours = charging.end_s / S_PER_HOUR + 1.5
    return curves.meter([charging.load, curves.router(rng, hours)], rng, hours=hours, every_s=every_s, factor=factor)


def lamp(seed: int = 1, *, factor: bool = False, hours: float = 8) -> list[Sample]:
    """Halogen light of a charger's power: on for hours, off at once."""
    rng = random.Random(seed)
    start_s, end_s = PLUGGED_IN / 1000, PLUGGED_IN / 1000 + 4 * S_PER_HOUR
    light = curves.Load(lambda at: 140.0 if start_s <= at < end_s else 0.0, 0.99, False, 0.003)
    return curves.meter([light, curves.router(rng, hours)], rng, hours=hours, every_s=30, factor=factor)


def readings(script: Script, samples: Sequence[Sample]) -> list[Event]:
    return [script.power(int(s.at_s * 1000), s.watts, power_factor=s.power_factor) for s in samples]


def judge(samples: Sequence[Sample], *beside: Event, script: Script | None = None, **how: Any) -> list[Decided]:
    script = script or Script()
    harness = Harness(IndoorEbikeCharging())
    harness.feed(site(script, **how))
    harness.feed([*readings(script, samples), *beside])
    return harness.found


def ebike(script: Script, at: int, place: str = "lift1", label: ObjectLabel = ObjectLabel.E_BIKE) -> Event:
    return script.object(at, label, TrackPhase.ENTERED, place=place)


def stages(found: Sequence[Decided]) -> list[tuple[str, str | None]]:
    return [(str(d.phase), d.fact("stage")) for d in found]


def after_plug_min(decided: Decided) -> float:
    return (decided.at_ms - T0 - PLUGGED_IN) / MINUTE


# --- stages -----------------------------------------------------------------------------------------------------------


def test_power_factor_suspects_the_tail_confirms_and_power_alone_stays_unverified() -> None:
    found = judge(charge())
    assert stages(found) == [("open", "suspected"), ("update", "confirmed"), ("close", None)]
    opened, confirmed, closed = found
    assert 45 <= after_plug_min(opened) <= 55
    assert [d.draft.severity for d in found[:2]] == [Severity.MAJOR, Severity.MAJOR]
    assert [d.draft.verified for d in found[:2]] == [False, False]
    assert confirmed.draft.confidence > opened.draft.confidence
    assert {"plateau_w", "plateau_min", "plateau_variation", "power_factor", "energy_kwh"} <= set(opened.facts())
    assert confirmed.fact("taper_min") >= 20
    assert closed.fact("ended") == "power_off"
    assert (closed.draft.severity, closed.draft.verified) == (Severity.MAJOR, False)  # no more than was ever stated
    assert 0.3 <= closed.fact("energy_kwh") <= 3
    assert len({d.draft.episode.onset_ms for d in found}) == 1
    assert abs(opened.draft.episode.onset_ms - T0 - PLUGGED_IN) <= 10 * MINUTE


def test_without_a_power_factor_only_the_complete_curve_speaks() -> None:
    found = judge(charge(factor=False))
    assert stages(found) == [("open", "confirmed"), ("close", None)]
    assert "power_factor" not in found[0].facts()
    assert (found[0].draft.verified, found[0].draft.severity) == (False, Severity.MAJOR)


def test_an_e_bike_going_in_and_a_chargers_power_factor_confirm_at_once() -> None:
    script = Script()
    seen = ebike(script, PLUGGED_IN - 10 * MINUTE)
    opened = judge(charge(), seen, script=script)[0]
    assert opened.fact("stage") == "confirmed"
    assert (opened.draft.severity, opened.draft.verified) == (Severity.CRITICAL, True)
    assert opened.facts()["ebike_seen_before_min"].event_ids == (seen.event_id,)
    assert after_plug_min(opened) <= 55


def test_an_e_bike_without_a_power_factor_only_suspects() -> None:
    script = Script()
    opened = judge(charge(factor=False), ebike(script, PLUGGED_IN - 10 * MINUTE), script=script)[0]
    assert opened.fact("stage") == "suspected"
    assert (opened.draft.severity, opened.draft.verified) == (Severity.MAJOR, False)


def test_the_tag_of_a_vehicle_that_lives_here_counts_and_another_does_not() -> None:
    script = Script()
    own = judge(charge(), script.tag(PLUGGED_IN - MINUTE, "tag1", "lift1"), script=script)[0]
    assert own.draft.verified
    assert "tag_seen_before_min" in own.facts()
    script = Script()
    other = judge(charge(), script.tag(PLUGGED_IN - MINUTE, "tag2", "lift1"), script=script)[0]
    assert not other.draft.verified


@pytest.mark.parametrize(
    ("at", "place", "label"),
    [
        (PLUGGED_IN - 90 * MINUTE, "lift1", ObjectLabel.E_BIKE),  # long before
        (PLUGGED_IN + 20 * MINUTE, "lift1", ObjectLabel.E_BIKE),  # after it was plugged in
        (PLUGGED_IN - 10 * MINUTE, "far", ObjectLabel.E_BIKE),  # another stair
        (PLUGGED_IN - 10 * MINUTE, "corridor9", ObjectLabel.E_BIKE),  # another floor
        (PLUGGED_IN - 10 * MINUTE, "lift1", ObjectLabel.BICYCLE),
        (PLUGGED_IN - 10 * MINUTE, "nowhere", ObjectLabel.E_BIKE),
    ],
)
def test_what_was_seen_elsewhere_or_at_another_time_is_no_evidence(at: int, place: str, label: ObjectLabel) -> None:
    script = Script()
    opened = judge(charge(), ebike(script, at, place, label), script=script)[0]
    assert (opened.fact("stage"), opened.draft.verified) == ("suspected", False)


@pytest.mark.parametrize("place", ["room1", "kitchen1"])
def test_smoke_in_the_same_flat_makes_it_critical_at_once(place: str) -> None:
    script = Script()
    alarm = script.environment(PLUGGED_IN + HOUR, alarm=True, place=place)
    found = judge(charge(), alarm, script=script)
    assert stages(found)[:2] == [("open", "suspected"), ("update", "confirmed")]
    assert found[1].at_ms == alarm.at_ms
    assert (found[1].draft.severity, found[1].draft.verified) == (Severity.CRITICAL, True)
    assert found[1].facts()["fire_sign"].event_ids == (alarm.event_id,)


def test_smoke_opens_on_a_plateau_that_alone_would_not() -> None:
    script = Script()
    alarm = script.environment(PLUGGED_IN + HOUR, alarm=True, place="kitchen1")
    found = judge(charge(factor=False), alarm, script=script)
    assert stages(found)[0] == ("open", "confirmed")
    assert found[0].at_ms == alarm.at_ms
    assert found[0].draft.severity is Severity.CRITICAL


def test_smoke_elsewhere_on_the_stair_only_raises_what_is_open() -> None:
    script = Script()
    alarm = script.environment(PLUGGED_IN + HOUR, alarm=True, place="room2")
    assert judge(charge(), alarm, script=script)[1].draft.severity is Severity.CRITICAL
    script = Script()
    alarm = script.environment(PLUGGED_IN + HOUR, alarm=True, place="room2")
    assert stages(judge(charge(factor=False), alarm, script=script)) == [("open", "confirmed"), ("close", None)]


def test_smoke_without_a_plateau_is_another_rules_business() -> None:
    script = Script()
    alarm = script.environment(PLUGGED_IN - HOUR, alarm=True, place="room1")
    assert stages(judge(lamp(factor=True), alarm, script=script)) == []


# --- near misses ------------------------------------------------------------------------------------------------------


def test_a_flat_load_that_is_switched_off_is_no_charger() -> None:
    assert judge(lamp()) == []
    assert judge(lamp(factor=True)) == []


def test_a_lamp_with_a_power_factor_is_no_charger_even_after_an_e_bike() -> None:
    script = Script()
    assert judge(lamp(factor=True), ebike(script, PLUGGED_IN - 5 * MINUTE), script=script) == []


@pytest.mark.parametrize(
    "how",
    [
        {"consented": False},
        {"use": PlaceUse.SHED},
        {"use": PlaceUse.OUTDOOR},
        {"use": PlaceUse.LIFT},
    ],
)
def test_a_meter_that_may_not_be_read_leaves_nothing_at_all(how: dict[str, Any]) -> None:
    script = Script()
    harness = Harness(IndoorEbikeCharging())
    harness.feed(site(script, **how))
    harness.feed(readings(script, charge()))
    assert harness.found == []
    assert harness.states == {}


@pytest.mark.parametrize("use", [PlaceUse.CORRIDOR, PlaceUse.COMMON, PlaceUse.STAIR])
def test_the_landlords_circuits_need_no_consent(use: PlaceUse) -> None:
    assert phases(judge(charge(), consented=False, use=use))[0] is Phase.OPEN


# --- ends -------------------------------------------------------------------------------------------------------------


def test_a_withdrawn_consent_ends_the_case_and_forgets_the_curve() -> None:
    script = Script()
    harness = Harness(IndoorEbikeCharging())
    harness.feed(site(script))
    harness.feed([s for s in readings(script, charge()) if s.at_ms < T0 + PLUGGED_IN + HOUR])
    harness.feed([script.device("meter1", DeviceClass.METER, "room1", at=PLUGGED_IN + HOUR, consented=False)])
    assert stages(harness.found) == [("open", "suspected"), ("close", None)]
    assert harness.found[-1].fact("ended") == "not_judged"
    assert harness.states == {}


def test_a_meter_taken_out_of_the_inventory_ends_the_case_with_that_reason() -> None:
    script = Script()
    harness = Harness(IndoorEbikeCharging())
    harness.feed(site(script))
    harness.feed([s for s in readings(script, charge()) if s.at_ms < T0 + PLUGGED_IN + HOUR])
    harness.feed([script.device("meter1", DeviceClass.METER, "room1", at=PLUGGED_IN + HOUR, removed=True)])
    assert stages(harness.found) == [("open", "suspected"), ("close", None)]
    assert (harness.found[-1].fact("ended"), harness.states) == ("removed", {})


def test_a_meter_that_falls_silent_closes_its_case_unverified() -> None:
    script = Script()
    harness = Harness(IndoorEbikeCharging())
    harness.feed(site(script))
    harness.feed([s for s in readings(script, charge()) if s.at_ms < T0 + PLUGGED_IN + HOUR])
    harness.until(T0 + PLUGGED_IN + 4 * HOUR)
    assert stages(harness.found) == [("open", "suspected"), ("close", None)]
    assert (harness.found[-1].fact("ended"), harness.found[-1].draft.verified) == ("no_samples", False)
    assert harness.states == {}


def test_half_an_hour_without_readings_is_a_gap_and_not_the_end() -> None:
    samples = [s for s in charge() if not 60 <= s.at_s / 60 - PLUGGED_IN / MINUTE <= 90]
    found = judge(samples)
    assert stages(found) == [("open", "suspected"), ("update", "confirmed"), ("close", None)]


def test_a_charge_that_began_before_the_meter_was_heard_is_not_judged() -> None:
    samples = [s for s in charge() if s.at_s * 1000 > PLUGGED_IN + 10 * SECOND]
    assert judge(samples) == []


def test_readings_out_of_order_or_absurd_break_nothing() -> None:
    script = Script()
    harness = Harness(IndoorEbikeCharging())
    harness.feed(site(script))
    events = readings(script, charge())[:400]
    harness.feed(events)
    before = harness.states["meter1"]
    harness._give(events[10])
    assert harness.states["meter1"] == before
    last = events[-1].at_ms - T0
    for n, watts in enumerate((-1e6, 1e6, 0.0)):
        harness.feed([script.power(last + (n + 1) * MINUTE, watts, power_factor=0.0)])
    assert harness.found == []


def test_two_loads_that_began_in_one_block_are_two_episodes() -> None:
    load = Charge(
        start_ms=T0,
        end_ms=T0 + HOUR,
        base_w=0.0,
        level_w=100.0,
        variation=0.01,
        power_factor=0.6,
        known_before_ms=HOUR,
        recurring=False,
        energy_kwh=0.1,
    )
    loads = FollowedLoad(load), FollowedLoad(msgspec.structs.replace(load, level_w=300.0))
    state = MeterState(1, "meter1", load_curve.begin(T0 + HOUR, 400.0, -1.0), loads)
    seen = Script().object(0, ObjectLabel.E_BIKE, TrackPhase.ENTERED)
    outcome = IndoorEbikeCharging().on_event(state, seen, SiteView(site_id="s1"))
    assert [(draft.phase, draft.episode.onset_ms - T0) for draft in outcome.drafts] == [
        (Phase.OPEN, 0),
        (Phase.OPEN, 1),
    ]
