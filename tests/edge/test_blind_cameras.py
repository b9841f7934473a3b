"""A whole box whose cameras see nothing, each for another reason: it says so, and does not count them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts.events import CameraImpairment, Lane
from edge.camera import AnalyserName, CameraConfig
from edge.config import BoxConfig, EdgeConfig
from edge.run import EdgeBox
from edge.uplink.mqtt import BrokerConfig
from tests.edge.factories import noise_frame
from tests.edge.films import h264
from tests.edge.platform import free_port, wait_for


@contextmanager
def running(folder: Path, **films: Path) -> Iterator[EdgeBox]:
    """A box with a camera for each film, by name, played in a loop."""
    cameras = tuple(
        CameraConfig(
            id=name, source=str(film), loop=True, simulated=True, analysers=(AnalyserName.HIGH_ALTITUDE_THROW,)
        )
        for name, film in films.items()
    )
    config = EdgeConfig(
        box=BoxConfig(id="b1", site="s1", data=str(folder / "data"), health_s=1),
        camera=cameras,
        mqtt=BrokerConfig(url=f"mqtt://127.0.0.1:{free_port()}"),
    )
    box, stop = EdgeBox(config), threading.Event()
    body = threading.Thread(target=box.run, args=(stop,))
    body.start()
    try:
        yield box
    finally:
        stop.set()
        body.join(60)


def reports(box: EdgeBox, device: str) -> list[dict[str, Any]]:
    """What the spool holds of one device's reports, oldest first."""
    box._spool.number(Lane.LIVE, 0, 10_000)
    rows = [json.loads(row.body) for row in box._spool.rows(Lane.LIVE, 0, 10_000)]
    return [row for row in rows if row["source_id"] == device and row["kind"] == "device_reported"]


@pytest.mark.slow
def test_cameras_that_see_nothing_are_said_within_half_a_minute_and_are_not_counted(tmp_path: Path) -> None:
    lively = h264(tmp_path / "lively.mp4", [(n * 100, noise_frame(n, 160, 96)) for n in range(30)])
    tiny = h264(tmp_path / "tiny.mp4", [(n * 100, noise_frame(n, 32, 16)) for n in range(30)])  # no analyser takes it
    dark = h264(tmp_path / "dark.mp4", [(n * 100, np.zeros((96, 160, 3), np.uint8)) for n in range(30)])
    gone = tmp_path / "gone.mp4"
    gone.write_bytes(b"no video at all")
    with running(tmp_path, lively=lively, tiny=tiny, dark=dark, gone=gone) as box:
        wait_for(
            lambda: _impaired(box) == {"gone": "no_frames", "tiny": "not_judged", "dark": "black"}, "three reasons"
        )
        wait_for(lambda: _last(box, "b1")["gauges"]["cameras_impaired"] == 3, "the box's own report")
        of_box = _last(box, "b1")
        assert (of_box["gauges"]["cameras"], of_box["gauges"]["cameras_alive"]) == (4, 2)
        assert all(one.get("healthy", True) and "impaired_by" not in one for one in reports(box, "lively"))
        assert _last(box, "tiny")["healthy"] is False
        assert _last(box, "tiny")["gauges"]["impaired_not_judged"] == 1.0


def _impaired(box: EdgeBox) -> dict[str, str]:
    said = {name: _last(box, name).get("impaired_by") for name in ("lively", "tiny", "dark", "gone")}
    return {name: reason for name, reason in said.items() if reason}


def _last(box: EdgeBox, device: str) -> dict[str, Any]:
    found = reports(box, device)
    return found[-1] if found else {}


def test_every_reason_has_its_row_on_the_page_of_the_box() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "edge.md").read_text(encoding="utf-8")
    assert [reason for reason in CameraImpairment if f"| `{reason}` |" not in page] == []
