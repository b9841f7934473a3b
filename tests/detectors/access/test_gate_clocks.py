"""From the wire to the finding: six residents behind a gate whose clock fell back to 1970 are no strangers."""

from __future__ import annotations

import msgspec
import pytest

from contracts.events import Event
from contracts.findings import Finding
from contracts.names import DeviceClass
from detectors.access.stranger_entry import StrangerEntry
from ingest.pipeline.event_file import EventFile
from streams.engine.in_memory_run import run_file
from tests.detectors.builders import HOUR, MINUTE, SECOND, Script

RESIDENTS = 40


def _lines(clock_from: int, clock_ms: int, *, stranger: bool) -> list[bytes]:
    """A day at a door: the gate's clock tells ``clock_ms`` more from resident ``clock_from`` on."""
    script = Script()
    said: list[Event] = [
        script.device("gate1", DeviceClass.GATE, "door1", silent_after_ms=HOUR),
        script.device("cam1", DeviceClass.CAM, "door1"),
    ]
    for n in range(RESIDENTS):
        grant = script.access(n * MINUTE)
        if n >= clock_from:
            grant = msgspec.structs.replace(grant, at_ms=max(grant.at_ms + clock_ms, n * MINUTE))
        said += [grant, script.passage(n * MINUTE + 2 * SECOND, n)]
    if stranger:
        said.append(script.passage(RESIDENTS * MINUTE - 30 * SECOND, 99))
    said.append(script.reported(RESIDENTS * MINUTE + HOUR, "cam1"))
    return [msgspec.json.encode(event) for event in sorted(said, key=lambda event: event.received_ms)]


def _found(lines: list[bytes]) -> list[Finding]:
    outputs = run_file(EventFile().events(lines), [StrangerEntry()])
    return [output for output in outputs if isinstance(output, Finding)]


@pytest.mark.parametrize("clock_ms", [-(2**62), -8 * HOUR, 60 * 24 * HOUR], ids=["1970", "8 h behind", "60 days ahead"])
@pytest.mark.parametrize("clock_from", [0, RESIDENTS - 6])
def test_residents_behind_a_gate_with_a_wrong_clock_are_no_strangers(clock_ms: int, clock_from: int) -> None:
    found = _found(_lines(clock_from, clock_ms, stranger=False))
    assert [finding for finding in found if finding.verified] == []


def test_a_stranger_behind_a_gate_of_1970_is_unverified() -> None:
    wrong = _found(_lines(RESIDENTS - 6, -(2**62), stranger=True))
    right = _found(_lines(RESIDENTS, 0, stranger=True))
    assert [finding.verified for finding in wrong] == [False]
    assert [finding.verified for finding in right] == [True]
