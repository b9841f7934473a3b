"""What a camera costs a box, part by part, on one core: ``python -m bench.edge VIDEO [--manifest FILE]``.

Prints one JSON line per part: mean and 95th percentile in ms of processor time, so that a busy machine does not
blur it. Decoding is OpenCV with one thread.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import cv2
import msgspec
import numpy as np

from detectors.vision.falling.falling_analyser import FallingAnalyser
from detectors.vision.tracking.tracker import Tracker
from edge.capture.capture import Frame, read_video
from edge.capture.ring import FrameRing
from edge.evidence.cutter import cut
from edge.evidence.redact import redacted
from edge.inference.manifest import load_model
from edge.inference.onnx import OnnxDetector

PEOPLE = np.asarray([[100, 100, 160, 260], [300, 80, 360, 240]], np.float32)
T = TypeVar("T")
NOTHING = np.zeros((0, 4), np.float32)


class Part(msgspec.Struct, frozen=True):
    """What one part costs: ms of processor time, over ``n`` calls."""

    part: str
    n: int
    mean_ms: float
    p95_ms: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("--manifest", type=Path, help="of the detector to measure")
    parser.add_argument("--frames", type=int, default=200)
    given = parser.parse_args()
    for part in parts(given.video, given.manifest, given.frames):
        print(msgspec.json.encode(part).decode(), flush=True)


def parts(video: Path, manifest: Path | None, count: int) -> Iterator[Part]:
    """Yield every part of a camera's work, over ``count`` frames of ``video``; the detector's with a manifest only."""
    cv2.setNumThreads(1)
    frames, took_ms = decoded(video, count)
    yield part_of("decode", took_ms[1:])
    falling = FallingAnalyser()
    yield measure("falling", lambda frame: falling.process(frame.image, frame.at_ms), frames)
    if manifest:
        detector, tracker = OnnxDetector(load_model(manifest), min_score=0.1), Tracker()
        yield measure("detect", lambda frame: detector.detect(frame.image), frames[:100])
        found = [(detector.detect(frame.image), frame.at_ms) for frame in frames[:100]]
        yield measure("track", lambda pair: tracker.update(*pair), found)
    ring = FrameRing()
    yield measure("redact two people", lambda frame: redacted(frame.image, (), PEOPLE, NOTHING), frames)
    yield measure("keep for evidence (15 a second)", lambda frame: ring.add(frame.image, frame.at_ms), frames)
    ends = [frames[-1].at_ms] * 3
    yield measure("cut evidence of a fall or e-bike", lambda end: cut(ring, end - 1_000, end), ends)
    yield measure("cut evidence of a passage or stay", lambda end: cut(ring, end - 1_000, end, light=True), ends)


def decoded(video: Path, count: int) -> tuple[list[Frame], list[float]]:
    """Return the first ``count`` frames, and what each cost to decode, ms."""
    source, frames, took_ms = read_video(video), [], []
    for _ in itertools.repeat(None, count):
        began_s = time.process_time()
        frame = next(source, None)
        if frame is None:
            break
        took_ms.append((time.process_time() - began_s) * 1000)
        frames.append(frame)
    return frames, took_ms


def measure(part: str, work: Callable[[T], object], items: list[T]) -> Part:
    """Return what ``work`` costs, done on every item."""
    took_ms = []
    for item in items:
        began_s = time.process_time()
        work(item)
        took_ms.append((time.process_time() - began_s) * 1000)
    return part_of(part, took_ms)


def part_of(part: str, took_ms: list[float]) -> Part:
    """Return the part's mean and 95th percentile."""
    return Part(part, len(took_ms), round(float(np.mean(took_ms)), 2), round(float(np.percentile(took_ms, 95)), 2))


if __name__ == "__main__":
    main()
