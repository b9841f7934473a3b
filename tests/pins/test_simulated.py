"""A simulated day and what the rules find in it are the same bytes as at commit d579f9d.

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
        "2547cc8dd7f67b69223ff42f00bc9f9900cdb4a49eb116d07a58d80601a57e05",
    ], f"{ANEW}: {sums}"


@pytest.mark.slow
def test_a_day_of_eight_sites_gives_the_same_bytes() -> None:
    """``linli simulate --seed 4242 --days 1 --sites 8`` and ``linli replay --json`` of it."""
    sums = _sums(sites=8)
    assert sums == [
        "ec5c57874613480b7a5d2cef4bf452afdd0fe1347165ea00a1d0b708221b4c47",
        "f6e1026480c40ea044534bc6efcf40f1834ae007a99d83ad8c5b9672bc484ea3",
    ], f"{ANEW}: {sums}"
