from __future__ import annotations

import doctest
from types import ModuleType

import pytest

from detectors.vision import lines
from edge import capture, lanes, sender, spool, video


@pytest.mark.parametrize("module", [capture, lanes, lines, sender, spool, video], ids=lambda module: module.__name__)
def test_the_examples_in_docstrings_hold(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
