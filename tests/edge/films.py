"""Films as cameras and recorders write them, good and bad, encoded here so that every machine has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np

from detectors.vision.detection.detections import Image

_MS = Fraction(1, 1000)


def h264(
    path: Path,
    pictures: Iterable[tuple[int, Image]],
    *,
    interlaced: bool = False,
    audio_s: float = 0.0,
    per_s: int = 25,
) -> Path:
    """A film of (ms, BGR picture) in the container that the name says, also raw ``.h264``.

    ``audio_s``: with a silent sound track of so many seconds, which makes the container longer than its pictures.
    """
    with av.open(str(path), "w") as container:
        stream = None
        for at_ms, picture in pictures:
            if stream is None:
                stream = _stream(container, picture, interlaced=interlaced, per_s=per_s)
                sound = container.add_stream("pcm_s16le", rate=8_000) if audio_s else None
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(format="yuv420p")
            frame.pts, frame.time_base = at_ms, _MS
            container.mux(stream.encode(frame))
        assert stream is not None
        container.mux(stream.encode(None))
        if sound is not None:
            _silence(container, sound, audio_s)
    return path


def _stream(container: av.container.OutputContainer, picture: Image, *, interlaced: bool, per_s: int) -> av.VideoStream:
    stream = container.add_stream("libx264", rate=per_s)
    stream.height, stream.width = picture.shape[:2]
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = _MS
    stream.codec_context.thread_count = 1
    stream.codec_context.gop_size = 25
    stream.codec_context.options = {"preset": "ultrafast", "crf": "18", "tune": "zerolatency"}
    if interlaced:
        stream.codec_context.options |= {"x264-params": "bff=1"}
    return stream


def _silence(container: av.container.OutputContainer, stream: av.AudioStream, audio_s: float) -> None:
    for n in range(round(audio_s * 10)):
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate, sound.pts = 8_000, n * 800
        container.mux(stream.encode(sound))


def woven(pictures: Iterable[Image]) -> Iterator[Image]:
    """Interlaced pictures: the odd rows of one and the even rows of the next, two of them in each.

    Such cameras blur from row to row first, or still edges would flicker.
    """
    taken = [np.asarray(cv2.blur(one, (1, 3)), np.uint8) for one in pictures]
    for first, second in list(pairwise(taken))[::2]:
        both = second.copy()
        both[1::2] = first[1::2]
        yield both
