"""What is said of cameras that are well, ten minutes each: ``python -m tests.detectors.vision.health.false_alarms``.

Prints a line for each: the share of looks at which a reason was said. Real clips are read where they are present
(LINLI_SHARED); what is shorter than ten minutes is shown again and again.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import cycle, islice
from pathlib import Path

import cv2
import numpy as np

from detectors.vision.detection.detections import Image
from detectors.vision.health.picture_health import PictureHealth
from detectors.vision.health.picture_traits import PictureTraits, traits_of
from edge.capture.capture import read_video
from simulator.scenes.catalogue import SCENES, make_scene
from tests.detectors.vision.health.quiet_scenes import LOOK_MS, QUIET
from tests.support.shared import shared_dir

LOOKS = 600_000 // LOOK_MS
SEEDS = (1, 5, 6)
VIDEOS = (".mp4", ".avi", ".gif")
STILLS = ("one-by-one-person-detection",)


def main() -> None:
    """Look at all, or at those whose name has one of the words given, and print."""
    cv2.setNumThreads(1)
    for name, pictures in views():
        if not sys.argv[1:] or any(word in name for word in sys.argv[1:]):
            sys.stdout.write(f"{name:62s} {said_of(pictures)}\n")
            sys.stdout.flush()


def views() -> Iterator[tuple[str, Iterable[Image]]]:
    """Yield each camera with its pictures, two a second."""
    folder = shared_dir()
    clips = sorted(path for path in (folder / "clips").rglob("*") if path.suffix in VIDEOS) if folder else []
    for clip in clips:
        yield f"clip {clip.parent.name}/{clip.name}", looks_of(clip)
    for name in SCENES:
        for seed in SEEDS:
            yield f"scene {name}, seed {seed}", rendered(name, seed)
    bases = {"rendered lobby": first(rendered("lobby", 7))}
    bases |= {f"of {clip.stem}": first(looks_of(clip)) for clip in clips if clip.stem in STILLS}
    for base, picture in bases.items():
        for name, seen in QUIET.items():
            yield f"{name} ({base})", seen(picture, LOOKS)


def looks_of(clip: Path) -> Iterator[Image]:
    """Yield a clip's pictures, one each ``LOOK_MS``."""
    due_ms = None
    for frame in read_video(clip):
        if due_ms is None or frame.at_ms >= due_ms:
            due_ms = frame.at_ms + LOOK_MS
            yield frame.image


def rendered(name: str, seed: int) -> Iterator[Image]:
    """Yield a minute of a scene of the demo."""
    scene = make_scene(name, seed, 60)
    return (scene.render(at_ms) for at_ms in range(0, 60_000, LOOK_MS))


def first(pictures: Iterable[Image]) -> Image:
    """Return the first picture, at the size of a look."""
    return np.asarray(cv2.resize(next(iter(pictures)), (640, 360), interpolation=cv2.INTER_AREA), np.uint8)


def said_of(pictures: Iterable[Image]) -> str:
    """Return what was said, with its share of the looks."""
    health, said = PictureHealth(), Counter[str]()
    traits: list[PictureTraits] = [traits_of(picture) for picture in islice(pictures, LOOKS)]
    for n, seen in enumerate(islice(cycle(traits), LOOKS)):
        said.update(health.judge(seen, n * LOOK_MS))
    shares = ", ".join(f"{reason} {count / LOOKS:.3f}" for reason, count in said.items())
    return f"{len(traits):4d} pictures: {shares or 'nothing'}"


if __name__ == "__main__":
    main()
