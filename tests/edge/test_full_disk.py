"""A whole box on a disk that is full: it watches on, also when it is started so, and goes on where there is room."""

from __future__ import annotations

from pathlib import Path

from tests.edge.factories import write_video
from tests.edge.platform import wait_for
from tests.edge.running import judged, running
from tests.support.small_disk import small_disk


def test_a_box_watches_on_while_its_disk_is_full_and_spools_again_when_it_is_not(tmp_path: Path) -> None:
    film = write_video(tmp_path / "film.mp4", 40)
    with small_disk(tmp_path / "disk", 2) as disk:
        with running(disk.folder / "data", film) as box:
            wait_for(lambda: box._spool.counts(0).rows > 2, "reports in the spool")
            disk.fill()
            wait_for(lambda: box._cameras[0]._recorder.gauges.spool_errors > 0, "a spool that refuses")
            before = judged(box)
            wait_for(lambda: judged(box) > before + 10, "frames judged on a full disk")
        with running(disk.folder / "data", film) as box:
            wait_for(lambda: judged(box) > 10, "frames judged after a start on a full disk")
            rows = box._spool.counts(0).rows
            disk.free()
            wait_for(lambda: box._spool.counts(0).rows > rows + 2, "reports in the spool again")
