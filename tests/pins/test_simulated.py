"""A simulated day is the same bytes as before, and so is what the rules find in it.

The sums of the findings were written anew when a device became silent by what was received, not by its own clock; all
sums with the rule ``camera_impaired`` and its cameras; those of the findings when a sign of fire began to hold from its
receipt on, so that a fire ends some 20 ms later, and when four rules became version 2.

A new situation of the simulator, or a new rule, changes them: then the sums are written anew, in the same commit.
"""

from __future__ import annotations

import hashlib

import pytest

from tests.pins import reach

ANEW = "another simulated day or other findings: only a new situation or a new rule may write these sums anew"


def _sums(*, sites: int) -> list[str]:
    events, findings = reach.simulated(seed=4242, days=1, sites=sites)
    return [hashlib.sha256(events).hexdigest(), hashlib.sha256(findings).hexdigest()]


def test_a_day_of_one_site_gives_the_same_bytes() -> None:
    sums = _sums(sites=1)
    assert sums == [
        "f85766129d0d83abde767ade9cab29fb14ae61eb1d4a6bc8d02a635421099997",
        "7778cc5623c8b111b70d7e26553d8b933844b22d5d0b512520ce8ed20d61c14a",
    ], f"{ANEW}: {sums}"


@pytest.mark.slow
def test_a_day_of_eight_sites_gives_the_same_bytes() -> None:
    """``linli simulate --seed 4242 --days 1 --sites 8`` and ``linli replay --json`` of it."""
    sums = _sums(sites=8)
    assert sums == [
        "3ef79c1fc24cec86f42f13bf74d42ac229f8ab0f5f0dcabe66d1be5ee61bfba0",
        "c1baa9af7bd47ef1ef941b970c568f794201df032c27e4017ff156e1217db39a",
    ], f"{ANEW}: {sums}"
