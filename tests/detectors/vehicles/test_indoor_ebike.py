"""`indoor_ebike`: one episode per place, never for what only resembles an e-bike."""

from __future__ import annotations

import pytest

from contracts.events import Event, ObjectLabel, TrackPhase
from contracts.findings import Phase
from contracts.places import PlaceKind, PlaceUse
from detectors.vehicles.indoor_ebike import IndoorEbike
from tests.detectors.builders import HOUR, MINUTE, SECOND, T0, Script, still
from tests.detectors.harness import Harness, phases, run

BIKE = ObjectLabel.E_BIKE


def places(script: Script) -> list[Event]:
    return [
        script.place("lift1", PlaceUse.LIFT, PlaceKind.LIFT),
        script.place("lobby1", PlaceUse.LOBBY),
        script.place("stair1", PlaceUse.STAIR),
        script.place("corridor1", PlaceUse.CORRIDOR),
        script.place("shed1", PlaceUse.SHED),
        script.place("yard1", PlaceUse.OUTDOOR),
    ]


def stay(
    script: Script,
    from_: int,
    for_: int,
    *,
    label: ObjectLabel = BIKE,
    place: str = "lift1",
    track: int = 1,
    score: float = 0.8,
    camera: str = "cam1",
    left: bool = True,
) -> list[Event]:
    times = [from_ + at for at in range(0, for_, SECOND)]
    kinds = [TrackPhase.ENTERED, *[TrackPhase.PRESENT] * (len(times) - 1)]
    events: list[Event] = [
        script.object(at, label, kind, track_id=track, score=score, place=place, camera=camera)
        for at, kind in zip(times, kinds, strict=True)
    ]
    if left:
        end = script.object(
            from_ + for_, label, TrackPhase.LEFT, track_id=track, score=score, place=place, camera=camera
        )
        events.append(end)
    return events


@pytest.mark.parametrize(
    ("place", "for_s", "score", "fires"),
    [
        ("lift1", 2, 0.8, True),
        ("lift1", 1, 0.8, False),
        ("lobby1", 3, 0.8, True),
        ("lobby1", 2, 0.8, False),
        ("stair1", 5, 0.8, True),
        ("corridor1", 5, 0.8, True),
        ("corridor1", 60, 0.45, False),
        ("shed1", 60, 0.9, False),
        ("yard1", 60, 0.9, False),
        ("unheard_of", 60, 0.9, False),
    ],
)
def test_an_e_bike_fires_where_it_is_forbidden_after_its_dwell(
    place: str, for_s: int, score: float, fires: bool
) -> None:
    script = Script()
    found = run(IndoorEbike(), [*places(script), *stay(script, 0, for_s * SECOND, place=place, score=score)], T0 + HOUR)
    assert phases(found) == ([Phase.OPEN, Phase.CLOSE] if fires else [])


@pytest.mark.parametrize("label", [label for label in ObjectLabel if label is not BIKE])
def test_nothing_but_an_e_bike_ever_fires(label: ObjectLabel) -> None:
    script = Script()
    harness = Harness(IndoorEbike())
    harness.feed([*places(script), *stay(script, 0, 10 * MINUTE, label=label, score=0.99)])
    assert harness.found == []
    assert harness.states == {}


def test_a_track_that_is_mostly_a_bicycle_does_not_fire() -> None:
    script = Script()
    labels = [BIKE, BIKE, *[ObjectLabel.BICYCLE] * 4, BIKE, BIKE, *[ObjectLabel.BICYCLE] * 4, BIKE]
    events = [script.object(at * SECOND, label, TrackPhase.PRESENT) for at, label in enumerate(labels)]
    assert run(IndoorEbike(), [*places(script), *events], T0 + HOUR) == []


def test_cameras_and_tracks_in_one_place_are_one_episode() -> None:
    script = Script()
    events = [
        *stay(script, 0, 8_000, track=1),
        *stay(script, 2_000, 9_000, track=7, camera="cam2"),
        *stay(script, 15_000, 9_000, track=2),  # the tracker lost it and found it again
    ]
    found = run(IndoorEbike(), [*places(script), *events], T0 + HOUR)
    assert [(str(d.phase), d.at_ms - T0) for d in found] == [("open", 2_000), ("close", 34_000)]
    assert found[-1].fact("ended") == "left"


def test_the_finding_explains_itself_and_carries_the_first_picture() -> None:
    script = Script()
    first, second = still("a"), still("b")
    events = [
        script.object(0, BIKE, TrackPhase.ENTERED, evidence=(first,), model="m@1"),
        script.object(1_000, BIKE, TrackPhase.PRESENT, score=0.7),
        script.object(2_000, BIKE, TrackPhase.PRESENT, score=0.9, evidence=(second,), model="m@1"),
    ]
    (opened,) = run(IndoorEbike(), [*places(script), *events])
    assert opened.draft.episode.onset_ms == T0
    assert opened.draft.evidence == (first, second)
    assert opened.draft.model == "m@1"
    assert opened.draft.confidence == pytest.approx(0.8)
    assert opened.fact("place_use") == "lift"
    facts = opened.facts()
    assert (facts["dwell_s"].value, facts["dwell_s"].limit) == (2.0, 2.0)
    assert (facts["mean_score"].value, facts["mean_score"].limit) == (0.8, 0.5)
    assert facts["dwell_s"].event_ids == (opened.draft.episode.event_id, events[-1].event_id)


def test_parking_is_said_once_and_a_lost_track_closes_by_itself() -> None:
    script = Script()
    found = run(IndoorEbike(), [*places(script), *stay(script, 0, 20 * MINUTE, place="stair1", left=False)], T0 + HOUR)
    assert phases(found) == [Phase.OPEN, Phase.UPDATE, Phase.CLOSE]
    assert found[1].at_ms == T0 + 5 * MINUTE
    assert (found[2].at_ms, found[2].fact("ended")) == (T0 + 20 * MINUTE - SECOND + 30_000, "not_seen")


def test_a_site_may_allow_its_lobby() -> None:
    script = Script()
    records = [*places(script), script.threshold("indoor_ebike", "forbid_lobby", 0.0)]
    assert run(IndoorEbike(), [*records, *stay(script, 0, MINUTE, place="lobby1")], T0 + HOUR) == []


def test_state_ends_with_the_episode_and_many_tracks_stay_bounded() -> None:
    script = Script()
    harness = Harness(IndoorEbike())
    harness.feed(places(script))
    for track in range(40):
        harness.feed(stay(script, track * 100, 20_000, track=track, left=False))
    assert len(harness.states["lift1"].tracks) <= 4
    harness.until(T0 + HOUR)
    assert harness.states == {}
    assert phases(harness.found) == [Phase.OPEN, Phase.CLOSE]
