"""The same events give the same findings per site, in the same order, whatever runs the rules."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from contracts.events import AnyEvent
from ingest.event_file import EventFile, decode_line
from simulator.generate import Request, generate
from tests.runtimes.runtimes import RUNTIMES, Judged, in_memory
from tests.support.folders import fast_folder

SCENARIOS = sorted(
    path for path in (Path(__file__).parents[1] / "scenarios").glob("*.jsonl") if not path.stem.endswith(".findings")
)


@cache
def _simulated_day() -> tuple[AnyEvent, ...]:
    return tuple(generate(Request(seed=5, days=1, sites=3)).events)


@cache
def _reference(name: str) -> Judged:
    return in_memory(_events(name), Path())


def _events(name: str) -> tuple[AnyEvent, ...]:
    if name == "a simulated day":
        return _simulated_day()
    path = next(p for p in SCENARIOS if p.stem == name)
    return tuple(EventFile().events(path.read_bytes().splitlines()))


@pytest.mark.slow
@pytest.mark.parametrize("runtime", list(RUNTIMES))
@pytest.mark.parametrize("name", [*(p.stem for p in SCENARIOS), "a simulated day"])
def test_every_runtime_finds_the_same(name: str, runtime: str) -> None:
    with fast_folder() as folder:
        assert RUNTIMES[runtime](_events(name), folder) == _reference(name)
    assert _reference(name)


def test_a_scenario_file_holds_events_only() -> None:
    for path in SCENARIOS:
        for line in path.read_bytes().splitlines():
            decode_line(line)
