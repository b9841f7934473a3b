"""`camera_impaired`: which camera cannot be relied on, why, and since when."""

from __future__ import annotations

import pytest

from contracts.events import CameraImpairment, Event
from contracts.findings import SubjectKind
from contracts.names import DeviceClass
from detectors.devices.camera_impaired import CameraImpaired
from tests.detectors.builders import HOUR, SECOND, T0, Script
from tests.detectors.harness import run

BLACK, MOVED, NO_FRAMES = CameraImpairment.BLACK, CameraImpairment.MOVED, CameraImpairment.NO_FRAMES


def said(script: Script, *reports: tuple[int, CameraImpairment | None], device: str = "cam1") -> list[Event]:
    """Reports of a camera: seconds, and what impairs it."""
    return [script.reported(at * SECOND, device, "hall1", healthy=why is None, impaired_by=why) for at, why in reports]


def camera(script: Script, at: int = 0, **more: object) -> Event:
    return script.device("cam1", DeviceClass.CAM, "hall1", at=at, box_id="box1", **more)


@pytest.mark.parametrize(
    ("reports", "told"),
    [
        ([(0, None), (15, None)], []),
        ([(0, None), (15, BLACK)], [("open", 15)]),
        ([(15, BLACK), (30, BLACK), (45, BLACK)], [("open", 15)]),
        ([(15, BLACK), (30, None), (45, None)], [("open", 15), ("close", 30)]),
        ([(15, BLACK), (30, MOVED), (45, MOVED), (60, None)], [("open", 15), ("update", 30), ("close", 60)]),
        ([(15, BLACK), (30, None), (45, BLACK)], [("open", 15), ("close", 30), ("open", 45)]),
    ],
)
def test_an_impaired_camera_is_told_once_until_it_sees_again(
    reports: list[tuple[int, CameraImpairment | None]], told: list[tuple[str, int]]
) -> None:
    script = Script()
    found = run(CameraImpaired(), [camera(script), *said(script, *reports)], T0 + HOUR)
    assert [(str(d.phase), (d.at_ms - T0) // SECOND) for d in found] == told


def test_a_finding_names_the_camera_its_place_the_reason_and_how_long_it_lasted() -> None:
    script = Script()
    events = [camera(script), *said(script, (10, NO_FRAMES), (40, BLACK), (100, None))]
    opened, updated, closed = run(CameraImpaired(), events, T0 + HOUR)
    assert (opened.draft.subject.kind, opened.draft.subject.ref) == (SubjectKind.DEVICE, "cam1")
    assert {one.draft.place_id for one in (opened, updated, closed)} == {"hall1"}
    assert (opened.fact("impaired_by"), updated.fact("impaired_by")) == ("no_frames", "black")
    assert (closed.fact("ended"), closed.fact("impaired_s")) == ("cleared", 90.0)
    assert closed.draft.episode.onset_ms == opened.draft.episode.onset_ms == T0 + 10 * SECOND


def test_a_site_may_wait_until_it_is_told() -> None:
    script = Script()
    hold = script.threshold(CameraImpaired.name, "hold_ms", 60_000)
    reports = said(script, (10, BLACK), (40, BLACK), (55, None), (70, BLACK), (129, MOVED), (130, MOVED), (200, None))
    opened, closed = run(CameraImpaired(), [hold, camera(script), *reports], T0 + HOUR)
    assert (opened.at_ms - T0, opened.fact("impaired_by")) == (130 * SECOND, "moved")
    assert closed.fact("impaired_s") == 130.0


def test_a_camera_that_is_taken_out_of_the_inventory_is_no_longer_impaired() -> None:
    script = Script()
    events = [camera(script), *said(script, (10, BLACK)), camera(script, at=60 * SECOND, removed=True)]
    assert [d.fact("ended") for d in run(CameraImpaired(), events, T0 + HOUR)][1:] == ["removed"]


def test_neither_a_box_nor_a_stranger_nor_a_camera_without_a_reason_is_one() -> None:
    script = Script()
    events = [
        camera(script),
        script.device("box1", DeviceClass.EDGE, "hall1"),
        *said(script, (10, BLACK), device="box1"),
        *said(script, (10, BLACK), device="stranger"),
        script.reported(20 * SECOND, "cam1", "hall1", healthy=False),
    ]
    assert run(CameraImpaired(), events, T0 + HOUR) == []
