"""Frames from RTSP streams and video files through OpenCV, with the time each was taken.

``read_video`` gives a file's frames in media time, for analysis. ``Capture`` is a camera's thread: it paces files like
cameras, reconnects streams with back-off, counts what it drops and watches how long decoding takes.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import msgspec
import numpy as np
import numpy.typing as npt
import structlog

from contracts.errors import Permanent, Transient
from edge.capture.address import is_stream, redact_url
from edge.capture.video import probe

Image = npt.NDArray[np.uint8]
"""(H, W, 3) uint8, BGR."""

OPEN_TIMEOUT_MS = 8_000
READ_TIMEOUT_MS = 8_000
BACKOFF_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
SLOW_DECODE_MS = 60.0  # a camera of 15 frames/s could not keep up
EVERY_FRAME_QUEUE = 16
MAX_LAG_S = 1.0  # where frames may be dropped, a file that plays on a busy machine falls behind at most so far
LOST_SHARE = 0.1  # containers estimate their length; fewer frames than 90% of it is a truncated file
_log = structlog.get_logger("edge.capture.capture")


class Frame(msgspec.Struct, frozen=True):
    """One picture and when it was taken: epoch ms live, ms since the first frame in media time."""

    image: Image
    at_ms: int


class VideoUnreadable(Permanent):
    """A video file that is no video, or ends too early."""


def read_video(path: Path) -> Iterator[Frame]:
    """Yield every frame of the file, in order, with its media time.

    Raises:
        VideoUnreadable: when the file is absent, no video, or truncated (after the frames that could be read).
    """
    capture = _open_file(path)
    try:
        yield from _media_frames(capture, path)
    finally:
        capture.release()


def _media_frames(capture: cv2.VideoCapture, path: Path) -> Iterator[Frame]:
    expected, count, at_ms = capture.get(cv2.CAP_PROP_FRAME_COUNT), 0, -1
    step_ms = 1000.0 / frames_per_s(capture)
    while True:
        ok, image = capture.read()
        if not ok:
            break
        at_ms = max(at_ms + 1, _media_ms(capture, count, step_ms))
        yield Frame(_as_image(image), at_ms)
        count += 1
    if is_truncated(count, expected):
        raise VideoUnreadable(f"{path} is truncated or damaged: {count} of {expected:.0f} frames could be read")


def _media_ms(capture: cv2.VideoCapture, index: int, step_ms: float) -> int:
    stamp = float(capture.get(cv2.CAP_PROP_POS_MSEC))
    return round(stamp) if stamp > 0 or index == 0 else round(index * step_ms)


def is_truncated(read: int, expected: float) -> bool:
    """Return whether a file that promised ``expected`` frames (≤ 0: it does not say) and gave ``read`` is cut off.

    >>> is_truncated(95, 100), is_truncated(50, 100), is_truncated(10, -1)
    (False, True, False)
    """
    return read == 0 or (expected > 0 and read < expected * (1 - LOST_SHARE) - 2)


def frames_per_s(capture: cv2.VideoCapture) -> float:
    """Return the stream's own rate, where it says a plausible one; else 25."""
    fps = float(capture.get(cv2.CAP_PROP_FPS))
    return fps if 0.5 <= fps <= 240 else 25.0


def _open_file(path: Path) -> cv2.VideoCapture:
    if not path.is_file():
        raise VideoUnreadable(f"video {path} does not exist")
    capture = _open(str(path))
    if not capture.isOpened():
        capture.release()
        raise VideoUnreadable(f"{path} is no video that can be read, or its index is missing (a truncated MP4)")
    return capture


def _open(source: str) -> cv2.VideoCapture:
    """Return one decoder thread: a box runs many cameras on few cores, and threads add latency."""
    params = [cv2.CAP_PROP_N_THREADS, 1]
    if is_stream(source):
        params += [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_TIMEOUT_MS]
    return cv2.VideoCapture(source, cv2.CAP_FFMPEG, params)


def _as_image(raw: npt.NDArray[np.generic]) -> Image:
    return raw if raw.dtype == np.uint8 else raw.astype(np.uint8)  # type: ignore[return-value]


class FrameQueue:
    """Frames from a capture thread to an analysing one; full, it drops the oldest and counts it.

    Capacity 1 is "the newest frame"; more is "every frame", for analysers that need them all.
    """

    def __init__(self, capacity: int) -> None:
        self._frames: deque[Frame] = deque(maxlen=capacity)
        self._ready = threading.Condition()
        self.newest_only = capacity == 1
        self.dropped = 0

    def put(self, frame: Frame) -> None:
        """Add a frame; never blocks."""
        with self._ready:
            if len(self._frames) == self._frames.maxlen:
                self.dropped += 1
            self._frames.append(frame)
            self._ready.notify()

    def put_patiently(self, frame: Frame, stop: threading.Event) -> None:
        """Add a frame when there is room, so that none is dropped; gives up when ``stop`` is set."""
        with self._ready:
            while len(self._frames) == self._frames.maxlen and not stop.is_set():
                self._ready.wait(0.1)
            self._frames.append(frame)
            self._ready.notify()

    def get(self, timeout_s: float) -> Frame | None:
        """Return the oldest frame waiting, or None after ``timeout_s``."""
        with self._ready:
            if not self._frames:
                self._ready.wait(timeout_s)
            frame = self._frames.popleft() if self._frames else None
            self._ready.notify()
            return frame


class CaptureGauges(msgspec.Struct):
    """The gauges of a capture thread."""

    frames: int = 0
    decode_ms: float = 0.0  # exponential mean over about 50 frames
    reconnects: int = 0
    last_frame_ms: int = 0
    slow_warned: bool = False

    def decoded(self, took_ms: float, at_ms: int) -> None:
        """Count one frame that took ``took_ms`` to decode."""
        self.decode_ms += (took_ms - self.decode_ms) * (0.02 if self.frames else 1.0)
        self.frames += 1
        self.last_frame_ms = at_ms


class Capture:
    """One camera's capture: ``run(stop)`` is the body of its thread and returns when stopped or a file has ended.

    Args:
        source: ``rtsp://…`` or a path.
        realtime: play a file at its own speed (streams always do); else as fast as its frames are taken, none dropped.
        loop: begin a file again at its end.
        now_ms: epoch milliseconds.
    """

    def __init__(
        self, source: str, queue: FrameQueue, *, realtime: bool = True, loop: bool = False, now_ms: Callable[[], int]
    ) -> None:
        self._source, self._queue = source, queue
        self._realtime, self._loop, self._now_ms = realtime, loop, now_ms
        self.gauges = CaptureGauges()

    def run(self, stop: threading.Event) -> None:
        """Read until ``stop``; every failure is logged and tried again after a growing pause."""
        failures = 0
        self._log_tags()
        while not stop.is_set():
            before = self.gauges.frames
            try:
                self._read_once(stop)
                if not self._loop:
                    return
            except (Transient, VideoUnreadable) as error:
                _log.warning("camera source failed", source=redact_url(self._source), error=str(error))
                failures = 0 if self.gauges.frames - before > 50 else failures
                self.gauges.reconnects += 1
                stop.wait(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
                failures += 1

    def _log_tags(self) -> None:
        tags = probe(self._source)
        _log.info("camera source", source=redact_url(self._source), tags=msgspec.to_builtins(tags) if tags else None)
        if tags and tags.warning:
            _log.warning("slow colours", source=redact_url(self._source), warning=tags.warning)

    def _read_once(self, stop: threading.Event) -> None:
        capture = self._opened()
        try:
            if is_stream(self._source):
                self._read_stream(capture, stop)
            else:
                self._read_file(capture, stop)
        finally:
            capture.release()

    def _opened(self) -> cv2.VideoCapture:
        if not is_stream(self._source):
            return _open_file(Path(self._source))
        capture = _open(self._source)
        if not capture.isOpened():
            capture.release()
            raise Transient(f"could not open the stream within {OPEN_TIMEOUT_MS} ms")
        return capture

    def _read_stream(self, capture: cv2.VideoCapture, stop: threading.Event) -> None:
        while not stop.is_set():
            arrived = capture.grab()  # waits for the camera; what follows is what a frame costs
            began_s = time.monotonic()
            ok, image = capture.retrieve() if arrived else (False, None)
            if not ok or image is None:
                raise Transient("the stream ended or gave no frame in time")
            self._queue.put(self._frame(image, began_s, self._now_ms()))

    def _read_file(self, capture: cv2.VideoCapture, stop: threading.Event) -> None:
        expected, step_s, count = capture.get(cv2.CAP_PROP_FRAME_COUNT), 1.0 / frames_per_s(capture), 0
        start_ms, start_s = self._now_ms(), time.monotonic()
        due_s = start_s
        while not stop.is_set():
            began_s = time.monotonic()
            ok, image = capture.read()
            if not ok:
                break
            count += 1
            self._deliver(self._frame(image, began_s, start_ms + round((due_s - start_s) * 1000)), stop)
            due_s += step_s
            if self._realtime:
                if self._queue.newest_only:  # else time must stay the film's: a fall would seem slower than gravity
                    due_s = max(due_s, time.monotonic() - MAX_LAG_S)
                stop.wait(max(0.0, due_s - time.monotonic()))
        if not stop.is_set() and is_truncated(count, expected):
            raise VideoUnreadable(f"truncated or damaged: {count} of {expected:.0f} frames could be read")

    def _deliver(self, frame: Frame, stop: threading.Event) -> None:
        """Hand it on. A file can wait where a camera cannot: an analyser that needs every frame gets every one."""
        if self._realtime and self._queue.newest_only:
            self._queue.put(frame)
        else:
            self._queue.put_patiently(frame, stop)

    def _frame(self, image: npt.NDArray[np.generic], began_s: float, at_ms: int) -> Frame:
        self.gauges.decoded((time.monotonic() - began_s) * 1000.0, at_ms)
        if self.gauges.decode_ms > SLOW_DECODE_MS and self.gauges.frames > 50 and not self.gauges.slow_warned:
            self.gauges.slow_warned = True
            _log.warning("decoding is slow", source=redact_url(self._source), decode_ms=round(self.gauges.decode_ms, 1))
        return Frame(_as_image(image), at_ms)
