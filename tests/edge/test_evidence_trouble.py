"""A box whose evidence cannot be kept: it watches on without it, and its report, its log and ``--check`` say so."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from contracts.errors import ConfigurationError
from contracts.events import DeviceEvent, DeviceReported
from edge.check import check_box
from edge.run import EdgeBox
from tests.edge.factories import write_video
from tests.edge.platform import wait_for
from tests.edge.running import judged, one_camera, running


def _said(box: EdgeBox) -> list[float]:
    with box._db.reading() as connection:
        rows = connection.execute("SELECT body FROM row ORDER BY n").fetchall()
    events = [msgspec.json.decode(body, type=DeviceEvent) for (body,) in rows]
    return [e.gauges["evidence_unusable"] for e in events if isinstance(e, DeviceReported) and e.source_id == "b1"]


@pytest.mark.parametrize("trouble", ["empty key", "half-written file that stays", "no folder"])
def test_a_box_watches_on_without_evidence_and_says_so(tmp_path: Path, trouble: str) -> None:
    evidence, film = tmp_path / "data" / "evidence", write_video(tmp_path / "film.mp4", 40)
    evidence.parent.mkdir()
    if trouble == "no folder":
        evidence.write_bytes(b"")
    elif trouble == "empty key":
        evidence.mkdir()
        (evidence / "key").write_bytes(b"")
    else:
        (evidence / "ab.part").mkdir(parents=True)
    with running(tmp_path / "data", film) as box:
        wait_for(lambda: judged(box) > 10 and len(_said(box)) > 1, "frames judged, and reports")
        assert set(_said(box)) == {float(trouble != "half-written file that stays")}
    if trouble != "half-written file that stays":
        with pytest.raises(ConfigurationError, match="evidence"):
            check_box(one_camera(tmp_path / "data", film))
