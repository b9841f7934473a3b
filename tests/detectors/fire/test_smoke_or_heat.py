"""`smoke_or_heat`: signs, episodes, and late alarms that corrupt nothing."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.findings import Phase
from contracts.names import DeviceClass
from detectors.fire.smoke_or_heat import SmokeOrHeat
from tests.detectors.builders import HOUR, MINUTE, SECOND, T0, Script
from tests.detectors.harness import Harness, phases, run


@pytest.mark.parametrize(
    ("reading", "signs"),
    [
        ({"alarm": True}, ["sensor_alarm"]),
        ({"smoke_pct_m": 5.0}, []),  # a reading needs a neighbour that agrees
        ({"smoke_pct_m": 4.9}, []),
        ({"temperature_c": 60.0}, []),
        ({"temperature_c": 60.0, "smoke_pct_m": 5.0}, ["smoke_pct_m", "temperature_c"]),
        ({"temperature_c": 59.0}, []),  # a hot attic, and a first reading has no rate of rise
        ({"alarm": True, "smoke_pct_m": 9.0, "temperature_c": 80.0}, ["sensor_alarm", "smoke_pct_m", "temperature_c"]),
        ({"alarm": False, "humidity_pct": 99.0}, []),
        ({"co_ppm": 400.0}, []),
    ],
)
def test_one_reading_decides(reading: dict[str, Any], signs: list[str]) -> None:
    found = run(SmokeOrHeat(), [Script().environment(0, **reading)], T0 + 30 * SECOND)
    assert [list(d.facts()) for d in found] == ([signs] if signs else [])


@pytest.mark.parametrize(
    ("temperatures", "fires"),
    [
        ([(0, 25.0), (10, 27.0), (20, 30.0), (40, 38.0), (60, 44.0)], True),  # ~20 °C/min
        ([(0, 25.0), (60, 36.0), (120, 47.0)], True),  # 11 °C/min
        ([(0, 25.0), (60, 33.0), (120, 41.0), (180, 49.0)], False),  # 8 °C/min: cooking
        ([(0, 5.0), (60, 25.0)], False),  # carried in from the cold
        ([(0, 30.0), (600, 50.0)], False),  # sun on a window
        ([(0, 39.0), (2, 52.0)], False),  # two readings in two seconds are noise
        ([(0, 45.0), (60, 54.0)], False),  # less than ten degrees
    ],
)
def test_a_rise_counts_only_as_fast_and_as_hot_as_fire(temperatures: list[tuple[int, float]], fires: bool) -> None:
    script = Script()
    events = [script.environment(at * SECOND, temperature_c=value) for at, value in temperatures]
    found = run(SmokeOrHeat(), events)
    assert [list(d.facts()) for d in found] == ([["temperature_rise_c_min"]] if fires else [])


def test_a_reading_that_is_said_again_rises_no_more() -> None:
    script = Script()
    readings = [(0, 21.0), (280, 31.0), (380, 61.0)]
    events = [script.environment(at * SECOND, temperature_c=value, smoke_pct_m=6.0) for at, value in readings]
    assert run(SmokeOrHeat(), [*events, events[-1]]) == run(SmokeOrHeat(), events)


@pytest.mark.parametrize(
    "temperatures",
    [
        [22.1, 22.1, 22.1, 85.0, 22.1, 22.1, 22.1],  # a sensor that lost its power for a moment
        [85.0, 22.1, 22.1, 22.1],
        [22.0, 125.0, 22.0, 125.0, 22.0],
        [45.0, -40.0, 45.0, 45.0, 45.0, 46.0],  # the way back from a low one is no rise
        [-40.0, 45.0, 45.0, 46.0, 46.0],
        [22.0, 85.0, 45.0, 30.0],
        [58.0, 60.0, 58.0, 59.0],
    ],
)
@pytest.mark.parametrize("every_s", [5, 30, 60, 120])
def test_one_reading_that_its_neighbours_deny_accuses_nobody(temperatures: list[float], every_s: int) -> None:
    script = Script()
    events = [script.environment(n * every_s * SECOND, temperature_c=value) for n, value in enumerate(temperatures)]
    assert run(SmokeOrHeat(), events, T0 + HOUR) == []


@pytest.mark.parametrize(
    ("temperatures", "every_s", "opens_at"),
    [
        ([22.0, 85.0, 90.0], 60, 2),  # the second says so too
        ([85.0, 85.5], 3_600, 1),  # also an hour later
        ([35.0, 48.0, 63.0], 120, 2),  # it was rising already
        ([22.0, 85.0, 22.0, 22.0, 35.0, 50.0, 70.0], 60, 5),  # an outlier before it hides nothing
    ],
)
def test_heat_counts_with_the_neighbour_that_agrees(temperatures: list[float], every_s: int, opens_at: int) -> None:
    script = Script()
    events = [script.environment(n * every_s * SECOND, temperature_c=value) for n, value in enumerate(temperatures)]
    found = run(SmokeOrHeat(), events)
    assert [(str(d.phase), d.at_ms - T0) for d in found][:1] == [("open", opens_at * every_s * SECOND)]


def test_the_sensors_own_alarm_counts_at_once_whatever_its_readings_say() -> None:
    script = Script()
    events = [script.environment(0, temperature_c=22.0), script.environment(60_000, alarm=True, temperature_c=85.0)]
    found = run(SmokeOrHeat(), events)
    assert [(str(d.phase), d.at_ms - T0, list(d.facts())) for d in found] == [
        ("open", 60_000, ["sensor_alarm", "temperature_c", "temperature_rise_c_min"])
    ]


def test_a_late_temperature_alone_is_no_fire() -> None:
    script = Script()
    harness = Harness(SmokeOrHeat())
    harness.feed([script.environment(HOUR, temperature_c=22.0)])
    harness._give(script.environment(10 * MINUTE, temperature_c=85.0))
    assert harness.found == []


def test_an_episode_opens_once_updates_for_another_sign_and_closes_when_clear() -> None:
    script = Script()
    events = [
        script.environment(0, alarm=True),
        script.environment(10_000, alarm=True),
        script.environment(20_000, alarm=True, temperature_c=70.0),
        script.environment(30_000, temperature_c=66.0),  # known already
        script.environment(50_000, alarm=False, temperature_c=40.0),
        script.environment(80_000, alarm=False, temperature_c=30.0),
        script.environment(300_000, alarm=False, temperature_c=25.0),
    ]
    found = run(SmokeOrHeat(), events, T0 + HOUR)
    assert [(str(d.phase), d.at_ms - T0) for d in found] == [("open", 0), ("update", 20_000), ("close", 90_000)]
    assert [d.draft.episode.nth for d in found] == [0, 1, 2]
    assert found[-1].fact("ended") == "cleared"
    assert found[-1].draft.verified


def test_smoke_comes_in_clouds_and_stays_one_episode() -> None:
    script = Script()
    events = [script.environment(at * SECOND, alarm=at % 50 == 0) for at in range(0, 301, 10)]
    events.append(script.environment(400 * SECOND, alarm=False))
    assert phases(run(SmokeOrHeat(), events, T0 + HOUR)) == [Phase.OPEN, Phase.CLOSE]


def test_a_second_fire_is_another_episode() -> None:
    script = Script()
    times = [(0, True), (30, False), (120, False), (200, True), (260, False), (300, False)]
    found = run(SmokeOrHeat(), [script.environment(at * SECOND, alarm=alarm) for at, alarm in times], T0 + HOUR)
    assert phases(found) == [Phase.OPEN, Phase.CLOSE] * 2
    assert len({d.draft.episode.onset_ms for d in found}) == 2


def test_a_sensor_that_falls_silent_in_an_alarm_stays_open_for_a_day() -> None:
    found = run(SmokeOrHeat(), [Script().environment(0, alarm=True)], T0 + 25 * HOUR)
    assert [(str(d.phase), d.at_ms - T0) for d in found] == [("open", 0), ("close", 24 * HOUR)]
    assert found[-1].fact("ended") == "no_samples"
    assert not found[-1].draft.verified


def test_a_late_alarm_is_an_episode_of_its_own_and_the_present_is_untouched() -> None:
    script = Script()
    harness = Harness(SmokeOrHeat())
    harness.feed([script.environment(HOUR, temperature_c=22.0)])
    before = harness.states["smoke1"].last_ms
    late = [script.environment(at, alarm=True, temperature_c=50.0) for at in (10 * MINUTE, 11 * MINUTE, 12 * MINUTE)]
    harness._give(late[0])  # late: given at once, not in order
    harness._give(late[2])
    harness._give(late[1])
    assert phases(harness.found) == [Phase.OPEN, Phase.CLOSE, Phase.OPEN, Phase.CLOSE]
    assert {d.draft.episode.onset_ms for d in harness.found} == {T0 + 10 * MINUTE, T0 + 12 * MINUTE}
    assert harness.states["smoke1"].last_ms == before
    harness.feed([script.environment(HOUR + MINUTE, temperature_c=23.0)])
    assert len(harness.found) == 4


def test_a_late_alarm_within_a_running_or_past_episode_says_nothing_new() -> None:
    script = Script()
    harness = Harness(SmokeOrHeat())
    harness.feed([script.environment(0, alarm=True), script.environment(40_000, alarm=True)])
    harness._give(script.environment(20_000, alarm=True))
    harness.feed([script.environment(50_000), script.environment(200_000)])
    harness._give(script.environment(30_000, alarm=True))
    assert phases(harness.found) == [Phase.OPEN, Phase.CLOSE]


def test_a_quiet_sensor_leaves_no_state() -> None:
    script = Script()
    harness = Harness(SmokeOrHeat())
    harness.feed([script.environment(at * MINUTE) for at in range(10)])
    assert harness.states == {}
    harness.feed([script.environment(11 * MINUTE, temperature_c=20.0)])
    harness.until(T0 + HOUR)
    assert harness.states == {}
    assert harness.found == []


def test_a_sensor_taken_out_of_the_inventory_ends_its_alarm_with_that_reason() -> None:
    script = Script()
    harness = Harness(SmokeOrHeat())
    fire = script.environment(0, alarm=True)
    other = script.environment(0, alarm=True, sensor="smoke-2")
    removed = script.device(fire.source_id, DeviceClass.SENSOR, fire.place_id, at=MINUTE, removed=True)
    harness.feed([fire, other, removed])
    ended = harness.found[-1]
    assert sorted((str(d.phase), d.key) for d in harness.found[:2]) == [("open", "smoke-2"), ("open", "smoke1")]
    assert [(str(d.phase), d.key) for d in harness.found[2:]] == [("close", "smoke1")]
    assert (ended.fact("ended"), ended.draft.verified, ended.draft.place_id) == ("removed", False, fire.place_id)
    assert list(harness.states) == ["smoke-2"]
    assert harness.until(T0 + 20 * HOUR) == []


def test_a_sensor_that_is_moved_or_renamed_goes_on_with_its_alarm() -> None:
    script = Script()
    harness = Harness(SmokeOrHeat())
    fire = script.environment(0, alarm=True)
    harness.feed([fire, script.device(fire.source_id, DeviceClass.SENSOR, "elsewhere", at=MINUTE)])
    assert phases(harness.found) == [Phase.OPEN]
    harness.feed([script.device("new", DeviceClass.SENSOR, "hall", at=2 * MINUTE)])
    assert list(harness.states) == [fire.source_id]
    harness.feed([script.device("quiet", DeviceClass.SENSOR, "hall", at=3 * MINUTE, removed=True)])
    assert list(harness.states) == [fire.source_id]


def test_a_removed_sensor_that_comes_back_opens_an_episode_of_its_own() -> None:
    script = Script()
    harness = Harness(SmokeOrHeat())
    fire = script.environment(0, alarm=True)
    sensor = (fire.source_id, DeviceClass.SENSOR, fire.place_id)
    harness.feed([fire, script.device(*sensor, at=MINUTE, removed=True), script.device(*sensor, at=2 * MINUTE)])
    harness.feed([script.environment(3 * MINUTE, alarm=True)])
    assert phases(harness.found) == [Phase.OPEN, Phase.CLOSE, Phase.OPEN]
    assert harness.found[0].draft.episode != harness.found[-1].draft.episode
