from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.capture.capture import FAR_BEHIND_MS, Capture, FrameQueue
from edge.capture.picture_source import Picture, PictureSource, StreamSettings, Transport
from edge.capture.pyav_source import PyavSource
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


class _Slow(PyavSource):
    """A decoder that takes a seventh of a second a picture, of a camera that gives fifteen a second.

    ``ages_ms``: how old each picture really was when it was decoded, by the stream's own stamps, and
    by as much more as the freshest.
    """

    def __init__(self, source: str, settings: StreamSettings) -> None:
        super().__init__(source, settings)
        self.ages_ms: list[float] = []
        self.came_ms: list[int] = []

    def read(self) -> Picture | None:
        picture = super().read()
        time.sleep(0.14)
        assert picture is not None
        stamp_ms = picture.stream_ms or 0.0  # FFmpeg knows no time of the first one
        self.ages_ms.append(time.monotonic() * 1000 - stamp_ms)
        self.came_ms.append(wall_ms())
        return picture


def test_a_decoder_that_is_too_slow_drops_to_live_and_no_old_picture_is_dated_now() -> None:
    queue, stop, opened = FrameQueue(1_000), threading.Event(), list[_Slow]()

    def opens(source: str, settings: StreamSettings) -> PictureSource:
        opened.append(_Slow(source, settings))
        return opened[-1]

    with rtsp_camera() as port:
        capture = Capture(f"rtsp://127.0.0.1:{port}/cam", queue, now_ms=wall_ms, opens=opens)
        thread = threading.Thread(target=capture.run, args=(stop,))
        thread.start()
        wait_for(lambda: capture.gauges.drops_to_live >= 2, "two drops to live")
        wait_for(lambda: capture.gauges.lag_ms < 1_000, "a picture that is fresh again")
        stop.set()
        thread.join(PATIENCE_S)
    (source,) = opened
    freshest_ms = min(source.ages_ms)
    ages_ms = [age_ms - freshest_ms for age_ms in source.ages_ms]
    # before it nothing says how old the first picture was that the camera had kept
    live = next(n for n, age_ms in enumerate(ages_ms) if age_ms < 300)
    assert 1_500 < max(ages_ms[live:]) < FAR_BEHIND_MS + 2_000
    for n, (age_ms, came_ms) in enumerate(zip(ages_ms, source.came_ms, strict=True)):
        frame = queue.get(0)
        assert frame is not None
        assert n < live or frame.at_ms + frame.shift_ms == pytest.approx(came_ms - age_ms, abs=500)
    assert not capture.clock_is_wrong()


@pytest.mark.parametrize("transport", Transport)
def test_a_stream_is_read_by_either_transport(transport: Transport) -> None:
    with rtsp_camera() as port:
        source = PyavSource(f"rtsp://127.0.0.1:{port}/cam", StreamSettings(transport=transport))
        pictures = [source.read() for _ in range(10)]
        source.close()
    assert all(one is not None and one.image.mean() > 0 for one in pictures)
