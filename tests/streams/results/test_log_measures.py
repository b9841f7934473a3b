"""The log as measurements: hops, devices and power by its own time, however it is cut or restarted."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.batch import Batch
from contracts.events import (
    ClockStepped,
    DeviceReported,
    DeviceStateChanged,
    Event,
    PowerSampled,
    event_header,
)
from contracts.names import DeviceClass
from contracts.places import Place, PlaceKind, PlaceUse
from streams.results.catalogue import CATALOGUE, FieldKind
from streams.results.log_measures import LATE_MS, LogMeasures
from streams.results.points import Point
from streams.results.power import MIN_DWELLINGS, circuit_of
from tests.streams.results.factories import T, a_day, batch, meter_book, sample

QUARTER_S = 900
CLOSED_S = QUARTER_S + 61.0


class Life:
    """Measures that are killed and started again from the rows they had kept."""

    def __init__(self, dwellings: int = 0, *, consented: bool = True) -> None:
        self.book = meter_book(dwellings, consented=consented)
        self.rows: dict[str, bytes] = {}
        self.start()

    def start(self) -> None:
        self.measures = LogMeasures("log/0", self.book, self.rows.get)

    def feed(self, *batches: Batch) -> list[Point]:
        found = [p for one in batches for p in self.measures.feed(one)]
        self.rows |= self.measures.rows()
        return found


def _of(points: Sequence[Point], measurement: str) -> list[Point]:
    return [p for p in points if p.measurement == measurement]


def test_a_minute_of_latencies_becomes_a_point_when_the_watermark_has_passed_it() -> None:
    life = Life()
    assert life.feed(batch(1, sample(0, 5), sample(1, 5, received_ms=T + 1_700)), batch(59)) == []
    (hop,) = _of(life.feed(batch(60)), "hops")
    assert dict(hop.tags) == {"site": "s1", "hop": "device_to_accepted"}
    assert (hop.fields["n"], hop.fields["sum_ms"], hop.fields["max_ms"]) == (2, 740, 700)
    assert (hop.fields["within_50"], hop.fields["within_500"], hop.fields["within_1000"]) == (1, 1, 2)
    assert life.feed(batch(120)) == []


def test_what_a_box_had_stored_is_no_latency() -> None:
    life = Life()
    life.feed(batch(1, sample(0, 5, stored=True, received_ms=T + 900_000)))
    assert _of(life.feed(batch(60)), "hops") == []


def test_the_logs_own_time_gives_the_hop_to_the_disk() -> None:
    life = Life()
    life.measures.feed(batch(1, sample(0, 5)), T + 45)
    points = _of(life.feed(batch(60)), "hops")
    assert {dict(p.tags)["hop"]: p.fields["sum_ms"] for p in points} == {
        "device_to_accepted": 40,
        "accepted_to_durable": 5,
    }


def test_devices_are_counted_by_class_every_five_minutes() -> None:
    life = Life(dwellings=2)
    said: dict[str, Any] = {"site_id": "s1", "place_id": "r0", "received_ms": T + 10, "at_ms": T}
    offline = DeviceStateChanged(event_id="a", source_id="d0", online=False, **said)
    unwell = DeviceReported(event_id="b", source_id="d1", healthy=False, **said)
    life.feed(batch(1, sample(0, 5), offline, unwell))
    (devices,) = _of(life.feed(batch(300)), "devices")
    assert dict(devices.tags) == {"site": "s1", "class": "meter"}
    assert devices.fields == {"known": 3, "heard": 3, "offline": 1, "unhealthy": 1, "events": 3, "stored": 0}
    (quiet,) = _of(life.feed(batch(600)), "devices")
    assert quiet.fields == {"known": 3, "heard": 0, "offline": 1, "unhealthy": 1, "events": 0, "stored": 0}


def test_a_quarter_of_power_adds_up_meters_and_keeps_the_highest() -> None:
    life = Life()
    life.feed(batch(20, sample(0, 100), sample(10, 300)))
    (power,) = _of(life.feed(batch(CLOSED_S)), "power")
    assert dict(power.tags) == {"site": "s1", "building": "b1", "circuit": "common"}
    assert power.fields == {"mean_w": 200.0, "max_w": 300, "energy_kwh": 0.05, "meters": 1, "samples": 2}
    assert power.at_ns == T * 1_000_000


@pytest.mark.parametrize(("dwellings", "shown"), [(MIN_DWELLINGS - 1, False), (MIN_DWELLINGS, True)])
def test_dwellings_are_shown_only_together_and_never_their_highest(dwellings: int, shown: bool) -> None:
    life = Life(dwellings)
    life.feed(batch(20, *(sample(n, 100, f"d{n}") for n in range(dwellings))))
    points = _of(life.feed(batch(CLOSED_S)), "power")
    assert len(points) == shown
    assert all("max_w" not in p.fields and dict(p.tags)["circuit"] == "dwelling" for p in points)


def test_a_dwelling_without_consent_is_not_even_added_up() -> None:
    life = Life(9, consented=False)
    life.feed(batch(20, *(sample(n, 100, f"d{n}") for n in range(9))))
    assert _of(life.feed(batch(CLOSED_S)), "power") == []
    assert [key for key in life.rows if key.startswith("power/")] == []


def test_a_room_is_never_looked_at_without_consent_whatever_it_is_used_for() -> None:
    device = meter_book(1, consented=False).device("s1", "d0")
    shop = Place(place_id="r0", kind=PlaceKind.ROOM, use=PlaceUse.COMMON, building="b1")
    assert circuit_of(device, shop) is None
    assert circuit_of(device, None) is None
    assert device is not None
    assert device.device_class is DeviceClass.METER


def test_late_samples_write_their_quarter_again() -> None:
    life = Life()
    life.feed(batch(20, sample(0, 100)), batch(CLOSED_S))
    later_s = 6 * 86_400.0
    late = sample(30, 500, stored=True, received_ms=T + int(later_s * 1000))
    (power,) = _of(life.feed(batch(later_s, late), batch(later_s + 60)), "power")
    assert (power.at_ns, power.fields["samples"], power.fields["mean_w"]) == (T * 1_000_000, 2, 300.0)


def test_samples_later_than_the_log_is_kept_are_counted_and_left_out() -> None:
    life = Life()
    later_s = LATE_MS / 1000 + 2 * QUARTER_S
    life.feed(batch(later_s))
    life.feed(batch(later_s, sample(30, 500)))
    assert _of(life.feed(batch(later_s + 60)), "power") == []
    assert life.measures.too_late == 1


def _lived(seed: int) -> list[Event]:
    dice = random.Random(seed)
    found: list[Event] = []
    for n in range(120):
        second, meter = n * 17.0, dice.choice(["m1", "d0", "d1", "d2", "d3", "d4", "d5"])
        late_s = dice.choice([0, 0, 0, 1, 40, 1_500])
        found.append(sample(second, dice.uniform(0, 900), meter, received_ms=T + int((second + late_s) * 1000)))
    return sorted(found, key=lambda event: event.received_ms)


def _batches(events: Sequence[Event], cuts: Sequence[int]) -> list[Batch]:
    found, start = [], 0
    for cut in [*sorted(set(cuts)), len(events)]:
        part = [event for event in events[start:cut] if isinstance(event, PowerSampled)]
        found += [batch((event.received_ms - T) / 1000, event) for event in part]
        start = cut
    return [*found, batch(4_500)]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sets(st.integers(0, 120), max_size=8))
def test_killed_anywhere_and_started_again_gives_the_same_points(seed: int, kills: set[int]) -> None:
    batches = _batches(_lived(seed), [])
    clean = Life(6).feed(*batches)
    life, found = Life(6), []
    for n, one in enumerate(batches):
        if n in kills:
            life.measures.feed(one)  # taken, but never kept
            life.start()
        found += life.feed(one)
    assert found == clean
    assert len(_of(clean, "power")) >= 2


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_a_sample_that_is_sent_again_counts_once(seed: int) -> None:
    batches = _batches(_lived(seed), [])
    twice = [b for one in batches for b in (one, one)]
    assert _final(Life(6).feed(*twice)) == _final(Life(6).feed(*batches))


def _final(points: Sequence[Point]) -> dict[object, object]:
    return {(p.tags, p.at_ns): p.fields for p in _of(points, "power")}


def test_every_point_is_in_the_catalogue_with_its_tags_and_types() -> None:
    life = Life(6)
    points = [*a_day(), *life.feed(*_batches(_lived(1), []))]
    kinds = {FieldKind.INTEGER: int, FieldKind.FLOAT: float, FieldKind.BOOLEAN: bool}
    assert {p.measurement for p in points} | {"losses"} == set(CATALOGUE)
    for p in points:
        known = CATALOGUE[p.measurement]
        assert {name for name, _ in p.tags} <= set(known.tags)
        for name, value in p.fields.items():
            assert isinstance(value, kinds[known.fields[name].kind]), (p.measurement, name, value)
            assert isinstance(value, bool) == (known.fields[name].kind is FieldKind.BOOLEAN)


@pytest.mark.parametrize("by_ms", [-60 * 86_400_000, 5 * 3_600_000])
def test_after_a_step_of_the_logs_time_points_come_as_before_it(by_ms: int) -> None:
    life = Life()
    life.feed(batch(1, sample(0, 5)), batch(59))
    header = event_header("s1", "ingest", "s1", T + 59_000 + by_ms, "step")
    step = ClockStepped(**header, received_ms=T + 59_000 + by_ms, step_ms=by_ms, shift_ms=by_ms)
    life.feed(Batch(partition=0, watermark_ms=T + 59_000 + by_ms, events=(step,)))
    assert life.measures.time_ms == T + 59_000 + by_ms
    later = T + 125_000 + by_ms
    hops = _of(life.feed(Batch(partition=0, watermark_ms=later)), "hops")
    assert [hop.at_ns // 60_000_000_000 for hop in hops] == [(T + 59_000 + by_ms) // 60_000]
