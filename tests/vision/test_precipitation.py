"""A drop among drops is no fall; one small thing alone, or a large one in rain, may be."""

from __future__ import annotations

from detectors.vision.merge import Span
from detectors.vision.precipitation import Precipitation


def _span(x: float, from_ms: float = 1000.0) -> Span:
    return Span(from_ms, from_ms + 700, x, x + 10, 0.0, 600.0)


def _shower(*columns: float, from_ms: float = 1200.0) -> Precipitation:
    shower = Precipitation(1280, 720)
    for column in columns:
        shower.note(_span(column, from_ms), 2.5)
    return shower


def test_a_drop_among_two_others_is_one_of_many() -> None:
    assert _shower(100, 400).is_one_of_many(_span(1000), 3.0)


def test_one_other_is_not_many() -> None:
    assert not _shower(400).is_one_of_many(_span(1000), 3.0)


def test_mirror_image_and_fragments_are_not_company() -> None:
    assert not _shower(1010, 1020, 1035, 1050).is_one_of_many(_span(1000), 3.0)


def test_a_larger_thing_is_told_in_any_rain() -> None:
    assert not _shower(100, 300, 500, 700).is_one_of_many(_span(1000), 7.0)


def test_yesterday_s_rain_does_not_count() -> None:
    assert not _shower(100, 300, 500, 700, from_ms=1000.0).is_one_of_many(_span(1000, 60_000.0), 3.0)


def test_large_things_are_no_drops() -> None:
    shower = Precipitation(1280, 720)
    for column in (100, 300, 500, 700):
        shower.note(_span(column), 9.0)
    assert not shower.is_one_of_many(_span(1000), 3.0)
