"""Where pictures come from: what a decoder gives, whichever it is, and what a person may choose about it."""

from __future__ import annotations

import enum
from typing import Annotated, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from contracts.errors import Permanent

Image = npt.NDArray[np.uint8]
"""(H, W, 3) uint8, BGR."""

Seconds = Annotated[float, msgspec.Meta(ge=1, le=60)]


class VideoUnreadable(Permanent):
    """A video file that is no video, or ends too early."""


class DecoderName(enum.StrEnum):
    """Who decodes. ADR 27 says what was measured."""

    PYAV = "pyav"
    OPENCV = "opencv"


class Transport(enum.StrEnum):
    """How RTSP brings its packets: ``udp`` is a little sooner, and loses some."""

    TCP = "tcp"
    UDP = "udp"


class StreamSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[camera.stream]``: how a camera's stream is opened and decoded. Timeouts in seconds."""

    decoder: DecoderName = DecoderName.PYAV
    transport: Transport = Transport.TCP
    open_timeout_s: Seconds = 8.0
    read_timeout_s: Seconds = 8.0


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """One decoded picture: its stamp in the stream where it has one, and how long the source waited for its data."""

    image: Image
    stream_ms: float | None
    waited_ms: float


class PictureSource(Protocol):
    """A file or stream that is open. ``period_ms``: the interval of pictures that it states, or a usual one.

    ``cut_off``: a file ended in the middle of a picture. What a container promises about its length proves nothing.
    """

    period_ms: float
    cut_off: bool

    def read(self) -> Picture | None:
        """Return the next picture; None at the end.

        Raises:
            Transient: a stream broke off, or gave nothing in time.
        """
        ...

    def to_live(self) -> None:
        """Throw away what waits, so that the next picture is one that was taken just now."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


def usual_period_ms(per_s: float) -> float:
    """Return the interval of a stream that states this rate, where it is plausible; else that of 25 a second.

    >>> usual_period_ms(50.0), usual_period_ms(90_000.0), usual_period_ms(0.0)
    (20.0, 40.0, 40.0)
    """
    return 1000.0 / (per_s if 0.5 <= per_s <= 240 else 25.0)
