"""What a camera costs a box, part by part, on one core: ``python -m bench.edge VIDEO [--manifest FILE]``.

Prints one JSON line per part: mean and 95th percentile in ms of processor time, so that a busy machine does not
blur it. Decoding is OpenCV with one thread.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from detectors.vision.falling import FallingAnalyser
from detectors.vision.tracker import Tracker
from edge.capture import Frame, read_video
from edge.cutter import cut
from edge.manifest import load_model
from edge.onnx import OnnxDetector
from edge.redact import redacted
from edge.ring import FrameRing

PEOPLE = np.asarray([[100, 100, 160, 260], [300, 80, 360, 240]], np.float32)
T = TypeVar("T")
NOTHING = np.zeros((0, 4), np.float32)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("--manifest", type=Path, help="of the detector to measure")
    parser.add_argument("--frames", type=int, default=200)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    frames = measure_decoding(given.video, given.frames)
    falling = FallingAnalyser()
    measure("falling", lambda frame: falling.process(frame.image, frame.at_ms), frames)
    if given.manifest:
        detector, tracker = OnnxDetector(load_model(given.manifest), min_score=0.1), Tracker()
        measure("detect", lambda frame: detector.detect(frame.image), frames[:100])
        found = [(detector.detect(frame.image), frame.at_ms) for frame in frames[:100]]
        measure("track", lambda pair: tracker.update(*pair), found)
    ring = FrameRing()
    measure("redact two people", lambda frame: redacted(frame.image, (), PEOPLE, NOTHING), frames)
    measure("keep for evidence (15 a second)", lambda frame: ring.add(frame.image, frame.at_ms), frames)
    ends = [frames[-1].at_ms] * 3
    measure("cut evidence of a fall or e-bike", lambda end: cut(ring, end - 1_000, end), ends)
    measure("cut evidence of a passage or stay", lambda end: cut(ring, end - 1_000, end, light=True), ends)


def measure_decoding(video: Path, count: int) -> list[Frame]:
    """Decode ``count`` frames, printing what one costs."""
    source, frames, took = read_video(video), [], []
    for _ in itertools.repeat(None, count):
        began_s = time.process_time()
        frame = next(source, None)
        took.append((time.process_time() - began_s) * 1000)
        if frame is None:
            break
        frames.append(frame)
    say("decode", took[1:])
    return frames


def measure(part: str, work: Callable[[T], object], items: list[T]) -> None:
    """Do ``work`` on every item and print what one costs."""
    took = []
    for item in items:
        began_s = time.process_time()
        work(item)
        took.append((time.process_time() - began_s) * 1000)
    say(part, took)


def say(part: str, took_ms: list[float]) -> None:
    """One line."""
    figures = {"mean_ms": round(float(np.mean(took_ms)), 2), "p95_ms": round(float(np.percentile(took_ms, 95)), 2)}
    print(json.dumps({"part": part, "n": len(took_ms), **figures}))


if __name__ == "__main__":
    main()
