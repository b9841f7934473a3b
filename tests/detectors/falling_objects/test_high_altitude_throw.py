"""`high_altitude_throw`: one fall, one finding, with what is known of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from contracts.findings import Phase, Severity
from detectors.core.rule import Episode
from detectors.falling_objects.high_altitude_throw import MAX_FALLS, HighAltitudeThrow
from tests.detectors.builders import MINUTE, T0, Script, still
from tests.detectors.harness import Harness, run


def test_a_calibrated_fall_says_its_floor_column_and_drop() -> None:
    script = Script()
    ref = still()
    event = script.fell(
        1_000,
        place="col3",
        column="col3",
        drop_m=24.5,
        drop_error_m=0.8,
        floor=9.0,
        floor_error=0.6,
        gravity_ms2=9.7,
        fit_error_px=1.2,
        evidence=(ref,),
        model="falls@abc",
        score=0.9,
    )
    (found,) = run(HighAltitudeThrow(), [event], T0 + 60 * MINUTE)
    draft = found.draft
    assert (draft.phase, draft.severity, draft.verified) == (Phase.OPEN, None, True)
    assert (draft.subject.ref, draft.place_id, draft.source_id) == ("col3", "col3", "cam1")
    assert draft.confidence == pytest.approx(0.9)
    assert (draft.evidence, draft.model) == ((ref,), "falls@abc")
    values = {code: fact.value for code, fact in found.facts().items()}
    assert values == {
        "drop_m": 24.5,
        "calibrated": True,
        "suspected": False,
        "fall_s": 1.5,
        "fit_error_px": 1.2,
        "drop_error_m": 0.8,
        "floor": 9.0,
        "floor_error": 0.6,
        "column": "col3",
        "gravity_ms2": 9.7,
    }


@pytest.mark.parametrize(
    ("fall", "suspected"),
    [
        ({"drop_m": 5.0}, False),
        ({"drop_m": 4.9}, True),  # less than two storeys
        ({"suspected": True, "drop_m": 30.0}, True),
        ({"calibrated": False}, False),
    ],
)
def test_a_short_fall_or_one_against_gravity_is_only_suspected(fall: dict[str, Any], suspected: bool) -> None:
    (found,) = run(HighAltitudeThrow(), [Script().fell(0, **fall)])
    assert found.draft.verified is not suspected
    assert found.draft.severity is (Severity.MAJOR if suspected else None)
    assert found.fact("suspected") is suspected


def test_an_uncalibrated_camera_says_no_floor_and_is_less_sure() -> None:
    (found,) = run(HighAltitudeThrow(), [Script().fell(0, calibrated=False)])
    assert not {"floor", "drop_m", "column"} & set(found.facts())
    assert (found.draft.confidence, found.draft.subject.ref) == (0.7, "facade1")


def test_falls_of_one_camera_are_separate_episodes_in_any_order() -> None:
    script = Script()
    harness = Harness(HighAltitudeThrow())
    harness.feed([script.fell(5_000)])
    harness.feed([script.fell(5_000), script.fell(1_000)])  # same millisecond; and late
    assert len({(d.draft.episode.onset_ms, d.draft.episode.event_id) for d in harness.found}) == 3
    assert harness.until(T0 + 24 * 60 * MINUTE) == []


def test_a_site_may_set_the_least_drop() -> None:
    script = Script()
    found = run(
        HighAltitudeThrow(), [script.threshold("high_altitude_throw", "min_drop_m", 2.0), script.fell(0, drop_m=3.0)]
    )
    assert [d.draft.verified for d in found] == [True]


def test_the_evidence_of_a_fall_follows_as_an_update_of_its_episode() -> None:
    script, ref = Script(), still()
    fall = script.fell(1_000)
    (after,) = (msgspec.structs.replace(fall, event_id="e2", evidence_of=fall.event_id, evidence=(ref,)),)
    shifted = msgspec.structs.replace(after, at_ms=fall.at_ms + 7)  # ingest measured the clock anew meanwhile
    for follower in (after, shifted):
        found = run(HighAltitudeThrow(), [fall, follower], T0 + 120 * MINUTE)
        assert [(d.draft.phase, d.draft.evidence) for d in found] == [(Phase.OPEN, ()), (Phase.UPDATE, (ref,))]
        assert found[1].draft.episode == found[0].draft.episode.next()


def test_evidence_of_a_fall_that_is_forgotten_still_names_its_episode() -> None:
    after = Script().fell(1_000, evidence_of="sp-1", evidence=(still(),))
    harness = Harness(HighAltitudeThrow())
    harness.feed([after])
    assert [(d.draft.phase, d.draft.episode) for d in harness.found] == [
        (Phase.UPDATE, Episode(after.at_ms, "sp-1", nth=1))
    ]
    assert harness.states == {}


def test_a_camera_without_falls_for_an_hour_is_forgotten() -> None:
    script, harness = Script(), Harness(HighAltitudeThrow())
    harness.feed([script.fell(n) for n in range(40)])
    assert len(harness.states["cam1"].falls) == MAX_FALLS
    harness.until(T0 + 2 * 60 * MINUTE)
    assert harness.states == {}
