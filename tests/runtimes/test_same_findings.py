"""The same events give the same findings per site, in the same order, whatever runs the rules."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from contracts.events import AnyEvent
from simulator.generate import SimulationRequest, generate
from tests.detectors.golden import FOLDER, events_of, findings_of
from tests.runtimes.runtimes import RUNTIMES, Judged, in_memory, per_site
from tests.support.folders import fast_folder

SCENARIOS = sorted(path.stem for path in FOLDER.glob("*.jsonl") if not path.stem.endswith(".findings"))
DAY = "a simulated day"


@cache
def _simulated_day() -> tuple[AnyEvent, ...]:
    return tuple(generate(SimulationRequest(seed=5, days=1, sites=8)).events)


@cache
def _reference(name: str) -> Judged:
    """Return what is right: for a scenario what its file says, for the simulated day what ``linli replay`` finds."""
    if name == DAY:
        return in_memory(_events(name), Path())
    return per_site(findings_of(name))


def _events(name: str) -> tuple[AnyEvent, ...]:
    return _simulated_day() if name == DAY else tuple(events_of(name))


@pytest.mark.slow
@pytest.mark.parametrize("runtime", list(RUNTIMES))
@pytest.mark.parametrize("name", [*SCENARIOS, DAY])
def test_every_runtime_finds_the_same(name: str, runtime: str) -> None:
    with fast_folder() as folder:
        assert RUNTIMES[runtime](_events(name), folder) == _reference(name)
    assert _reference(name)
