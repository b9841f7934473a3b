"""A camera's thread: pictures from its stream or file, with the time each was taken.

``read_video`` gives a file's frames in media time, for analysis. ``Capture`` paces files like cameras, reconnects
streams with back-off, counts what it drops, watches how long decoding takes, and lets go of what is old when it falls
behind.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import structlog

from contracts.errors import Transient
from edge.capture.address import is_stream, redact_url
from edge.capture.media_clock import LiveClock, PictureArrival, RecordingClock, Taken
from edge.capture.opencv_source import OpencvSource
from edge.capture.picture_source import DecoderName, Image, Picture, PictureSource, StreamSettings, VideoUnreadable
from edge.capture.pyav_source import PyavSource
from edge.capture.video import probe

BACKOFF_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
SLOW_DECODE_MS = 60.0  # a camera of 15 frames/s could not keep up
EVERY_FRAME_QUEUE = 16
MAX_LAG_S = 1.0  # where frames may be dropped, a file that plays on a busy machine falls behind at most so far
BEHIND_MS = 1_500  # a picture this old is behind: a burst after a stall is worked off, …
CATCH_UP_S = 3.0  # … and what is still behind after so long is thrown away,
FAR_BEHIND_MS = 5_000  # … or at once
STEP_MS = 1_000  # the wall clock was set: what a film shows moves with it
_log = structlog.get_logger("edge.capture.capture")


class Frame(msgspec.Struct, frozen=True):
    """One picture and when it was taken.

    ``at_ms`` is the timeline of its source: it never goes back and has no jump, so intervals are right. In a recording
    it begins at 0, live at the date. ``shift_ms`` is what to add for the date: the wall clock was set, or drifted.
    """

    image: Image
    at_ms: int
    shift_ms: int = 0


def read_video(path: Path) -> Iterator[Frame]:
    """Yield every frame of the file, in order, with its media time.

    Raises:
        VideoUnreadable: when the file is absent, no video, or truncated (after the frames that could be read).
    """
    source = _open_file(path, StreamSettings())
    clock, count, at_ms = RecordingClock(source.period_ms), 0, -1
    try:
        while (picture := source.read()) is not None:
            at_ms, count = max(at_ms + 1, round(clock.next_ms(picture.stream_ms))), count + 1
            yield Frame(picture.image, at_ms)
    finally:
        source.close()
    if source.cut_off or not count:
        raise VideoUnreadable(f"{path} is truncated or damaged: {count} pictures could be read")


def open_source(source: str, settings: StreamSettings) -> PictureSource:
    """Return the file or stream, opened by the decoder that the camera's settings name.

    Raises:
        VideoUnreadable: a file that does not exist, or is no video.
        Transient: a stream that could not be opened in time.
    """
    if not is_stream(source):
        return _open_file(Path(source), settings)
    return _decoder(source, settings)


def _decoder(source: str, settings: StreamSettings) -> PictureSource:
    return PyavSource(source, settings) if settings.decoder is DecoderName.PYAV else OpencvSource(source, settings)


def _open_file(path: Path, settings: StreamSettings) -> PictureSource:
    if not path.is_file():
        raise VideoUnreadable(f"video {path} does not exist")
    try:
        return _decoder(str(path), settings)
    except VideoUnreadable as error:
        raise VideoUnreadable(f"{path}: {error}") from None


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
    """The gauges of a capture thread. ``last_frame_s`` is monotonic, 0 before the first."""

    frames: int = 0
    decode_ms: float = 0.0  # exponential mean over about 50 frames
    lag_ms: int = 0  # how old the newest picture was when it was decoded
    reconnects: int = 0
    drops_to_live: int = 0
    last_frame_s: float = 0.0
    slow_warned: bool = False

    def decoded(self, took_ms: float, lag_ms: int) -> None:
        """Count one frame that took ``took_ms`` to decode and was ``lag_ms`` old then."""
        self.decode_ms += (took_ms - self.decode_ms) * (0.02 if self.frames else 1.0)
        self.frames += 1
        self.lag_ms = lag_ms
        self.last_frame_s = time.monotonic()


class Capture:
    """One camera's capture: ``run(stop)`` is the body of its thread and returns when stopped or a file has ended.

    ``newest`` is the picture that came last, for whoever only looks now and then.

    Args:
        source: ``rtsp://…`` or a path.
        realtime: play a file at its own speed (streams always do); else as fast as its frames are taken, none dropped.
        loop: begin a file again at its end.
        now_ms: epoch milliseconds.
        stream: transport, timeouts, decoder.
        opens: opens the source.
    """

    def __init__(
        self,
        source: str,
        queue: FrameQueue,
        *,
        realtime: bool = True,
        loop: bool = False,
        now_ms: Callable[[], int],
        stream: StreamSettings | None = None,
        opens: Callable[[str, StreamSettings], PictureSource] = open_source,
    ) -> None:
        self._source, self._queue, self._opens = source, queue, opens
        self._realtime, self._loop, self._now_ms = realtime, loop, now_ms
        self._settings = stream or StreamSettings()
        self.newest: Frame | None = None
        self._clock: LiveClock | None = None
        self._played_ms = 0  # where the timeline of a file has come to
        self._behind_s: float | None = None
        self.gauges = CaptureGauges()

    def clock_is_wrong(self) -> bool:
        """Return whether the stream's own times are of no use."""
        return self._clock is not None and self._clock.is_wrong(time.monotonic() * 1000)

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
        source = self._opens(self._source, self._settings)
        try:
            if is_stream(self._source):
                self._read_stream(source, stop)
            else:
                self._read_file(source, stop)
        finally:
            source.close()

    def _read_stream(self, source: PictureSource, stop: threading.Event) -> None:
        if self._clock is None:
            self._clock = LiveClock(source.period_ms)
        self._clock.reconnected()
        while not stop.is_set():
            began_s = time.monotonic()
            picture = source.read()
            if picture is None:
                raise Transient("the stream ended")
            taken = self._clock.taken(_arrival(picture, self._now_ms()))
            self._count(picture, began_s, taken.lag_ms)
            self.newest = Frame(picture.image, taken.at_ms, taken.shift_ms)
            self._queue.put(self.newest)
            if self._falls_behind(picture, taken):
                self.gauges.drops_to_live += 1
                _log.warning("behind, dropped to live", source=redact_url(self._source), lag_ms=taken.lag_ms)
                source.to_live()

    def _falls_behind(self, picture: Picture, taken: Taken) -> bool:
        """Return whether to drop to live: pictures wait to be decoded, and do not get younger."""
        now_s = time.monotonic()
        if taken.lag_ms < BEHIND_MS or picture.waited_ms > taken.lag_ms:
            self._behind_s = None
            return False
        self._behind_s = now_s if self._behind_s is None else self._behind_s
        late = taken.lag_ms > FAR_BEHIND_MS or now_s - self._behind_s > CATCH_UP_S
        self._behind_s = None if late else self._behind_s
        return late

    def _read_file(self, source: PictureSource, stop: threading.Event) -> None:
        play = _Play(self._now_ms(), max(self._now_ms(), self._played_ms), source.period_ms)
        count = 0
        while not stop.is_set():
            began_s = time.monotonic()
            picture = source.read()
            if picture is None:
                break
            count += 1
            self._count(picture, began_s, 0)
            due_s = play.next_s(picture.stream_ms)
            if self._realtime:
                if self._queue.newest_only:  # else time must stay the film's: a fall would seem slower than gravity
                    due_s = play.not_before_s(time.monotonic() - MAX_LAG_S)
                stop.wait(max(0.0, due_s - time.monotonic()))
            self._played_ms = play.at_ms + round(source.period_ms)
            self.newest = Frame(picture.image, play.at_ms, play.shift_ms(self._now_ms()))
            self._deliver(self.newest, stop)
        self._end_of_file(source, count, stopped=stop.is_set())

    def _end_of_file(self, source: PictureSource, count: int, *, stopped: bool) -> None:
        """Say what is wrong with it. Only a file that gave nothing is tried again: played once is played once."""
        if stopped:
            return
        if not count:
            raise VideoUnreadable("there is no picture in it")
        if source.cut_off:
            _log.warning("a video is cut off", source=redact_url(self._source), pictures=count)

    def _deliver(self, frame: Frame, stop: threading.Event) -> None:
        """Hand it on. A file can wait where a camera cannot: an analyser that needs every frame gets every one."""
        if self._realtime and self._queue.newest_only:
            self._queue.put(frame)
        else:
            self._queue.put_patiently(frame, stop)

    def _count(self, picture: Picture, began_s: float, lag_ms: int) -> None:
        took_ms = max(0.0, (time.monotonic() - began_s) * 1000.0 - picture.waited_ms)
        self.gauges.decoded(took_ms, lag_ms)
        if self.gauges.decode_ms > SLOW_DECODE_MS and self.gauges.frames > 50 and not self.gauges.slow_warned:
            self.gauges.slow_warned = True
            _log.warning("decoding is slow", source=redact_url(self._source), decode_ms=round(self.gauges.decode_ms, 1))


class _Play:
    """One play of a file, as if a camera took it now: when its pictures are due, and their places on the timeline."""

    def __init__(self, wall_ms: int, start_ms: int, period_ms: float) -> None:
        self._clock, self._start_ms, self._start_s = RecordingClock(period_ms), start_ms, time.monotonic()
        self._date_ms = wall_ms - self._start_s * 1000
        self._first_shift_ms = wall_ms - start_ms
        self._slipped_s = self._due_s = 0.0

    @property
    def at_ms(self) -> int:
        """The place of the current picture on the timeline."""
        return self._start_ms + round(self._due_s * 1000)

    def next_s(self, stamp_ms: float | None) -> float:
        """Return when the next picture is due, on the monotonic clock."""
        self._due_s = self._clock.next_ms(stamp_ms) / 1000 + self._slipped_s
        return self._start_s + self._due_s

    def not_before_s(self, least_s: float) -> float:
        """Put off what is due earlier than ``least_s``, and all that follows."""
        late_s = max(0.0, least_s - self._start_s - self._due_s)
        self._slipped_s += late_s
        self._due_s += late_s
        return self._start_s + self._due_s

    def shift_ms(self, wall_ms: int) -> int:
        """Return what to add to the timeline for the date: what the wall clock was set by since."""
        set_ms = round(wall_ms - time.monotonic() * 1000 - self._date_ms)
        return self._first_shift_ms + (set_ms if abs(set_ms) > STEP_MS else 0)


def _arrival(picture: Picture, wall_ms: int) -> PictureArrival:
    mono_ms = time.monotonic() * 1000
    return PictureArrival(stream_ms=picture.stream_ms, mono_ms=mono_ms, wall_ms=wall_ms, waited_ms=picture.waited_ms)
