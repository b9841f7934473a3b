"""Video files and streams through PyAV: what a stream says of itself, and clips written for evidence.

Decoding for analysis is in ``edge.capture.pyav_source``.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from fractions import Fraction

import av
import av.error
import cv2
import msgspec
import numpy as np
import numpy.typing as npt

PROBE_TIMEOUT_S = 5.0
CLIP_MIME = "video/mp4"
_CLOCK = Fraction(1, 1000)  # clip timestamps are milliseconds
_ENCODERS = (("libx264", {"preset": "ultrafast", "crf": "26"}), ("mpeg4", {"qscale": "5"}))
_SLOW_TRANSFERS = {16: "PQ (HDR10)", 18: "HLG"}  # ITU-T H.273; ten times slower to convert in OpenCV ≥ 4.13
_BT2020 = 9


class VideoTags(msgspec.Struct, frozen=True, kw_only=True):
    """The tags of a stream. ``warning``: why decoding it may be slow, or empty."""

    codec: str
    width_px: int
    height_px: int
    fps: float
    primaries: int
    transfer: int
    warning: str = ""


def probe(source: str) -> VideoTags | None:
    """Return the tags of a file or stream; None when it does not say (logged and watched by decode time instead)."""
    try:
        with av.open(source, timeout=PROBE_TIMEOUT_S) as container:
            stream = container.streams.video[0]
            context = stream.codec_context
            primaries, transfer = int(context.color_primaries or 0), int(context.color_trc or 0)
            return VideoTags(
                codec=context.name,
                width_px=context.width,
                height_px=context.height,
                fps=float(stream.average_rate or 0),
                primaries=primaries,
                transfer=transfer,
                warning=colour_warning(primaries, transfer),
            )
    except (av.error.FFmpegError, IndexError, OSError, ValueError):
        return None


def colour_warning(primaries: int, transfer: int) -> str:
    """Return why these colour tags make decoding slow; empty when they do not.

    >>> colour_warning(1, 1)
    ''
    """
    if transfer in _SLOW_TRANSFERS:
        return f"transfer is {_SLOW_TRANSFERS[transfer]}: conversion to BGR is about ten times slower; set SDR"
    if primaries == _BT2020:
        return "primaries are BT.2020: conversion to BGR is about ten times slower; set the camera to BT.709"
    return ""


def encode_clip(frames: Iterator[tuple[int, npt.NDArray[np.uint8]]]) -> bytes:
    """Return an MP4 of ``frames``, each (milliseconds since the first, BGR uint8 (H, W, 3), one size, sides even).

    H.264 where PyAV has an encoder, else MPEG-4. The index comes last: putting it first needs a file on disk.

    Raises:
        ValueError: when there is no frame, or FFmpeg cannot encode them.
    """
    first = next(frames, None)
    if first is None:
        raise ValueError("a clip needs at least one frame")
    try:
        return _encoded(first, frames)
    except av.error.FFmpegError as error:
        raise ValueError(f"no clip of {first[1].shape}: {error}") from None


def _encoded(first: tuple[int, npt.NDArray[np.uint8]], frames: Iterator[tuple[int, npt.NDArray[np.uint8]]]) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = _add_stream(container, first[1])
        for at_ms, image in _chain(first, frames):
            frame = av.VideoFrame.from_ndarray(_i420(image), format="yuv420p")  # a third of the cost of av's own
            frame.pts, frame.time_base = at_ms, _CLOCK
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def _i420(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), np.uint8)


def _chain(
    first: tuple[int, npt.NDArray[np.uint8]], rest: Iterator[tuple[int, npt.NDArray[np.uint8]]]
) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    yield first
    yield from rest


def _add_stream(container: av.container.OutputContainer, image: npt.NDArray[np.uint8]) -> av.VideoStream:
    for name, options in _ENCODERS:
        with contextlib.suppress(av.codec.codec.UnknownCodecError):
            stream: av.VideoStream = container.add_stream(name, rate=25, options=options)  # type: ignore[assignment]
            stream.height, stream.width = image.shape[:2]
            stream.pix_fmt = "yuv420p"
            stream.codec_context.time_base = _CLOCK
            stream.codec_context.thread_count = 1
            return stream
    raise ValueError(f"PyAV has none of the encoders {[name for name, _ in _ENCODERS]}")
