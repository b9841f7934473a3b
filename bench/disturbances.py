"""What a real camera adds to a picture: sensor noise, wind in trees and pole, light, repeated pictures, the codec."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator

import av
import cv2
import msgspec
import numpy as np
import numpy.typing as npt

Luma = npt.NDArray[np.uint8]


class Disturbance(msgspec.Struct, kw_only=True):
    """How one clip is disturbed. ``light``: steady, ramp, step, flicker or clouds. ``crf`` None: no codec."""

    noise_levels: float
    trees: list[tuple[int, int, int, int, float]]  # left, top, width, height (px), sway (px)
    jitter_px: float
    light: str
    source_fps: float  # pictures the sensor gives; the stream repeats them up to ``fps``
    fps: float
    crf: int | None


def random_disturbance(random: np.random.Generator, width: int, height: int) -> Disturbance:
    """Return an ordinary camera on an ordinary day: each trouble is there in a part of the clips."""
    fps = float(random.choice([15.0, 20.0, 25.0, 25.0, 25.0, 30.0, 30.0]))
    repeats = fps == 30.0 and random.random() < 0.4
    trees = [_tree(random, width, height) for _ in range(int(random.choice([0, 0, 1, 1, 2])))]
    return Disturbance(
        noise_levels=float(random.uniform(0.8, 4.0)),
        trees=trees,
        jitter_px=float(random.choice([0.0, 0.0, 0.0, 0.3, 0.8])),
        light=str(random.choice(["steady", "steady", "ramp", "step", "clouds", "flicker"])),
        source_fps=20.0 if repeats else fps,
        fps=fps,
        crf=int(random.integers(22, 33)) if random.random() < 0.8 else None,
    )


def _tree(random: np.random.Generator, width: int, height: int) -> tuple[int, int, int, int, float]:
    wide, high = int(random.uniform(0.12, 0.3) * width), int(random.uniform(0.2, 0.6) * height)
    left = 0 if random.random() < 0.5 else width - wide
    return left, int(random.integers(0, height - high)), wide, high, float(random.uniform(1.0, 5.0)) * width / 1280


class Disturber:
    """Applies one clip's disturbances, picture by picture."""

    def __init__(self, what: Disturbance, random: np.random.Generator, width: int, height: int) -> None:
        self._what, self._random = what, random
        self._noise = [self._noise_of(width, height) for _ in range(6)]
        self._leaves = [_foliage(random, w, h) for _, _, w, h, _ in what.trees]
        self._phase = random.uniform(0, 2 * math.pi, 6)
        self._shake = np.zeros(2)
        self._event_s = float(random.uniform(1.0, 5.0))

    def _noise_of(self, width: int, height: int) -> npt.NDArray[np.int16]:
        return np.round(self._random.normal(0, self._what.noise_levels, (height, width))).astype(np.int16)

    def sway(self, picture: Luma, t_s: float) -> None:
        """Draw the trees where the wind has them now, into ``picture``: they stand before the facade."""
        gust = 0.6 + 0.4 * math.sin(0.7 * t_s + self._phase[0])
        for (left, top, wide, high, reach), (leaves, cover) in zip(self._what.trees, self._leaves, strict=True):
            grid = np.mgrid[0:high, 0:wide].astype(np.float32)
            wave = gust * reach * np.sin(2.2 * t_s + self._phase[1] + grid[0] / 37 + grid[1] / 53)
            wave += 0.5 * gust * reach * np.sin(5.7 * t_s + self._phase[2] + grid[0] / 11 - grid[1] / 17)
            across, down = (grid[1] + wave).astype(np.float32), (grid[0] + 0.4 * wave).astype(np.float32)
            moved = cv2.remap(leaves, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
            alpha = cv2.remap(cover, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
            patch = picture[top : top + high, left : left + wide]
            patch[:] = (patch * (1 - alpha) + moved * alpha).astype(np.uint8)

    def expose(self, picture: Luma, t_s: float) -> Luma:
        """Return ``picture`` as the sensor gives it: shaken, lit and noisy."""
        shaken = self._shaken(picture)
        gain, offset = self._light(t_s)
        lit = cv2.convertScaleAbs(shaken, alpha=gain, beta=offset) if (gain, offset) != (1.0, 0.0) else shaken
        noise = self._noise[int(self._random.integers(len(self._noise)))]
        noise = np.roll(noise, int(self._random.integers(noise.shape[0])), axis=0)
        return np.asarray(cv2.add(lit, noise, dtype=cv2.CV_8U), np.uint8)

    def _shaken(self, picture: Luma) -> Luma:
        if self._what.jitter_px == 0:
            return picture
        self._shake = 0.7 * self._shake + self._random.normal(0, self._what.jitter_px * 0.7, 2)
        move = np.array([[1, 0, self._shake[0]], [0, 1, self._shake[1]]], np.float32)
        size = (picture.shape[1], picture.shape[0])
        return np.asarray(cv2.warpAffine(picture, move, size, borderMode=cv2.BORDER_REFLECT), np.uint8)

    def _light(self, t_s: float) -> tuple[float, float]:
        since = t_s - self._event_s
        match self._what.light:
            case "ramp":
                return 1.0 + 0.25 * float(np.clip(since, 0.0, 1.0)), 0.0
            case "step":
                return (0.8, 0.0) if since > 0 else (1.0, 0.0)
            case "clouds":
                return 1.0 + 0.12 * math.sin(1.1 * t_s + self._phase[3]), 0.0
            case "flicker":  # mains against shutter, or a failing lamp
                return 1.0, 4.0 * math.sin(23.0 * t_s + self._phase[4])
            case _:
                return 1.0, 0.0


def _foliage(
    random: np.random.Generator, width: int, height: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return grey and cover (0–1) of leaves (height, width)."""
    size = (width, height)
    coarse = random.normal(0, 1, (height // 3 + 1, width // 3 + 1)).astype(np.float32)
    grain = cv2.resize(cv2.GaussianBlur(coarse, (0, 0), 1.0), size, interpolation=cv2.INTER_LINEAR)
    grain = np.asarray(grain / (float(grain.std()) + 1e-6), np.float32)
    lumps = cv2.resize(random.normal(0, 1, (6, 6)).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    cover = np.clip((lumps + 0.6 * grain + 0.3) * 2.0, 0, 1).astype(np.float32)
    return np.clip(70 + 28 * grain, 10, 200).astype(np.float32), cover


def through_codec(pictures: list[Luma], fps: float, crf: int) -> Iterator[Luma]:
    """Yield the pictures after H.264 as a camera encodes it: no B frames, a key frame every two seconds."""
    buffer = io.BytesIO()
    options = {"preset": "ultrafast", "crf": str(crf), "tune": "zerolatency", "g": str(round(2 * fps))}
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=round(fps), options=options)
        stream.height, stream.width = pictures[0].shape
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="gray")
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer, "r") as decoder:
        for decoded in decoder.decode(video=0):
            yield np.ascontiguousarray(decoded.reformat(format="gray").to_ndarray())
