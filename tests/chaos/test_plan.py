"""The plan of faults is a pure function of its seed, and what it predicts can be worked out by hand."""

from __future__ import annotations

import itertools

import pytest

from contracts.events import DeviceConfigured
from contracts.findings import Finding
from detectors.registry import all_rules
from streams.engine.in_memory_run import run_file
from tests.chaos.faults import KILLS, LISTENING, STORES, WORKERS, FaultKind, plan
from tests.chaos.life import SILENT_S, Life, Mute, mutes_of
from tests.chaos.runner import Happened
from tests.chaos.silence import Silences, longest_heard_s, silences

START_MS = 1_790_000_000_000


def test_the_same_seed_gives_the_same_plan_and_another_one_another() -> None:
    first = plan(3, 600, (WORKERS, LISTENING, STORES), scale=True)
    assert first == plan(3, 600, (WORKERS, LISTENING, STORES), scale=True)
    assert first != plan(4, 600, (WORKERS, LISTENING, STORES), scale=True)


@pytest.mark.parametrize("seed", range(5))
def test_every_fault_is_over_in_time_and_every_kind_comes(seed: int) -> None:
    faults = plan(seed, 600, (WORKERS, LISTENING, STORES), scale=True)
    assert all(fault.at_s > 0 and fault.at_s + fault.for_s < 600 for fault in faults)
    assert {fault.kind for fault in faults} == set(FaultKind) - {FaultKind.MQTT_KILLED}


def test_a_worker_is_killed_every_eight_to_sixteen_seconds() -> None:
    kills = [fault.at_s for fault in plan(1, 900, (KILLS,))]
    assert all(8 <= later - earlier <= 16 for earlier, later in itertools.pairwise(kills))


def test_life_is_a_pure_function_of_its_seed() -> None:
    assert Life(2, 2).file(START_MS, 30) == Life(2, 2).file(START_MS, 30)
    assert Life(2, 2).file(START_MS, 30) != Life(3, 2).file(START_MS, 30)


def test_undisturbed_only_the_muted_canaries_and_those_never_heard_are_silent() -> None:
    mutes = mutes_of(7, 3, 120, 40)
    outputs = run_file(Life(7, 3, mutes=mutes).file(START_MS, 120), all_rules())
    found = [output for output in outputs if isinstance(output, Finding)]
    sites = [f"site-{n:02d}" for n in (1, 2, 3)]
    seen = silences(found, mutes, [], (START_MS, START_MS + 120_000), sites)
    assert seen == Silences(expected=6, found=6, false=0, missed=0, open_to_both=0)


def test_only_canaries_can_fall_silent() -> None:
    judged = [r.device_id for r in Life(1, 1).records(0) if isinstance(r, DeviceConfigured) and r.silent_after_ms]
    assert all(device_id.startswith("canary") for device_id in judged)


def test_a_mute_must_show_only_where_we_listened_long_enough_at_a_stretch() -> None:
    mute = Mute("s", "canary-0", 10.0, 50.0)
    assert longest_heard_s(mute, []) == 40
    assert longest_heard_s(mute, [(12.0, 30.0), (20.0, 45.0)]) == 5
    assert longest_heard_s(mute, [(0.0, 60.0)]) == 0


def test_a_silence_that_no_mute_explains_is_false_and_one_that_is_missing_is_missed() -> None:
    mute = Mute("s", "canary-0", 0.0, 3 * SILENT_S)
    cut = Happened(FaultKind.MQTT_CUT, "mosquitto", START_MS, START_MS + int(3_000 * SILENT_S))
    spoken_ms = (START_MS, START_MS + 60_000)
    assert silences([], [mute], [], spoken_ms, ["s"]).missed == 2
    assert silences([], [mute], [cut], spoken_ms, []).open_to_both == 1
