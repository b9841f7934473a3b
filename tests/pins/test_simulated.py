"""A simulated day is the same bytes as at commit d579f9d, and so is what the rules find in it.

The sums of the findings were written anew once: since a device is silent by what was received, not by its own clock.

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
        "240a1b8d3b0d4cbeb9b2179c8d35dc7262da439ec37dd3642ad46ebf20e8d553",
        "7cd246ef482c52b78479b1fe038feb205c196712b85264269c7f9c42d5787266",
    ], f"{ANEW}: {sums}"


@pytest.mark.slow
def test_a_day_of_eight_sites_gives_the_same_bytes() -> None:
    """``linli simulate --seed 4242 --days 1 --sites 8`` and ``linli replay --json`` of it."""
    sums = _sums(sites=8)
    assert sums == [
        "ec5c57874613480b7a5d2cef4bf452afdd0fe1347165ea00a1d0b708221b4c47",
        "f5f14a18b86a210b36614168af72130b7a6691986a5d0aa701945f02e3b59ae0",
    ], f"{ANEW}: {sums}"
