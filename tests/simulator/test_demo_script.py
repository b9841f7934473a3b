"""The demo's history ends with two things about to come due; its live script goes on without camera observations."""

from __future__ import annotations

import itertools

import pytest

from contracts.durations import MINUTE_MS
from contracts.events import (
    AnyEvent,
    ConfigurationRecord,
    DeviceConfigured,
    EnvironmentSampled,
    ObjectFell,
    ObjectObserved,
    Origin,
    PassageObserved,
    PowerSampled,
)
from contracts.names import Topic
from simulator.demo_community import CAM_FACADE, CAM_GATE, CAM_LIFT, DEMO_BOX, SILENT_MS, demo_inventory
from simulator.demo_script import HISTORY_MS, SILENCE_DUE_MS, DemoScript, history, live

END_MS = 1_773_633_600_000
Due = tuple[float, Topic, AnyEvent]


@pytest.fixture(scope="module")
def demo() -> DemoScript:
    return DemoScript(1, END_MS)


@pytest.fixture(scope="module")
def past(demo: DemoScript) -> list[AnyEvent]:
    return list(demo.history())


@pytest.fixture(scope="module")
def minutes(demo: DemoScript, past: list[AnyEvent]) -> list[Due]:
    """The first three minutes of live script, begun twenty seconds after the history's end."""
    assert past
    return list(itertools.takewhile(lambda due: due[0] < 180, demo.live(END_MS + 20_000)))


def test_the_history_is_four_hours_in_order_and_within_its_budget(past: list[AnyEvent]) -> None:
    assert past[0].received_ms == END_MS - HISTORY_MS
    assert END_MS - 10_000 < past[-1].received_ms <= END_MS
    assert all(a.received_ms <= b.received_ms for a, b in itertools.pairwise(past))
    assert len(past) <= 200_000
    assert {e.origin for e in past} == {Origin.SIMULATED}


def test_history_and_inventory_agree_on_every_configuration_record(past: list[AnyEvent]) -> None:
    records = [e for e in past if isinstance(e, ConfigurationRecord)]
    by_site = sorted(records, key=lambda record: (record.site_id, record.version))

    assert by_site == demo_inventory(1, END_MS - HISTORY_MS)


def test_the_real_box_has_its_three_cameras_and_only_they_are_not_simulated(
    past: list[AnyEvent], minutes: list[Due]
) -> None:
    given = {e.device_id for e in past if isinstance(e, DeviceConfigured) and e.box_id == DEMO_BOX}
    speakers = {(e.site_id, e.source_id) for _, _, e in minutes}

    assert given == {CAM_FACADE, CAM_LIFT, CAM_GATE}
    assert not speakers & {("site-01", name) for name in (*given, DEMO_BOX)}


def test_no_camera_observation_is_simulated(past: list[AnyEvent], minutes: list[Due]) -> None:
    everything = [*past, *(event for _, _, event in minutes)]

    assert not any(isinstance(e, ObjectObserved | ObjectFell) for e in everything)


def test_one_device_was_last_heard_so_that_its_silence_is_due_soon(
    demo: DemoScript, past: list[AnyEvent], minutes: list[Due]
) -> None:
    silent = ("site-02", demo.silent_device.device_id)
    last_ms = max(e.at_ms for e in past if (e.site_id, e.source_id) == silent)

    assert last_ms + SILENT_MS - END_MS == pytest.approx(SILENCE_DUE_MS, abs=200)
    assert not any((e.site_id, e.source_id) == silent for _, _, e in minutes)


def test_everybody_else_is_heard_often_enough(past: list[AnyEvent], minutes: list[Due], demo: DemoScript) -> None:
    silent = ("site-02", demo.silent_device.device_id)
    judged = {(e.site_id, e.device_id) for e in past if isinstance(e, DeviceConfigured) and e.silent_after_ms}
    lately = {(e.site_id, e.source_id) for e in past if e.at_ms > END_MS - SILENT_MS + MINUTE_MS}
    alive = {(e.site_id, e.source_id) for _, _, e in minutes}

    assert judged - lately == {silent}
    assert judged - alive == {silent, ("site-01", DEMO_BOX)}


def test_the_charge_goes_on_across_the_gap_between_history_and_live(
    demo: DemoScript, past: list[AnyEvent], minutes: list[Due]
) -> None:
    truth = next(t for t in demo.truths if t.rule == "indoor_ebike_charging" and t.from_ms > END_MS - 60 * MINUTE_MS)
    before = [
        e.power_w
        for e in past
        if isinstance(e, PowerSampled) and (e.site_id, e.place_id) == (truth.site_id, truth.place_id)
        if e.at_ms > truth.from_ms + MINUTE_MS
    ]
    after = [
        e.power_w
        for _, _, e in minutes
        if isinstance(e, PowerSampled) and (e.site_id, e.place_id) == (truth.site_id, truth.place_id)
    ]

    assert len(before) >= 40
    assert len(after) >= 30
    assert max(before + after) / min(before + after) < 1.15


def test_a_stranger_and_smoke_come_within_half_a_minute(minutes: list[Due]) -> None:
    smoke = next(due_s for due_s, _, e in minutes if isinstance(e, EnvironmentSampled) and e.alarm)
    first_minute = [e for due_s, _, e in minutes if due_s < 20 and isinstance(e, PassageObserved)]

    assert smoke <= 35
    assert len(first_minute) >= 2


def test_live_is_in_order_at_ten_to_thirty_events_a_second_and_continues_all_numbers(
    past: list[AnyEvent], minutes: list[Due]
) -> None:
    assert all(a[0] <= b[0] for a, b in itertools.pairwise(minutes))
    assert all(event.at_ms == END_MS + 20_000 + round(due_s * 1_000) for due_s, _, event in minutes)
    assert 10 <= len(minutes) / 180 <= 30
    old = {(e.site_id, e.event_id) for e in past}
    new = [(e.site_id, e.event_id) for _, _, e in minutes]
    assert len(set(new)) == len(new)
    assert not old & set(new)
    highest: dict[tuple[str, str], int] = {}
    for event in [*past, *(event for _, _, event in minutes)]:
        if event.seq is not None:
            source = (event.site_id, event.source_id)
            assert event.seq <= highest.get(source, -1) + 20  # the history is shuffled a little
            highest[source] = max(highest.get(source, -1), event.seq)


def test_bad_inputs_are_an_option_and_come_regularly(demo: DemoScript) -> None:
    minute = list(itertools.takewhile(lambda due: due[0] <= 60, demo.live(END_MS, with_bad=True)))
    bad = [(topic, event) for _, topic, event in minute if event.event_id.startswith("bad-")]

    assert len(bad) == 4
    assert sum(topic.device_id != event.source_id for topic, event in bad) == 1
    assert sum(topic.site_id != event.site_id for topic, event in bad) == 1
    assert sum(event.at_ms < END_MS - 30 * 86_400_000 for _, event in bad) == 1


def test_the_plain_functions_tell_the_same_story(past: list[AnyEvent]) -> None:
    assert list(itertools.islice(history(1, END_MS), 500)) == past[:500]
    assert [due[0] for due in itertools.islice(live(1, END_MS), 50)] == sorted(
        due[0] for due in itertools.islice(live(1, END_MS), 50)
    )
