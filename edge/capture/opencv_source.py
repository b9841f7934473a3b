"""Pictures through OpenCV's FFmpeg, for whoever needs it. It does not say what is interlaced, and gives that black."""

from __future__ import annotations

import time

import cv2
import numpy as np

from contracts.errors import Transient
from edge.capture.address import is_stream
from edge.capture.picture_source import Picture, StreamSettings, VideoUnreadable, usual_period_ms

_FRESH_S = 0.010
_CATCH_UP_S = 5.0


class OpencvSource:
    """A file or stream, opened. The transport of a stream is TCP, as OpenCV has it.

    Raises:
        VideoUnreadable: a file that is no video.
        Transient: a stream that could not be opened.
    """

    def __init__(self, source: str, settings: StreamSettings) -> None:
        self._is_stream, self.cut_off, self._count = is_stream(source), False, 0
        params = [cv2.CAP_PROP_N_THREADS, 1]
        if self._is_stream:
            params += [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, round(settings.open_timeout_s * 1000)]
            params += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(settings.read_timeout_s * 1000)]
        self._capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, params)
        if not self._capture.isOpened():
            self._capture.release()
            raise Transient("could not open the stream") if self._is_stream else VideoUnreadable("no video")
        self.period_ms = usual_period_ms(float(self._capture.get(cv2.CAP_PROP_FPS)))

    def read(self) -> Picture | None:
        """Return the next picture; None at the end of a file."""
        waited_s = self._grab()
        ok, image = self._capture.retrieve() if waited_s is not None else (False, None)
        if waited_s is None or not ok or image is None:
            if self._is_stream:
                raise Transient("the stream ended or gave no picture in time")
            return None
        stamp_ms = float(self._capture.get(cv2.CAP_PROP_POS_MSEC))
        self._count += 1
        known = stamp_ms > 0 or self._count == 1
        pixels = np.asarray(image, np.uint8)
        return Picture(image=pixels, stream_ms=stamp_ms if known else None, waited_ms=waited_s * 1000)

    def to_live(self) -> None:
        """Pass over what waits, without its conversion.

        Raises:
            Transient: decoding alone takes longer than the stream; opened anew, it is live.
        """
        until_s = time.monotonic() + _CATCH_UP_S
        while (waited_s := self._grab()) is not None and waited_s < _FRESH_S:
            if time.monotonic() > until_s:
                raise Transient("decoding takes longer than the stream")

    def close(self) -> None:
        """Let go of it."""
        self._capture.release()

    def _grab(self) -> float | None:
        """Return how long it waited, in seconds: what passed without work of this thread, which also decodes."""
        began_s, worked_s = time.monotonic(), time.thread_time()
        if not self._capture.grab():
            return None
        return max(0.0, time.monotonic() - began_s - (time.thread_time() - worked_s))
