"""Mirror image, fragments and duplicates are one fall; other falls are not."""

from __future__ import annotations

from detectors.vision.falling.merge import FallGroups, FallSpan
from detectors.vision.falling.tracklets import Sighting
from detectors.vision.falling.verdict import FallVerdict

WIDTH = 1000


def _fall(
    x: float, from_ms: float, to_ms: float, *, rows: tuple[float, float] = (50, 600), suspected: bool = False
) -> FallVerdict:
    ends = [Sighting(from_ms, x, rows[0], 8, 8, 50), Sighting(to_ms, x, rows[1], 8, 8, 50)]
    return FallVerdict(None, suspected=suspected, fit=None, sightings=tuple(ends))


def _groups(*verdicts: FallVerdict) -> list[list[FallVerdict]]:
    groups = FallGroups(WIDTH)
    for verdict in verdicts:
        groups.add(verdict)
    return [group.verdicts for group in groups.complete(1e9)]


def test_a_mirror_image_beside_the_object_is_the_same_fall() -> None:
    assert len(_groups(_fall(400, 1000, 2500), _fall(360, 1100, 2300))) == 1


def test_fragments_that_part_late_are_the_same_fall() -> None:
    assert (
        len(
            _groups(
                _fall(400, 1000, 2000), _fall(430, 2150, 2600, rows=(590, 700)), _fall(380, 2200, 2600, rows=(605, 710))
            )
        )
        == 1
    )


def test_two_things_at_the_same_time_far_apart_are_two_falls() -> None:
    assert len(_groups(_fall(100, 1000, 2500), _fall(800, 1100, 2400))) == 2


def test_the_next_throw_from_the_same_window_is_another_fall() -> None:
    assert len(_groups(_fall(400, 1000, 2500), _fall(405, 3300, 4800))) == 2


def test_a_fall_is_complete_once_and_takes_late_pieces_silently() -> None:
    groups = FallGroups(WIDTH)
    groups.add(_fall(400, 1000, 2500))
    assert groups.complete(now_ms=2_900) == []
    assert len(groups.complete(now_ms=2_950)) == 1
    groups.add(_fall(390, 1200, 2600))
    assert groups.complete(now_ms=9_000) == []


def test_a_fall_that_begins_as_something_else_leaves_is_its_own() -> None:
    groups = FallGroups(WIDTH)
    groups.add(_fall(400, 1000, 2500))
    assert len(groups.complete(now_ms=3_000)) == 1
    groups.add(_fall(420, 2400, 4000))
    assert len(groups.complete(now_ms=9_000)) == 1


def test_the_track_that_passes_gravity_and_went_furthest_stands_for_the_fall() -> None:
    groups = FallGroups(WIDTH)
    mirror, thing = _fall(380, 1000, 2000, rows=(50, 400)), _fall(400, 1000, 2500)
    deeper_but_suspected = _fall(410, 1000, 2600, rows=(20, 700), suspected=True)
    for verdict in (mirror, deeper_but_suspected, thing):
        groups.add(verdict)
    (group,) = groups.complete(1e9)
    assert group.best() is thing


def test_published_falls_are_forgotten() -> None:
    groups = FallGroups(WIDTH)
    groups.add(_fall(400, 1000, 2500))
    groups.complete(now_ms=6_000)
    groups.add(_fall(390, 1200, 2600))
    assert len(groups.complete(now_ms=9_000)) == 1


def test_a_fall_waits_for_what_still_falls_beside_it_but_not_for_ever() -> None:
    groups = FallGroups(WIDTH)
    groups.add(_fall(400, 1000, 2500))
    beside, elsewhere = FallSpan(1100, 3000, 430, 440, 60, 700), FallSpan(1100, 3000, 900, 910, 60, 700)
    assert groups.complete(3_000, [beside]) == []
    assert groups.complete(2_900, [elsewhere]) == []
    assert len(groups.complete(4_000, [beside])) == 1
