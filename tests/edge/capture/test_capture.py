from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edge.capture.address import redact_url
from edge.capture.capture import Capture, Frame, FrameQueue, read_video
from edge.capture.picture_source import VideoUnreadable
from edge.capture.video import colour_warning, encode_clip, probe
from system.clock import wall_ms
from tests.edge.factories import write_video
from tests.edge.platform import PATIENCE_S


def now_ms() -> int:
    return wall_ms()


def frame(at_ms: int) -> Frame:
    return Frame(np.zeros((2, 2, 3), np.uint8), at_ms)


def test_a_file_gives_every_frame_in_order_in_media_time(tmp_path: Path) -> None:
    frames = list(read_video(write_video(tmp_path / "v.mp4", 20)))
    assert [f.at_ms for f in frames] == list(range(0, 2000, 100))
    assert [round(float(f.image.mean())) for f in frames] == pytest.approx([10 + 2 * n for n in range(20)], abs=5)


def test_a_truncated_file_gives_what_it_has_and_then_says_so(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(encode_clip((n * 100, noise) for n, noise in enumerate(_noise(60))))
    avi = write_video(tmp_path / "v.avi", 200, width=640, height=480)
    avi.write_bytes(avi.read_bytes()[: avi.stat().st_size // 2])
    cut_off = clip.read_bytes()[: clip.stat().st_size // 2]
    clip.write_bytes(cut_off)
    with pytest.raises(VideoUnreadable, match="truncated"):
        list(read_video(clip))
    frames: list[Frame] = []
    with pytest.raises(VideoUnreadable, match=r"truncated or damaged: \d+ pictures"):
        frames.extend(read_video(avi))
    assert len(frames) > 20


def _noise(count: int) -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    return [np.random.default_rng(n).integers(0, 255, (48, 64, 3), dtype=np.uint8) for n in range(count)]


@pytest.mark.parametrize(
    ("content", "says"), [(None, "does not exist"), (b"", "no video"), (b"hello" * 99, "no video")]
)
def test_what_is_no_video_is_named(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "v.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VideoUnreadable, match=says):
        list(read_video(path))


def test_the_newest_frame_replaces_one_that_waits_and_is_counted() -> None:
    newest, every = FrameQueue(1), FrameQueue(3)
    for n in range(5):
        newest.put(frame(n))
        every.put(frame(n))
    got = [newest.get(0), newest.get(0), *(every.get(0) for _ in range(4))]
    assert [f.at_ms if f else None for f in got] == [4, None, 2, 3, 4, None]
    assert (newest.dropped, every.dropped) == (4, 2)


def test_an_unpaced_file_drops_nothing_and_ends(tmp_path: Path) -> None:
    queue, stop = FrameQueue(2), threading.Event()
    capture = Capture(str(write_video(tmp_path / "v.mp4", 30)), queue, realtime=False, now_ms=lambda: 1_000_000)
    thread = threading.Thread(target=capture.run, args=(stop,))
    thread.start()
    got: list[Frame] = []
    while thread.is_alive() or len(got) < 30:
        one = queue.get(0.2)
        got += [one] if one else []
    thread.join()
    assert [f.at_ms - got[0].at_ms for f in got] == list(range(0, 3000, 100))
    assert (queue.dropped, capture.gauges.frames, capture.gauges.reconnects) == (0, 30, 0)


def test_a_looped_file_plays_at_its_own_speed_again_and_again(tmp_path: Path) -> None:
    queue, stop = FrameQueue(50), threading.Event()
    capture = Capture(str(write_video(tmp_path / "v.mp4", 5, fps=20)), queue, loop=True, now_ms=now_ms)
    thread = threading.Thread(target=capture.run, args=(stop,))
    began = time.monotonic()
    thread.start()
    got = [queue.get(PATIENCE_S) for _ in range(12)]
    stop.set()
    thread.join()
    assert time.monotonic() - began > 0.4
    times = [f.at_ms for f in got if f]
    assert len(times) == 12
    assert times == sorted(times)


def test_a_machine_too_slow_for_a_film_judges_it_late_but_in_the_time_of_the_film(tmp_path: Path) -> None:
    queue, stop = FrameQueue(2), threading.Event()
    capture = Capture(str(write_video(tmp_path / "v.mp4", 12, fps=20)), queue, now_ms=now_ms)
    thread = threading.Thread(target=capture.run, args=(stop,))
    thread.start()
    got = [queue.get(PATIENCE_S), queue.get(PATIENCE_S)]
    stop.wait(1.3)  # longer than a camera whose frames may be dropped would fall behind
    got += [queue.get(PATIENCE_S) for _ in range(10)]
    thread.join()
    times = [f.at_ms for f in got if f]
    assert [later - times[0] for later in times] == list(range(0, 600, 50))
    assert queue.dropped == 0


def test_a_source_that_fails_is_tried_again_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    path.write_bytes(b"not yet a video")
    queue, stop = FrameQueue(10), threading.Event()
    capture = Capture(str(path), queue, realtime=False, now_ms=now_ms)
    thread = threading.Thread(target=capture.run, args=(stop,))
    thread.start()
    while capture.gauges.reconnects == 0:
        stop.wait(0.01)
    write_video(tmp_path / "good.mp4", 5).rename(path)
    thread.join()
    assert (capture.gauges.frames, capture.gauges.reconnects) == (5, 1)


def test_tags_that_make_decoding_slow_are_named(tmp_path: Path) -> None:
    assert "HLG" in colour_warning(9, 18)
    assert "HDR10" in colour_warning(9, 16)
    assert "BT.2020" in colour_warning(9, 1)
    assert colour_warning(1, 1) == ""
    tags = probe(str(write_video(tmp_path / "v.mp4", 5)))
    assert tags is not None
    assert (tags.width_px, tags.height_px, tags.fps, tags.warning) == (64, 48, 10.0, "")
    assert probe(str(tmp_path / "absent.mp4")) is None


def test_passwords_of_cameras_do_not_reach_the_log() -> None:
    assert redact_url("rtsp://admin:p@ss/w@10.0.0.9:554/ch1?x=1") == "rtsp://10.0.0.9:554/ch1?x=1"
    assert redact_url("video.mp4") == "video.mp4"
