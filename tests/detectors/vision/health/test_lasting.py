"""What must last before it is said, and be gone before it is over."""

from __future__ import annotations

import pytest

from detectors.vision.health.lasting import Lasting


def told(on_s: int, off_s: int, for_s: int, fade: float = 1 / 3) -> list[bool]:
    """What a hold of 15 s says each second of a sign that is there and gone by turns."""
    lasting = Lasting(15_000, fade, over_ms=10_000, often_over_ms=60_000)
    return [lasting.look(second * 1_000.0, is_there=second % (on_s + off_s) < on_s) for second in range(for_s)]


@pytest.mark.parametrize(("on_s", "off_s", "by_s"), [(60, 1, 15), (10, 10, 30), (4, 4, 50), (2, 3, 90)])
def test_what_is_there_for_more_than_a_quarter_of_the_time_is_said(on_s: int, off_s: int, by_s: int) -> None:
    said = told(on_s, off_s, 300)
    assert not any(said[:15])
    assert all(said[by_s:])


@pytest.mark.parametrize(("on_s", "off_s"), [(4, 12), (1, 4), (10, 40)])
def test_what_is_there_for_a_quarter_of_the_time_or_less_is_not(on_s: int, off_s: int) -> None:
    assert not any(told(on_s, off_s, 1_000))


def test_one_fault_is_over_after_ten_seconds_and_one_that_came_back_after_a_minute() -> None:
    lasting = Lasting(15_000, 1 / 3, over_ms=10_000, often_over_ms=60_000)
    once = [lasting.look(n * 1_000.0, is_there=n < 20) for n in range(100)]
    assert (once.index(True), once.count(True)) == (15, 14)
    often = [lasting.look(100_000 + n * 1_000.0, is_there=n < 10 or 15 <= n < 30) for n in range(120)]
    assert not often[14]
    assert (often[29], often[88], often[89]) == (True, True, False)
