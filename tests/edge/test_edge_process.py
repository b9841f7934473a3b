"""The box as its own process: killed, cut off and stopped, against a real broker."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.edge.console_server import TOKEN, console_server
from tests.edge.factories import write_video
from tests.edge.platform import PATIENCE_S, Platform, broker, free_port, wait_for
from tests.support.shared import need_shared

pytestmark = [pytest.mark.service, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
FILM_S = 180.0  # a machine with other work to do decodes more slowly than the film plays
FALLS = 'analysers = ["high_altitude_throw"]'


def write_config(folder: Path, port: int, source: Path, *, console_url: str = "", loop: bool = True) -> Path:
    (folder / "token").write_text(TOKEN)
    console = f'[console]\nurl = "{console_url}"\ntoken_file = "token"\n' if console_url else ""
    path = folder / "box.toml"
    path.write_text(
        f'[box]\nid = "b1"\nsite = "s1"\ndata = "data"\nhealth_s = 1\n'
        f'[mqtt]\nurl = "mqtt://127.0.0.1:{port}"\n{console}'
        f'[[camera]]\nid = "c1"\nsource = "{source}"\nloop = {str(loop).lower()}\n{FALLS}\n'
    )
    return path


@contextmanager
def edge_process(config: Path) -> Iterator[subprocess.Popen[bytes]]:
    """``linli edge run``; killed at the end if it still runs. Its log goes beside its configuration."""
    command = [sys.executable, "-m", "app.main", "edge", "run", "--config", str(config)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (config.parent / "edge.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=config.parent)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def spooled(folder: Path) -> list[str]:
    """The event ids on the box's disk, in order."""
    connection = sqlite3.connect(folder / "data" / "box.db")
    try:
        return [json.loads(body)["event_id"] for (body,) in connection.execute("SELECT body FROM row ORDER BY n")]
    finally:
        connection.close()


def test_kill_9_of_box_and_broker_loses_nothing_spooled_and_repeats_nothing(tmp_path: Path) -> None:
    port = free_port()
    config = write_config(tmp_path, port, write_video(tmp_path / "v.mp4", 20))
    with broker(port, tmp_path):
        platform = Platform(port, "s1", "b1")
        with edge_process(config) as box:
            wait_for(lambda: len(platform.kept) >= 3, "the first rows")
            platform.answering = False
            taken = platform.messages
            wait_for(lambda: platform.messages >= taken + 2, "rows sent but not answered")
            box.send_signal(signal.SIGKILL)
            box.wait()
        unanswered = spooled(tmp_path)
        assert len(unanswered) >= 2
    with edge_process(config) as box:  # no broker at all: it goes on spooling
        wait_for(lambda: len(spooled(tmp_path)) >= len(unanswered) + 3, "rows spooled without a broker")
        platform.answering = True
        with broker(port, tmp_path):
            held = spooled(tmp_path)
            wait_for(lambda: not set(held) - {row["event_id"] for row in platform.kept}, "everything held arrives")
            box.terminate()
            assert box.wait(PATIENCE_S) == 0
            platform.close()
    ids = [row["event_id"] for row in platform.kept]
    assert len(ids) == len(set(ids))
    numbers = sorted(int(event_id.rpartition("-")[2]) for event_id in ids)
    assert numbers == list(range(1, numbers[-1] + 1))
    assert {row["kind"] for row in platform.kept} <= {"device_reported", "backlog_drained"}


def test_a_second_box_on_the_same_data_is_refused_and_a_wrong_configuration_too(tmp_path: Path) -> None:
    config = write_config(tmp_path, free_port(), write_video(tmp_path / "v.mp4", 5))
    log = tmp_path / "edge.log"
    with edge_process(config):
        wait_for(lambda: "box runs" in log.read_text(), "the box runs")
        with edge_process(config) as second:
            assert second.wait(PATIENCE_S) == 2
    assert "is in use by process" in log.read_text()
    config.write_text(config.read_text().replace("high_altitude_throw", "high_altitude_trow"))
    with edge_process(config) as wrong:
        assert wrong.wait(PATIENCE_S) == 2
    assert "high_altitude_trow" in log.read_text()
    assert "Traceback" not in log.read_text()


def test_a_real_fall_crosses_mqtt_once_with_evidence_from_before_it_uploaded(tmp_path: Path) -> None:
    video = need_shared("clips/falling/facade_office1.mp4")
    port = free_port()
    with broker(port, tmp_path), console_server() as console:
        platform = Platform(port, "s1", "b1")
        with edge_process(write_config(tmp_path, port, video, console_url=console.url, loop=False)) as box:
            wait_for(lambda: len(platform.of_kind("object_fell")) >= 1, "the fall", FILM_S)
            wait_for(lambda: len(console.complete) >= 2, "still and clip")
            wait_for(lambda: len(platform.of_kind("device_reported")) >= 6, "the clip's end", FILM_S)
            box.terminate()
            assert box.wait(PATIENCE_S) == 0
        platform.close()
    told, fall = platform.of_kind("object_fell")
    assert ("evidence" in told, fall["evidence_of"]) == (False, told["event_id"])
    still, clip = fall["evidence"]
    assert (still["kind"], clip["kind"]) == ("still", "clip")
    assert clip["from_ms"] <= fall["started_ms"] - 1_000
    assert clip["to_ms"] >= fall["started_ms"]
    uploaded = {hashlib.sha256(data).hexdigest(): len(data) for data in console.complete.values()}
    assert uploaded == {ref["sha256"]: ref["bytes"] for ref in (still, clip)}
    assert set(console.complete) == set(uploaded)
