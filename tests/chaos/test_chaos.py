"""A district that things are done to: nothing is lost, nothing comes twice, nobody is accused falsely."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.faults import FaultKind
from tests.chaos.report import Report
from tests.chaos.scenarios import district_under_fire, workers_under_fire

pytestmark = [pytest.mark.service, pytest.mark.patient, pytest.mark.slow, pytest.mark.timeout(900)]

WORKERS_SEED, WORKERS_S = 1, 60.0
DISTRICT_SEED, DISTRICT_S = 1, 125.0


def _well(report: Report) -> None:
    print(report.text())
    assert report.wrong() == [], report.text()


def test_workers_that_are_killed_and_stand_still_find_what_an_undisturbed_run_finds(tmp_path: Path) -> None:
    report = workers_under_fire(WORKERS_SEED, WORKERS_S, tmp_path, print)
    _well(report)
    assert report.findings.compared > 1_000
    assert report.events.logged > 10_000


def test_a_district_under_fire_loses_nothing_and_tells_of_everything_once(tmp_path: Path) -> None:
    report = district_under_fire(DISTRICT_SEED, DISTRICT_S, tmp_path, print)
    assert set(report.faults) == set(FaultKind) - {FaultKind.MQTT_KILLED}, "the seed must bring every kind of fault"
    _well(report)
    assert report.findings.compared > 100
    assert report.told is not None
    assert report.told.incidents > 20
