"""Measure an exported model on scenes it never saw: ``python -m training.evaluate``.

Runs the exported file with onnxruntime, as the edge box does, on seeds from ``labels.UNSEEN_SEED`` on.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime  # type: ignore[import-untyped]

from contracts.events import ObjectLabel
from simulator.scenes.catalogue import Scene, make_scene
from simulator.scenes.truth import Labelled
from training.dataset import CLEAR, compressed, fitted
from training.labels import HEIGHT, LABELS, STRIDES, UNSEEN_SEED, WIDTH

Floats = npt.NDArray[np.float32]

OVERLAP = 0.45
MATCH_IOU = 0.5
QUALITY = 70
LOOKS_PER_S = 5.0
SUSTAINED = 5
"""An e-bike seen in so many looks in a row (one second) where there is none counts as a false alarm."""
NEGATIVES = (ObjectLabel.WHEELCHAIR, ObjectLabel.PRAM, ObjectLabel.TOY_VEHICLE, ObjectLabel.BICYCLE, ObjectLabel.PERSON)


@dataclass
class Tally:
    """Counts of the objects found, missed and invented, per label."""

    found: Counter[ObjectLabel] = field(default_factory=Counter)
    missed: Counter[ObjectLabel] = field(default_factory=Counter)
    invented: Counter[ObjectLabel] = field(default_factory=Counter)
    looks: int = 0
    looks_with_e_bike: int = 0
    alarms: int = 0


@dataclass(frozen=True)
class Found:
    """A detection in px of the scene's frame."""

    label: ObjectLabel
    score: float
    box: tuple[float, float, float, float]


class Model:
    """An exported detector."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._cells, self._strides = _grid()

    def detect(self, frame: npt.NDArray[np.uint8], min_score: float) -> list[Found]:
        """Return objects scored at least ``min_score``, best first, duplicates removed per class."""
        image, scale = fitted(frame)
        tensor = np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32)
        raw = self._session.run(None, {"images": tensor})[0][0]
        labels = raw[:, 5:].argmax(axis=1)
        scores = raw[:, 4] * raw[np.arange(len(raw)), 5 + labels]
        keep = scores >= min_score
        centre = (raw[keep, :2] + self._cells[keep]) * self._strides[keep]
        half = np.exp(np.minimum(raw[keep, 2:4], 10)) * self._strides[keep] / 2
        boxes = np.concatenate([centre - half, centre + half], axis=1) / scale
        limits = np.array([frame.shape[1], frame.shape[0]] * 2)
        return _suppressed(np.clip(boxes, 0, limits), scores[keep], labels[keep])


def measure(model: Model, scene: Scene, min_score: float, tally: Tally) -> None:
    """Add a scene, looked at LOOKS_PER_S times a second."""
    row = 0
    for t_ms in range(0, scene.duration_ms, round(1000 / LOOKS_PER_S)):
        found = model.detect(compressed(scene.render(t_ms), QUALITY), min_score)
        truth = [box for box in scene.truth(t_ms) if box.label in LABELS]
        _compare(found, truth, tally)
        tally.looks += 1
        there = any(box.label == ObjectLabel.E_BIKE for box in truth)
        claimed = any(f.label == ObjectLabel.E_BIKE for f in found)
        row = row + 1 if claimed and not there else 0
        tally.looks_with_e_bike += claimed and not there
        tally.alarms += row == SUSTAINED


def main() -> None:
    """Print recall, precision and e-bike false alarms, as a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("edge/models/demo_scenes.onnx"))
    parser.add_argument("--score", type=float, default=0.4)
    parser.add_argument("--scenes", type=int, default=12, help="scenes of each kind")
    parser.add_argument("--first-seed", type=int, default=UNSEEN_SEED)
    parser.add_argument("--seconds", type=float, default=40.0)
    options = parser.parse_args()
    if options.first_seed < UNSEEN_SEED:
        parser.error(f"seeds below {UNSEEN_SEED} are for training")
    model = Model(options.model)
    print("| scenes | label | objects | recall | precision |\n|---|---|---|---|---|")
    for name in ("lift", "lobby", "gate"):
        tally = Tally()
        for seed in range(options.first_seed, options.first_seed + options.scenes):
            measure(model, make_scene(name, seed, options.seconds), options.score, tally)
        _print(name, tally)
    print(
        "\n| scenes without e-bike | minutes | looks claiming an e-bike | sustained false alarms |\n|---|---|---|---|"
    )
    for name, cast in (("lift", NEGATIVES), ("lobby", NEGATIVES), ("facade", ()), ("gate", ())):
        tally = Tally()
        for seed in range(options.first_seed + 1000, options.first_seed + 1000 + options.scenes):
            measure(model, make_scene(name, seed, options.seconds, cast), options.score, tally)
        minutes = tally.looks / LOOKS_PER_S / 60
        share = 100 * tally.looks_with_e_bike / tally.looks
        print(
            f"| {name} | {minutes:.1f} | {tally.looks_with_e_bike} of {tally.looks} ({share:.1f}%) | {tally.alarms} |"
        )


def _print(name: str, tally: Tally) -> None:
    for label in LABELS:
        objects = tally.found[label] + tally.missed[label]
        if objects:
            claimed = tally.found[label] + tally.invented[label]
            recall, precision = tally.found[label] / objects, tally.found[label] / max(1, claimed)
            print(f"| {name} | {label} | {objects} | {recall:.3f} | {precision:.3f} |", flush=True)


def _compare(found: list[Found], truth: list[Labelled], tally: Tally) -> None:
    """Best first, each detection takes the best free object of its label; hidden objects count neither way."""
    free = list(truth)
    for one in found:
        same = [box for box in free if box.label == one.label and _iou(box.box_xyxy, one.box) >= MATCH_IOU]
        if same:
            best = max(same, key=lambda box: _iou(box.box_xyxy, one.box))
            free.remove(best)
            tally.found[one.label] += best.visible >= CLEAR
        else:
            tally.invented[one.label] += 1
    for box in free:
        tally.missed[box.label] += box.visible >= CLEAR


def _iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    inner = width * height
    return inner / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inner)


def _suppressed(boxes: Floats, scores: Floats, labels: npt.NDArray[np.int64]) -> list[Found]:
    kept: list[Found] = []
    for index in np.argsort(-scores):
        x0, y0, x1, y1 = (float(side) for side in boxes[index])
        one = Found(LABELS[int(labels[index])], float(scores[index]), (x0, y0, x1, y1))
        if all(k.label != one.label or _iou(k.box, one.box) <= OVERLAP for k in kept):
            kept.append(one)
    return kept


def _grid() -> tuple[Floats, Floats]:
    cells, strides = [], []
    for stride in STRIDES:
        y, x = np.mgrid[0 : HEIGHT // stride, 0 : WIDTH // stride]
        cells.append(np.stack([x.ravel(), y.ravel()], axis=1))
        strides.append(np.full((x.size, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)


if __name__ == "__main__":
    main()
