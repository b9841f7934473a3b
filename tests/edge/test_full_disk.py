"""A whole box on a disk that is full: it watches on, also when it is started so, and goes on where there is room."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.camera import AnalyserName, CameraConfig
from edge.config import BoxConfig, EdgeConfig
from edge.run import EdgeBox
from edge.uplink.mqtt import BrokerConfig
from tests.edge.factories import write_video
from tests.edge.platform import free_port, wait_for
from tests.support.small_disk import small_disk


@contextmanager
def _running(data: Path, film: Path) -> Iterator[EdgeBox]:
    camera = CameraConfig(
        id="c1",
        source=str(film),
        loop=True,
        simulated=True,
        place_id="p1",
        analysers=(AnalyserName.HIGH_ALTITUDE_THROW,),
    )
    config = EdgeConfig(
        box=BoxConfig(id="b1", site="s1", data=str(data), health_s=1),
        camera=(camera,),
        mqtt=BrokerConfig(url=f"mqtt://127.0.0.1:{free_port()}"),
    )
    box, stop = EdgeBox(config), threading.Event()
    body = threading.Thread(target=box.run, args=(stop,))
    body.start()
    try:
        yield box
        assert body.is_alive()
    finally:
        stop.set()
        body.join(30)


def _judged(box: EdgeBox) -> int:
    return box._cameras[0]._judged


def test_a_box_watches_on_while_its_disk_is_full_and_spools_again_when_it_is_not(tmp_path: Path) -> None:
    film = write_video(tmp_path / "film.mp4", 40)
    with small_disk(tmp_path / "disk", 2) as disk:
        with _running(disk.folder / "data", film) as box:
            wait_for(lambda: box._spool.counts(0).rows > 2, "reports in the spool")
            disk.fill()
            wait_for(lambda: box._cameras[0]._recorder.gauges.spool_errors > 0, "a spool that refuses")
            before = _judged(box)
            wait_for(lambda: _judged(box) > before + 10, "frames judged on a full disk")
        with _running(disk.folder / "data", film) as box:
            wait_for(lambda: _judged(box) > 10, "frames judged after a start on a full disk")
            rows = box._spool.counts(0).rows
            disk.free()
            wait_for(lambda: box._spool.counts(0).rows > rows + 2, "reports in the spool again")
