"""A whole box of one camera in this process, watching a film; its broker is away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.camera import AnalyserName, CameraConfig
from edge.config import BoxConfig, EdgeConfig
from edge.run import EdgeBox
from edge.uplink.mqtt import BrokerConfig
from tests.edge.platform import free_port


def one_camera(data: Path, film: Path) -> EdgeConfig:
    """A box that watches a film for falls, and reports every second."""
    camera = CameraConfig(
        id="c1",
        source=str(film),
        loop=True,
        simulated=True,
        place_id="p1",
        analysers=(AnalyserName.HIGH_ALTITUDE_THROW,),
    )
    return EdgeConfig(
        box=BoxConfig(id="b1", site="s1", data=str(data), health_s=1),
        camera=(camera,),
        mqtt=BrokerConfig(url=f"mqtt://127.0.0.1:{free_port()}"),
    )


@contextmanager
def running(data: Path, film: Path) -> Iterator[EdgeBox]:
    """A box that runs, and must still run at the end."""
    box, stop = EdgeBox(one_camera(data, film)), threading.Event()
    body = threading.Thread(target=box.run, args=(stop,))
    body.start()
    try:
        yield box
        assert body.is_alive(), "the box ended"
    finally:
        stop.set()
        body.join(30)


def judged(box: EdgeBox) -> int:
    """How many pictures it judged."""
    return box._cameras[0]._judged
