"""Pictures through PyAV: packets are waited for and decoded apart, so that waiting and work can be told apart.

Interlaced pictures are two moments in one, and a converter that is told so refuses them. They are taken apart into
their fields, each at its own time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from fractions import Fraction

import av
import av.error
import av.filter
import numpy as np

from contracts.errors import Transient
from edge.capture.address import is_stream
from edge.capture.picture_source import Picture, StreamSettings, VideoUnreadable, usual_period_ms

_FIELDS = "mode=send_field:deint=interlaced"
_FRESH_S = 0.010  # a packet that took so long to come was not lying there


class PyavSource:
    """A file or stream, opened.

    Args:
        source: ``rtsp://…`` or a path.
        settings: transport and timeouts; files have none.

    Raises:
        VideoUnreadable: a file that is no video.
        Transient: a stream that could not be opened.
    """

    def __init__(self, source: str, settings: StreamSettings) -> None:
        self._is_stream = is_stream(source)
        self.cut_off = False
        self._container = self._opened(source, settings)
        try:
            self._stream = self._container.streams.video[0]
        except IndexError:
            self._container.close()
            raise self._unreadable("there is no picture in it") from None
        self._stream.codec_context.thread_count = 1  # a box has many cameras and few cores; threads add latency
        self.period_ms = usual_period_ms(float(self._stream.guessed_rate or 0))
        self._packets: Iterator[av.Packet[av.VideoStream]] = self._container.demux(self._stream)
        self._ready: deque[Picture] = deque()
        self._fields: _Fields | None = None
        self._waited_s = 0.0

    def _opened(self, source: str, settings: StreamSettings) -> av.container.InputContainer:
        if not self._is_stream:
            try:
                return av.open(source)
            except (av.error.FFmpegError, OSError, ValueError):
                raise self._unreadable("it cannot be read, or its index is missing (a truncated MP4)") from None
        try:
            return av.open(
                source,
                options={"rtsp_transport": str(settings.transport)},
                timeout=(settings.open_timeout_s, settings.read_timeout_s),
            )
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise Transient(f"could not open the stream: {_why(error)}") from None

    def _unreadable(self, why: str) -> Transient | VideoUnreadable:
        return Transient(why) if self._is_stream else VideoUnreadable(f"no video: {why}")

    def read(self) -> Picture | None:
        """Return the next picture; None at the end of a file."""
        while not self._ready:
            packet = self._next_packet()
            if packet is None:
                return None
            self._decode(packet)
        return self._ready.popleft()

    def to_live(self) -> None:
        """Throw away packets until one has to be waited for, and begin again at the next that needs no other."""
        self._ready.clear()
        fresh = False
        while (packet := self._next_packet()) is not None:
            fresh = fresh or self._waited_s >= _FRESH_S
            if fresh and packet.is_keyframe:
                self._stream.codec_context.flush_buffers()
                self._fields = None
                self._decode(packet)
                return
            self._waited_s = 0.0

    def close(self) -> None:
        """Let go of it."""
        self._container.close()

    def _next_packet(self) -> av.Packet[av.VideoStream] | None:
        began_s = time.monotonic()
        try:
            packet = next(self._packets)
        except (StopIteration, av.error.EOFError):
            packet = None
        except (av.error.FFmpegError, OSError) as error:
            if self._is_stream:
                raise Transient(f"the stream broke off: {_why(error)}") from None
            self.cut_off = True
            packet = None
        if packet is None and self._is_stream:
            raise Transient("the stream ended")
        self._waited_s += time.monotonic() - began_s
        if packet is not None and packet.size:
            self.cut_off = packet.is_corrupt
        return packet

    def _decode(self, packet: av.Packet[av.VideoStream]) -> None:
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            return  # one picture is damaged; the next ones may not be
        except av.error.EOFError:
            return
        for whole in frames:
            for frame in self._progressive(whole):
                self._ready.append(self._picture(frame))

    def _progressive(self, frame: av.VideoFrame) -> list[av.VideoFrame]:
        if not frame.interlaced_frame and self._fields is None:
            return [frame]
        if self._fields is None or not self._fields.fits(frame):
            self._fields = _Fields(frame, self._stream.time_base or Fraction(1, 90_000))
        return self._fields.of(frame)

    def _picture(self, frame: av.VideoFrame) -> Picture:
        waited_ms, self._waited_s = self._waited_s * 1000.0, 0.0
        stamp_ms = None if frame.pts is None or frame.time_base is None else float(frame.pts * frame.time_base * 1000)
        image = np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
        return Picture(image=image, stream_ms=stamp_ms, waited_ms=waited_ms)


class _Fields:
    """Interlaced frames in, one full picture a field out."""

    def __init__(self, frame: av.VideoFrame, time_base: Fraction) -> None:
        self._kind = (frame.width, frame.height, frame.format.name)
        self._graph = av.filter.Graph()
        source = self._graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or time_base
        )
        apart, sink = self._graph.add("yadif", _FIELDS), self._graph.add("buffersink")
        source.link_to(apart)
        apart.link_to(sink)
        self._graph.configure()

    def fits(self, frame: av.VideoFrame) -> bool:
        """Return whether it takes frames like this one."""
        return self._kind == (frame.width, frame.height, frame.format.name)

    def of(self, frame: av.VideoFrame) -> list[av.VideoFrame]:
        """Return the pictures that are ready with this frame: those of the frame before it."""
        self._graph.push(frame)
        pictures: list[av.VideoFrame] = []
        while True:
            try:
                picture = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return pictures
            if isinstance(picture, av.VideoFrame):
                pictures.append(picture)


def _why(error: Exception) -> str:
    """Return the reason without the address, which may hold a password."""
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
