"""Frames of rendered scenes with their boxes, cached, and varied anew each time they are drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from random import Random

import cv2
import numpy as np
import numpy.typing as npt

from contracts.events import ObjectLabel
from simulator.scenes.catalogue import Scene, make_scene
from simulator.scenes.parties import NEGATIVES
from training.labels import HEIGHT, LABELS, PAD, WIDTH

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

CLEAR = 0.3
"""An object seen less than this share is neither learned nor held against the model."""
SECONDS = 30.0


@dataclass(frozen=True)
class Sample:
    """A picture of WIDTH × HEIGHT and its rows (class, x0, y0, x1, y1, visible) in its px."""

    image: Image
    rows: Floats


def fitted(frame: Image) -> tuple[Image, float]:
    """Return the frame fitted into the upper left corner of the input, filled with PAD, and its scale."""
    scale = min(WIDTH / frame.shape[1], HEIGHT / frame.shape[0])
    small = cv2.resize(frame, (int(frame.shape[1] * scale), int(frame.shape[0] * scale)))
    out = np.full((HEIGHT, WIDTH, 3), PAD, np.uint8)
    out[: small.shape[0], : small.shape[1]] = small
    return out, scale


def scene_for(seed: int) -> Scene:
    """Return the scene that a seed stands for: lifts and lobbies, some gates, a few facades with nothing in them."""
    rng = Random(f"training {seed}")
    share = rng.random()
    if share < 0.05:
        return make_scene("facade", seed, SECONDS)
    if share < 0.22:
        return make_scene("gate", seed, SECONDS)
    cast: tuple[ObjectLabel, ...] = ()
    if rng.random() < 0.4:
        cast = tuple(rng.sample(NEGATIVES, 2))
    return make_scene("lobby" if share < 0.62 else "lift", seed, SECONDS, cast)


def samples_of(scene: Scene, count: int) -> list[Sample]:
    """Return ``count`` frames of a scene at random times, most of them with something in them."""
    rng = Random(f"frames {scene.name} {scene.seed}")
    samples = []
    for _ in range(count):
        t_ms = rng.randrange(scene.duration_ms)
        if scene.episodes and rng.random() < 0.85:
            episode = rng.choice(scene.episodes)
            t_ms = rng.randrange(episode.from_ms, max(episode.from_ms + 1, episode.to_ms))
        frame = compressed(scene.render(t_ms), rng.randrange(35, 92))
        image, scale = fitted(frame)
        rows = [
            (LABELS.index(box.label), *(scale * side for side in box.box_xyxy), box.visible)
            for box in scene.truth(t_ms)
            if box.label in LABELS
        ]
        samples.append(Sample(image, np.asarray(rows, np.float32).reshape(-1, 6)))
    return samples


def build(path: Path, seeds: range, frames_each: int) -> None:
    """Render samples into one file."""
    images: list[Image] = []
    rows: list[Floats] = []
    owners: list[npt.NDArray[np.int64]] = []
    for number, seed in enumerate(seeds):
        for sample in samples_of(scene_for(seed), frames_each):
            owners.append(np.full(len(sample.rows), len(images), np.int64))
            images.append(sample.image)
            rows.append(sample.rows)
        if number % 100 == 0:
            print(f"rendered {number}/{len(seeds)} scenes", flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, images=np.stack(images), rows=np.concatenate(rows), owners=np.concatenate(owners))


def load(path: Path) -> list[Sample]:
    """Return the samples of a file made by ``build``."""
    with np.load(path) as data:
        images, rows, owners = data["images"], data["rows"], data["owners"]
    return [Sample(images[i], rows[owners == i]) for i in range(len(images))]


def varied(sample: Sample, rng: Random) -> Sample:
    """Return the sample mirrored, moved, scaled, lit and blurred at random."""
    image, rows = _moved(sample.image, sample.rows.copy(), rng)
    if rng.random() < 0.5:
        image = np.ascontiguousarray(image[:, ::-1])
        rows[:, [1, 3]] = WIDTH - rows[:, [3, 1]]
    return Sample(_lit(image, rng), rows)


def _moved(image: Image, rows: Floats, rng: Random) -> tuple[Image, Floats]:
    if rng.random() < 0.3:
        return image, rows
    scale = math.exp(rng.uniform(-0.45, 0.4))
    tx = rng.uniform(-0.15, 0.15) * WIDTH + WIDTH * (1 - scale) / 2
    ty = rng.uniform(-0.15, 0.15) * HEIGHT + HEIGHT * (1 - scale) / 2
    matrix = np.array([[scale, 0, tx], [0, scale, ty]], np.float32)
    moved = cv2.warpAffine(image, matrix, (WIDTH, HEIGHT), borderValue=(PAD, PAD, PAD)).astype(np.uint8, copy=False)
    area = (rows[:, 3] - rows[:, 1]) * (rows[:, 4] - rows[:, 2]) * scale * scale
    rows[:, [1, 3]] = np.clip(rows[:, [1, 3]] * scale + tx, 0, WIDTH)
    rows[:, [2, 4]] = np.clip(rows[:, [2, 4]] * scale + ty, 0, HEIGHT)
    left = (rows[:, 3] - rows[:, 1]) * (rows[:, 4] - rows[:, 2])
    rows[:, 5] *= left / np.maximum(area, 1e-6)
    return moved, rows[(left > 12) & (rows[:, 5] > 0.05)]


def _lit(image: Image, rng: Random) -> Image:
    gain = [rng.uniform(0.65, 1.35) * rng.uniform(0.9, 1.1) for _ in range(3)] if rng.random() < 0.8 else [1.0] * 3
    out: Floats = (image.astype(np.float32) * np.array(gain, np.float32) + rng.uniform(-20, 20)).astype(np.float32)
    if rng.random() < 0.15:
        out = np.repeat(out.mean(axis=2, keepdims=True), 3, axis=2)
    if rng.random() < 0.1:
        out = out[:, :, [2, 1, 0]]
    if rng.random() < 0.3:
        out = cv2.GaussianBlur(out, (3, 3), rng.uniform(0.3, 1.2)).astype(np.float32, copy=False)
    if rng.random() < 0.4:
        noise = np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(2, 8), (HEIGHT, WIDTH, 1))
        out = out + noise.astype(np.float32)
    lit: Image = np.clip(out, 0, 255).astype(np.uint8)
    return lit


def compressed(frame: Image, quality: int) -> Image:
    """Return the frame as JPEG of that quality leaves it, for what a video's compression does to it."""
    _, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
