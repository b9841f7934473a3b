"""One media clock a source: whatever arrives how, a fall has the right length and the right date."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Sequence

import msgspec
import pytest

from detectors.vision.falling.falling_analyser import FallingAnalyser, FallingObject
from detectors.vision.geometry.shapes import Mask
from edge.capture.capture import Frame
from edge.capture.media_clock import LiveClock, PictureArrival, RecordingClock, Taken
from edge.capture.ring import FrameRing
from edge.inference.analysers import AnalyserSet
from edge.inference.pipeline import Pipeline
from tests.edge.falling_scene import PER_S, PICTURES, pictures

DATE_MS = 1_780_000_000_000
STEP_MS = 1000 // PER_S
MID_FALL = 85  # of the picture in the middle of the fall
HOUR = 3_600_000
NO_MASKS: tuple[Mask, ...] = ()


class Coming(msgspec.Struct):
    """A picture on its way: when it was really taken and arrives (ms), and what the stream and the wall clock say."""

    number: int
    taken_ms: float
    arrives_ms: float
    stream_ms: float | None
    wall_off_ms: int = 0


def coming(count: int = PICTURES) -> list[Coming]:
    """Pictures that arrive 30 ms after they were taken, stamped from an odd beginning."""
    return [Coming(n, n * STEP_MS, n * STEP_MS + 30, 77_000.0 + n * STEP_MS) for n in range(count)]


def arrivals(stream: Iterable[Coming]) -> list[PictureArrival]:
    """What a source sees that reads each picture as soon as it is there, 2 ms a picture."""
    seen: list[PictureArrival] = []
    free_ms = 0.0
    for one in stream:
        now_ms = max(one.arrives_ms, free_ms)
        waited_ms = now_ms - free_ms
        free_ms = now_ms + 2
        wall_ms = DATE_MS + round(now_ms) + one.wall_off_ms
        seen.append(
            PictureArrival(stream_ms=one.stream_ms, mono_ms=5_000 + now_ms, wall_ms=wall_ms, waited_ms=waited_ms)
        )
    return seen


def falls(stream: Sequence[Coming]) -> list[FallingObject]:
    """What a camera's pipeline finds in the drawn facade when its pictures come so."""
    clock = LiveClock(STEP_MS)
    pipeline = Pipeline(lambda first: AnalyserSet((FallingAnalyser(first_track_id=first),)), NO_MASKS, FrameRing())
    found = []
    for one, arrival in zip(stream, arrivals(stream), strict=True):
        taken = clock.taken(arrival)
        found += pipeline.process(Frame(pictures()[one.number], taken.at_ms, taken.shift_ms))
    return [one for one in found if isinstance(one, FallingObject)]


def bursts(of: int) -> list[Coming]:
    stream = coming()
    for one in stream:
        one.arrives_ms = stream[min(one.number // of * of + of - 1, len(stream) - 1)].arrives_ms
    return stream


def shaken(most_ms: int) -> list[Coming]:
    rng, stream, last_ms = random.Random(1), coming(), 0.0
    for one in stream:
        last_ms = one.arrives_ms = max(last_ms, one.arrives_ms + rng.uniform(0, most_ms))
    return stream


def stalled(for_ms: int) -> list[Coming]:
    stream = coming()
    begins_ms = stream[MID_FALL].arrives_ms
    for one in stream[MID_FALL:]:
        one.arrives_ms = max(one.arrives_ms, begins_ms + for_ms)
    return stream


def thinned() -> list[Coming]:
    rng = random.Random(3)
    return [one for one in coming() if rng.random() < 0.7]


def stamps(change: Callable[[Coming], float | None], of: list[Coming] | None = None) -> list[Coming]:
    stream = of or coming()
    for one in stream:
        one.stream_ms = change(one)
    return stream


def jumping(by_ms: float) -> list[Coming]:
    return stamps(lambda one: (one.stream_ms or 0) + (by_ms if one.number >= MID_FALL else 0))


def walled(by_ms: int) -> list[Coming]:
    stream = coming()
    for one in stream[MID_FALL:]:
        one.wall_off_ms = by_ms
    return stream


CASES: dict[str, list[Coming]] = {
    "steady": coming(),
    **{f"in bursts of {n}": bursts(n) for n in (2, 3, 4, 8)},
    **{f"shaken by {n} ms": shaken(n) for n in (10, 40, 120)},
    **{f"stalled for {n} ms": stalled(n) for n in (400, 1_000, 4_000)},
    "at a variable rate": thinned(),
    "stamps begin again at 0": stamps(lambda one: float(one.number % MID_FALL * STEP_MS)),
    "stamps begin again in a burst": stamps(lambda one: float(one.number % MID_FALL * STEP_MS), bursts(4)),
    **{f"stamps jump by {n} ms": jumping(n) for n in (-HOUR, -200, 5_000, HOUR, 95_443_717)},
    "no stamps": stamps(lambda _: None),
    "no stamps, in bursts": stamps(lambda _: None, bursts(4)),
    "no stamps, stalled": stamps(lambda _: None, stalled(400)),
    "stamps that are no numbers": stamps(lambda _: float("nan")),
    "stamps in pairs": stamps(lambda one: float(one.number // 2 * 2 * STEP_MS)),
    "a camera's clock 1% fast": stamps(lambda one: one.taken_ms * 1.01),
    **{f"the wall clock set by {n} ms": walled(n) for n in (-HOUR, -1_500, -400, 700, HOUR, -DATE_MS)},
}


FALLS = (
    "in bursts of 4",
    "shaken by 40 ms",
    "stalled for 400 ms",
    "at a variable rate",
    "stamps begin again at 0",
    f"stamps jump by {HOUR} ms",
    "no stamps, in bursts",
    f"the wall clock set by {-HOUR} ms",
)
"""Cases in which the fall itself is looked for; in the others the intervals are compared, which takes no time."""


@pytest.mark.slow
@pytest.mark.parametrize("how", FALLS)
def test_a_fall_is_found_once_with_its_length_and_date_however_pictures_come(how: str) -> None:
    (fall,) = falls(CASES[how])
    assert abs(fall.duration_ms - 1_600) <= 100
    assert abs(fall.at_ms - DATE_MS - 4_230 - CASES[how][-1].wall_off_ms) <= 150
    assert fall.path[-1].at_ms == pytest.approx(fall.at_ms, abs=1)


@pytest.mark.parametrize("how", CASES)
def test_the_length_of_what_happens_is_right_however_pictures_come(how: str) -> None:
    stream = CASES[how]
    times = [one.at_ms for one in taken(stream)]
    begins = next(n for n, one in enumerate(stream) if one.number >= 62)
    ends = next(n for n, one in enumerate(stream) if one.number >= 105)
    off = [times[n] - times[begins] - (stream[n].taken_ms - stream[begins].taken_ms) for n in range(begins, ends)]
    assert max(map(abs, off)) <= 60
    shakes = [later - earlier for earlier, later in itertools.pairwise(off)]
    assert max(map(abs, shakes)) <= STEP_MS


@pytest.mark.parametrize("how", CASES)
def test_the_date_is_that_of_the_wall_clock_however_pictures_come(how: str) -> None:
    stream = CASES[how]
    for one, given in zip(stream, taken(stream), strict=True):
        date_ms = given.at_ms + given.shift_ms - DATE_MS - one.wall_off_ms
        assert date_ms == pytest.approx(one.taken_ms, abs=350)  # bursts of 8 begin with one that is 310 ms old


def taken(stream: Sequence[Coming], clock: LiveClock | None = None) -> list[Taken]:
    """Where a clock puts these pictures."""
    clock = clock or LiveClock(STEP_MS)
    return [clock.taken(one) for one in arrivals(stream)]


@pytest.mark.parametrize("how", CASES)
def test_the_timeline_is_never_still_and_never_back(how: str) -> None:
    times = [one.at_ms for one in taken(CASES[how])]
    assert all(later > earlier for earlier, later in itertools.pairwise(times))


def test_a_picture_that_waited_is_dated_when_it_was_taken_and_is_that_old() -> None:
    stream = coming(1_000)
    for one in stream[500:]:  # decoding takes 55 ms a picture from here on
        one.arrives_ms = max(one.arrives_ms, stream[500].arrives_ms + (one.number - 500) * 55)
    dates, free_ms, clock = [], 0.0, LiveClock(STEP_MS)
    for one in stream:
        waited_ms = max(0.0, one.taken_ms + 30 - free_ms)
        free_ms = one.arrives_ms
        arrival = PictureArrival(
            stream_ms=one.stream_ms,
            mono_ms=one.arrives_ms,
            wall_ms=DATE_MS + round(one.arrives_ms),
            waited_ms=waited_ms,
        )
        dates.append(clock.taken(arrival))
    last = dates[-1]
    assert last.at_ms + last.shift_ms - DATE_MS == pytest.approx(stream[-1].taken_ms, abs=150)
    assert last.lag_ms == pytest.approx(499 * 15, abs=200)
    assert not clock.is_wrong(stream[-1].arrives_ms)


@pytest.mark.parametrize("rate", [0.6, 1.4, 2.0])
def test_stamps_at_another_rate_than_time_are_found_out_within_a_minute(rate: float) -> None:
    stream = stamps(lambda one: one.taken_ms * rate, coming(75 * PER_S))
    clock = LiveClock(STEP_MS)
    given, seen = taken(stream, clock), arrivals(stream)
    assert clock.is_wrong(seen[-1].mono_ms)
    half_minute = 30 * PER_S
    passed_ms = given[-1].at_ms - given[-half_minute].at_ms
    assert passed_ms == pytest.approx(30_000, abs=1_500)
    early = LiveClock(STEP_MS)
    for one in seen[: 60 * PER_S]:
        early.taken(one)
    assert early.is_wrong(seen[60 * PER_S].mono_ms)


def test_a_good_clock_is_never_called_wrong_and_keeps_the_date_over_hours() -> None:
    clock, last, worst = LiveClock(STEP_MS), None, 0
    for n in range(4 * 3600 * 2):  # two pictures a second, the camera's clock 0.02% slow
        mono_ms = n * 500.0 + 30
        arrival = PictureArrival(
            stream_ms=n * 500.0 * 0.9998, mono_ms=mono_ms, wall_ms=DATE_MS + round(mono_ms), waited_ms=490.0
        )
        last = clock.taken(arrival)
        worst = max(worst, abs(last.at_ms + last.shift_ms - DATE_MS - n * 500))
    assert worst < 300
    assert not clock.is_wrong(4.0 * HOUR)


def test_stamps_that_jump_again_and_again_are_wrong_until_they_are_calm() -> None:
    clock = LiveClock(STEP_MS)
    taken(stamps(lambda one: float(one.number % 40 * STEP_MS), coming(200)), clock)
    assert clock.is_wrong(5_000 + 200 * STEP_MS)
    assert not clock.is_wrong(5_000 + 200 * STEP_MS + 61_000)


def test_a_stream_that_comes_back_goes_on_where_time_is() -> None:
    clock, stream = LiveClock(STEP_MS), coming(100)
    first = taken(stream, clock)[-1]
    clock.reconnected()
    mono_ms = 5_000 + stream[-1].arrives_ms + 20_000
    again = clock.taken(
        PictureArrival(stream_ms=3.0, mono_ms=mono_ms, wall_ms=DATE_MS + round(mono_ms) - 5_000, waited_ms=900.0)
    )
    assert again.at_ms - first.at_ms == pytest.approx(20_000, abs=100)
    assert not clock.is_wrong(mono_ms)


def test_a_recording_keeps_its_pauses_and_knows_no_restart() -> None:
    clock = RecordingClock(40.0)
    stamps_ms = [0.0, 40.0, 80.0, 21_080.0, 21_120.0, 0.0, 40.0, None, 80.0, 95_443_717.0, 95_443_757.0]
    times = [clock.next_ms(one) for one in stamps_ms]
    steps = [round(later - earlier) for earlier, later in itertools.pairwise(times)]
    assert steps == [40, 40, 21_000, 40, 40, 40, 40, 40, 40, 40]
