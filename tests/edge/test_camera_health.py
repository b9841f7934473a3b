"""What keeps a camera from being relied on, of the signs of its threads."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest

from contracts.events import CameraImpairment
from edge.camera_health import CameraHealth, CameraSigns

I = CameraImpairment  # noqa: E741 - read as a word in every line below
WELL = CameraSigns(
    now_s=0.0,
    frames=0,
    last_frame_s=0.0,
    judged=0,
    lag_ms=80,
    drops_to_live=0,
    clock_is_wrong=False,
    judged_too_little=False,
    misfit=False,
    picture=frozenset(),
)


def after(seconds: int, **changes: Any) -> tuple[CameraImpairment, ...]:
    """What is said after so many seconds of a camera of ten pictures a second; a callable is asked each second."""
    health, said = CameraHealth(1_000.0), tuple[CameraImpairment, ...]()
    for second in range(seconds + 1):
        signs = msgspec.structs.replace(
            WELL, now_s=1_000.0 + second, last_frame_s=1_000.0 + second, frames=second * 10, judged=second * 10
        )
        given = {name: value(second) if callable(value) else value for name, value in changes.items()}
        said = health.reasons(msgspec.structs.replace(signs, **given))
    return said


@pytest.mark.parametrize(
    ("changes", "well_s", "wrong_s", "reason"),
    [
        ({"frames": 0, "judged": 0, "last_frame_s": 0.0}, 10, 11, I.NO_FRAMES),
        ({"last_frame_s": lambda s: 1_000.0 + min(s, 40)}, 50, 51, I.NO_FRAMES),
        ({"judged": 0}, 15, 17, I.NOT_JUDGED),
        ({"judged": lambda s: min(s, 30) * 10}, 45, 47, I.NOT_JUDGED),
        ({"judged_too_little": True}, 15, 16, I.NOT_JUDGED),
        ({"judged_too_little": lambda s: s >= 30}, 45, 46, I.NOT_JUDGED),
        ({"misfit": True}, 15, 16, I.MOVED),
        ({"lag_ms": 4_000}, 20, 21, I.LAGGING),
        ({"drops_to_live": lambda s: s // 25}, 49, 50, I.LAGGING),
    ],
)
def test_a_reason_is_said_when_its_time_is_up(
    changes: dict[str, Any], well_s: int, wrong_s: int, reason: CameraImpairment
) -> None:
    assert after(well_s, **changes) == ()
    assert after(wrong_s, **changes) == (reason,)
    assert wrong_s <= 60


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"lag_ms": lambda s: 4_000 if s % 15 else 100},  # bursts that are worked off
        {"drops_to_live": lambda s: s // 70},
        {"judged_too_little": lambda s: s % 12 < 10},  # slow moments
        {"judged": lambda s: s // 14},  # a detector that needs fourteen seconds a picture judges, however seldom
    ],
)
def test_what_is_only_slow_is_well(changes: dict[str, Any]) -> None:
    assert all(after(seconds, **changes) == () for seconds in (20, 47, 71, 141, 200))


def test_what_comes_and_goes_is_said_once_and_is_over_when_it_stays_away() -> None:
    said = [after(seconds, judged_too_little=lambda s: s < 30 or (s < 60 and s % 10 != 9)) for seconds in range(12, 90)]
    turns = [seconds for seconds, (one, next_) in enumerate(itertools.pairwise(said), 13) if one != next_]
    assert turns == [16, 70]


def test_what_was_too_little_before_an_outage_is_none_of_the_time_after_it() -> None:
    signs: dict[str, Any] = {
        "judged_too_little": lambda s: 20 <= s < 85,
        "last_frame_s": lambda s: 1_000.0 + (20 if 20 < s < 80 else s),
    }
    assert after(79, **signs) == (I.NO_FRAMES,)
    assert {after(seconds, **signs) for seconds in range(80, 120)} == {()}


def test_the_gravest_reason_comes_first_and_without_pictures_nothing_is_said_of_them() -> None:
    seen = frozenset({I.BLURRED, I.BLACK})
    assert after(60, judged=0, picture=seen, clock_is_wrong=True) == (I.NOT_JUDGED, I.BLACK, I.BLURRED, I.WRONG_TIME)
    assert after(60, judged=0, last_frame_s=0.0, picture=seen, lag_ms=9_000) == (I.NO_FRAMES,)


def test_a_camera_is_not_judged_by_what_its_owner_excepts() -> None:
    health = CameraHealth(0.0, frozenset({I.MOVED}))
    turned = msgspec.structs.replace(WELL, misfit=True)
    assert [health.reasons(msgspec.structs.replace(turned, now_s=s, last_frame_s=s)) for s in (1.0, 30.0)] == [(), ()]
    health = CameraHealth(0.0, frozenset({I.MOVED}))
    signs = msgspec.structs.replace(WELL, now_s=5.0, last_frame_s=5.0, picture=frozenset({I.MOVED, I.BLURRED}))
    assert health.reasons(signs) == (I.BLURRED,)
