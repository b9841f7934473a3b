from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.capture.capture import Capture, FrameQueue
from edge.capture.video import probe
from system.clock import wall_ms
from tests.edge.platform import PATIENCE_S, wait_for

pytestmark = pytest.mark.service

SERVER = Path(__file__).resolve().parents[2] / "support" / "rtsp_server.py"
SYSTEM_PYTHON = "/usr/bin/python3"
NOT_INSTALLED = 3


@contextmanager
def rtsp_camera(port: int = 0) -> Iterator[int]:
    """A camera on the loopback; gives its port. Skips where GStreamer is absent, which in CI is a failure."""
    command = [SYSTEM_PYTHON, str(SERVER), str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        try:
            if not line:
                _absent(process.wait(PATIENCE_S))
            yield int(line)
        finally:
            process.kill()


def _absent(exit_code: int) -> None:
    message = "GStreamer's RTSP server is not installed (gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-*)"
    assert exit_code == NOT_INSTALLED, f"the RTSP server ended with {exit_code}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def test_a_stream_is_read_and_after_its_camera_restarted_read_again() -> None:
    queue, stop = FrameQueue(1), threading.Event()
    with rtsp_camera() as port:
        url = f"rtsp://127.0.0.1:{port}/cam"
        tags = probe(url)
        assert tags is not None
        assert (tags.codec, tags.width_px, tags.height_px) == ("h264", 320, 240)
        capture = Capture(url, queue, now_ms=wall_ms)
        thread = threading.Thread(target=capture.run, args=(stop,))
        thread.start()
        wait_for(lambda: capture.gauges.frames >= 20, "20 frames")
        first = queue.get(1)
    try:
        wait_for(lambda: capture.gauges.reconnects >= 1, "the loss is noticed")
        before = capture.gauges.frames
        with rtsp_camera(port):
            wait_for(lambda: capture.gauges.frames >= before + 10, "frames after the restart")
            second = queue.get(1)
    finally:
        stop.set()
        thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert first is not None
    assert second is not None
    assert first.image.shape == (240, 320, 3)
    assert second.at_ms > first.at_ms
    assert queue.dropped > 0
