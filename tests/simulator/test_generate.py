"""A generated file is what a partition's writer would have accepted, the same for the same seed."""

from __future__ import annotations

import io
import itertools
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from contracts.durations import DAY_MS, MINUTE_MS
from contracts.events import (
    AnyEvent,
    ConfigurationRecord,
    DeviceConfigured,
    DeviceReported,
    Origin,
    PlaceConfigured,
    PowerSampled,
    SiteConfigured,
    VisitorRegistered,
)
from contracts.names import is_id
from detectors.registry import rule_facts, thresholds
from simulator.community import LONGEST_SILENCE_MS
from simulator.files import write_events
from simulator.generate import DEFAULT_START_MS, PENDING_DEVICE, QUIET_MS, SimulationRequest, generate
from simulator.inventory import THRESHOLDS
from simulator.truth import Truth
from tests.simulator.worlds import world

RULES = set(rule_facts())


def _bytes(events: list[AnyEvent]) -> bytes:
    out = io.BytesIO()
    write_events(events, out)
    return out.getvalue()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not() -> None:
    again = generate(SimulationRequest(seed=3, sites=2))

    assert _bytes(again.events) == _bytes(world().events)
    assert again.truths == world().truths
    assert _bytes(generate(SimulationRequest(seed=4, sites=2)).events) != _bytes(world().events)


@pytest.mark.slow
def test_bytes_do_not_depend_on_the_processes_hash_seed(tmp_path: Path) -> None:
    files = []
    for hash_seed in ("1", "77"):
        out = tmp_path / f"{hash_seed}.jsonl"
        command = [sys.executable, "-m", "app.main", "simulate", "--seed", "9", "--sites", "1", "--out", str(out)]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": hash_seed}, capture_output=True)
        files.append(out.read_bytes())

    assert files[0] == files[1]


def test_a_site_is_the_same_whichever_others_are_generated_with_it() -> None:
    alone = generate(SimulationRequest(seed=3, sites=1)).events

    assert [e for e in world().events if e.site_id == "site-01"] == alone


def test_events_stand_in_order_of_acceptance_with_configuration_first() -> None:
    events = world().events
    first_other = next(n for n, e in enumerate(events) if not isinstance(e, ConfigurationRecord))
    later = {type(e) for e in events[first_other:] if isinstance(e, ConfigurationRecord)}

    assert all(a.received_ms <= b.received_ms for a, b in itertools.pairwise(events))
    assert later == {VisitorRegistered}
    assert all(e.received_ms == e.at_ms for e in events if isinstance(e, ConfigurationRecord))


def test_versions_count_from_one_per_site() -> None:
    for site in ("site-01", "site-02"):
        records = [e for e in world().events if e.site_id == site and isinstance(e, ConfigurationRecord)]
        assert [r.version for r in records] == list(range(1, len(records) + 1))


def test_every_line_decodes_to_the_event_it_was() -> None:
    decoder = msgspec.json.Decoder(AnyEvent)
    lines = _bytes(world().events).splitlines()

    assert [decoder.decode(line) for line in lines] == world().events
    assert all(e.received_ms > 0 and e.origin is Origin.SIMULATED for e in world().events)


def test_ids_are_well_formed_and_stand_for_one_content_each() -> None:
    contents: dict[tuple[str, str], bytes] = {}
    for event in world().events:
        assert is_id(event.site_id)
        assert is_id(event.source_id)
        assert is_id(event.place_id)
        plain = msgspec.json.encode(msgspec.structs.replace(event, received_ms=0, stored=False))
        assert contents.setdefault((event.site_id, event.event_id), plain) == plain


def test_only_the_pending_device_is_missing_from_the_inventory() -> None:
    configured = {(e.site_id, e.device_id) for e in world().events if isinstance(e, DeviceConfigured)}
    unknown = {
        (e.site_id, e.source_id)
        for e in world().events
        if not isinstance(e, ConfigurationRecord) and (e.site_id, e.source_id) not in configured
    }

    assert unknown == {("site-01", PENDING_DEVICE), ("site-02", PENDING_DEVICE)}


def test_a_box_speaks_for_exactly_the_cameras_that_are_given_to_it() -> None:
    boxes = {(e.site_id, e.device_id): e.box_id for e in world().events if isinstance(e, DeviceConfigured)}
    for event in world().events:
        if isinstance(event, ConfigurationRecord):
            continue
        box_id = boxes.get((event.site_id, event.source_id))
        speaker = None if event.spool is None else event.spool.box_id
        assert speaker == box_id or (box_id is None and speaker == event.source_id)


def test_every_place_an_event_names_is_configured() -> None:
    places = {(e.site_id, e.place.place_id) for e in world().events if isinstance(e, PlaceConfigured)}
    sites = [e for e in world().events if isinstance(e, SiteConfigured)]

    assert len(sites) == 2
    assert all((e.site_id, e.place_id) in places for e in world().events)


def test_the_tail_is_quiet_and_longer_than_every_scripted_wait() -> None:
    end_ms = DEFAULT_START_MS + DAY_MS
    tail = [e for e in world().events if e.at_ms > end_ms - QUIET_MS + 10_000]

    assert QUIET_MS > LONGEST_SILENCE_MS
    assert {type(e).__name__ for e in tail} <= {"DeviceReported", "EnvironmentSampled", "PowerSampled"}
    assert not any(getattr(e, "alarm", False) for e in tail)
    assert all(t.to_ms <= end_ms for t in world().truths if t.expected)
    assert 0 <= world().events[-1].received_ms - end_ms < 5_000


def test_most_comes_within_a_second_some_late_some_twice_some_stored() -> None:
    live = [e for e in world().events if not isinstance(e, ConfigurationRecord)]
    delays = [e.received_ms - e.at_ms for e in live if not e.stored]
    seen = Counter((e.site_id, e.event_id) for e in live)

    assert sum(delay > 14_000 for delay in delays) > 5
    assert sum(0 <= delay < 1_000 for delay in delays) > 0.85 * len(delays)  # the rest have wrong clocks
    assert 0.001 * len(live) < sum(n > 1 for n in seen.values()) < 0.02 * len(live)
    assert sum(e.stored for e in live) > 10


def test_arrival_is_shuffled_against_what_happened() -> None:
    times = [e.at_ms for e in world().events if isinstance(e, DeviceReported)]

    assert times != sorted(times)


def test_meters_report_often_under_load_and_seldom_otherwise() -> None:
    by_meter: dict[tuple[str, str], list[PowerSampled]] = {}
    for event in world().events:
        if isinstance(event, PowerSampled):
            by_meter.setdefault((event.site_id, event.source_id), []).append(event)

    assert all(250 <= len(samples) <= 1_900 for samples in by_meter.values())
    for samples in by_meter.values():
        taken = sorted(s.received_ms for s in samples if s.power_w > 100)
        assert sum(b - a <= 65_000 for a, b in itertools.pairwise(taken)) >= 0.8 * (len(taken) - 1)


@pytest.mark.slow
def test_a_day_of_eight_communities_fits_its_budget_and_covers_six_rules() -> None:
    began = time.monotonic()
    big = generate(SimulationRequest(seed=1, sites=8))
    took_s = time.monotonic() - began
    expected = Counter(t.rule for t in big.truths if t.expected)

    assert len(big.events) <= 150_000
    assert took_s <= 60
    assert set(expected) == RULES
    assert sum(expected.values()) >= 50


def test_several_days_repeat_the_rhythm_and_end_in_one_tail() -> None:
    two_days = generate(SimulationRequest(seed=3, days=2, sites=1))
    one_day = [e for e in world().events if e.site_id == "site-01"]

    assert 1.6 * len(one_day) < len(two_days.events) < 2.4 * len(one_day)
    assert two_days.events[-1].received_ms - DEFAULT_START_MS >= 2 * DAY_MS


def test_a_start_moves_everything_with_it() -> None:
    start_ms = DEFAULT_START_MS + 7 * DAY_MS + 90 * MINUTE_MS
    moved = generate(SimulationRequest(seed=3, sites=1, start_ms=start_ms, origin=Origin.DRILL))

    assert moved.events[0].received_ms == start_ms
    assert {e.origin for e in moved.events} == {Origin.DRILL}
    assert all(start_ms <= t.from_ms and t.to_ms <= start_ms + DAY_MS for t in moved.truths if t.expected)


def test_truths_name_places_and_devices_that_exist() -> None:
    names = {(e.site_id, e.place.place_id) for e in world().events if isinstance(e, PlaceConfigured)}
    names |= {(e.site_id, e.device_id) for e in world().events if isinstance(e, DeviceConfigured)}

    def known(truth: Truth) -> bool:
        return (truth.site_id, truth.subject) in names and (truth.site_id, truth.place_id) in names

    assert [t for t in world().truths if not known(t)] == []
    assert [t for t in world().truths if t.from_ms >= t.to_ms] == []
    assert {t.rule for t in world().truths} <= RULES


def test_the_numbers_that_a_site_has_confirmed_are_the_rules_own_defaults() -> None:
    declared = thresholds()
    for rule, name, value in THRESHOLDS:
        assert declared[f"{rule}.{name}"].default == value
