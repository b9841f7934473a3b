from __future__ import annotations

import doctest
from types import ModuleType

import pytest

from detectors.vision.tracking import lines
from edge.capture import media_clock, picture_source, video
from edge.spool import lanes, numbers
from edge.uplink import sender


@pytest.mark.parametrize(
    "module", [lanes, lines, media_clock, numbers, picture_source, sender, video], ids=lambda module: module.__name__
)
def test_the_examples_in_docstrings_hold(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
