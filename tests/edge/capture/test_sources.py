"""Films and streams that do not say the truth about their times, their length or their pictures."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from contracts.errors import Transient
from detectors.vision.falling.falling_analyser import FallingAnalyser
from edge.camera import AnalyserName, CameraConfig, check_camera
from edge.capture.capture import Capture, Frame, FrameQueue, open_source, read_video
from edge.capture.opencv_source import OpencvSource
from edge.capture.picture_source import DecoderName, StreamSettings, Transport
from edge.capture.pyav_source import PyavSource
from tests.edge.factories import noise_frame
from tests.edge.falling_scene import colour_pictures
from tests.edge.films import h264, woven

STEP_MS = 40


def evenly(
    pictures: Iterable[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]], step_ms: int = STEP_MS
) -> list[tuple[int, np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]]:
    return [(n * step_ms, one) for n, one in enumerate(pictures)]


def small(count: int) -> list[tuple[int, np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]]:
    return evenly(noise_frame(n, 96, 64) for n in range(count))


def played(path: Path) -> tuple[list[Frame], Capture]:
    """All that a camera's thread makes of a film, until it ends by itself."""
    queue, stop = FrameQueue(1_000), threading.Event()
    capture = Capture(str(path), queue, realtime=False, now_ms=lambda: 1_000_000)
    capture.run(stop)
    frames = []
    while (frame := queue.get(0)) is not None:
        frames.append(frame)
    return frames, capture


def as_is(folder: Path) -> Path:
    return h264(folder / "film.mp4", evenly(colour_pictures()))


def with_a_pause(folder: Path) -> Path:
    """A recorder that keeps a picture a second where nothing moves; its mean rate is far from the film's."""
    pictures = list(colour_pictures())
    calm = [(n * 1_000, pictures[0]) for n in range(30)]
    return h264(folder / "film.mp4", [*calm, *((30_000 + at_ms, one) for at_ms, one in evenly(pictures))])


def at_a_variable_rate(folder: Path) -> Path:
    kept = [one for n, one in enumerate(evenly(colour_pictures())) if n % 5 not in (1, 3)]
    return h264(folder / "film.mkv", kept)


def begun_again(folder: Path) -> Path:
    """Two transport streams one behind the other: the second begins where the first began."""
    film = list(colour_pictures())
    parts = [h264(folder / f"{name}.ts", evenly(part)) for name, part in (("a", film[:40]), ("b", film[40:]))]
    whole = folder / "film.ts"
    whole.write_bytes(b"".join(part.read_bytes() for part in parts))
    return whole


def without_times(folder: Path) -> Path:
    return h264(folder / "film.h264", evenly(colour_pictures()))


def interlaced(folder: Path) -> Path:
    return h264(folder / "film.mp4", evenly(woven(colour_pictures()), 80), interlaced=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "film", [as_is, with_a_pause, at_a_variable_rate, begun_again, without_times, interlaced], ids=lambda f: f.__name__
)
def test_a_fall_in_a_film_has_its_length_whatever_the_film_says(film: Callable[[Path], Path], tmp_path: Path) -> None:
    analyser, found = FallingAnalyser(), []
    for frame in read_video(film(tmp_path)):
        found += analyser.process(frame.image, frame.at_ms)
    found += analyser.flush()
    (fall,) = found
    assert fall.duration_ms == pytest.approx(1_600, abs=300)
    assert fall.at_ms % 30_000 == pytest.approx(4_200, abs=100)


def test_interlaced_pictures_are_shown_field_by_field(tmp_path: Path) -> None:
    film = h264(tmp_path / "film.mp4", evenly(woven(noise_frame(n, 96, 64) for n in range(20)), 80), interlaced=True)
    frames = list(read_video(film))
    assert len(frames) >= 18
    assert {later.at_ms - earlier.at_ms for earlier, later in pairwise(frames)} == {40}
    assert all(frame.image.mean() > 60 for frame in frames)


def test_a_container_that_promises_more_than_it_has_is_played_once_and_is_whole(tmp_path: Path) -> None:
    film = h264(tmp_path / "film.mkv", small(50), audio_s=20.0)
    frames, capture = played(film)
    assert [frame.at_ms - frames[0].at_ms for frame in frames] == [n * STEP_MS for n in range(50)]
    assert capture.gauges.reconnects == 0
    assert len(list(read_video(film))) == 50


def test_a_film_that_breaks_off_is_played_once_as_far_as_it_goes(tmp_path: Path) -> None:
    film = h264(tmp_path / "film.ts", small(100))
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    frames, capture = played(film)
    assert 20 < len(frames) < 80
    assert capture.gauges.reconnects == 0


def test_a_film_in_a_loop_has_one_timeline(tmp_path: Path) -> None:
    film, stop, queue = h264(tmp_path / "film.mp4", small(10)), threading.Event(), FrameQueue(4)
    wall = iter(range(10**6, 0, -7_000))  # and a wall clock that runs backwards
    capture = Capture(str(film), queue, realtime=False, loop=True, now_ms=lambda: next(wall))
    thread = threading.Thread(target=capture.run, args=(stop,))
    thread.start()
    frames = [queue.get(60) for _ in range(25)]
    stop.set()
    thread.join(60)
    times = [frame.at_ms for frame in frames if frame]
    assert [later - earlier for earlier, later in pairwise(times)] == [STEP_MS] * 24


@pytest.mark.parametrize("decoder", DecoderName)
def test_both_decoders_give_the_same_pictures_at_the_same_times(decoder: DecoderName, tmp_path: Path) -> None:
    film = h264(tmp_path / "film.mp4", small(20))
    source = open_source(str(film), StreamSettings(decoder=decoder))
    assert isinstance(source, PyavSource if decoder is DecoderName.PYAV else OpencvSource)
    stamps = []
    for n in range(20):
        picture = source.read()
        assert picture is not None and picture.stream_ms is not None
        assert np.abs(picture.image.astype(int) - noise_frame(n, 96, 64)).mean() < 45
        stamps.append(picture.stream_ms)
    assert source.read() is None
    source.close()
    assert stamps == pytest.approx([n * STEP_MS for n in range(20)])


@pytest.mark.parametrize("decoder", DecoderName)
def test_a_stream_that_is_not_there_is_said_without_its_password(decoder: DecoderName) -> None:
    settings = StreamSettings(decoder=decoder, open_timeout_s=1.0)
    with pytest.raises(Transient, match="could not open the stream") as caught:
        open_source("rtsp://user:geheim@127.0.0.1:9/cam", settings)
    assert "geheim" not in str(caught.value)


def test_a_transport_that_the_decoder_does_not_have_is_refused() -> None:
    stream = StreamSettings(decoder=DecoderName.OPENCV, transport=Transport.UDP)
    camera = CameraConfig(id="c1", analysers=(AnalyserName.HIGH_ALTITUDE_THROW,), stream=stream)
    (wrong,) = check_camera(camera, "camera c1")
    assert "udp" in wrong and "pyav" in wrong
