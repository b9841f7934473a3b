"""Frames per second of decoding and watching for falls, on one core: ``python -m bench.falling_speed``.

The clips are H.264 with a facade, a swaying tree, sensor noise and a fall; real ones are added when they are there. CPU
time is what counts on a box with a core per camera; wall time is beside it, since other work may share this machine.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import av
import cv2
import msgspec
import numpy as np

from bench.backdrops import Backdrop, drawn_facade
from bench.camera_model import FacadeCamera
from bench.composites import Composite
from bench.disturbances import Disturbance
from bench.falling import shared_folder
from bench.falls import random_fall
from detectors.vision.falling.falling_analyser import FallingAnalyser

FPS = 30.0


class Speed(msgspec.Struct, frozen=True):
    """What one clip cost: frames, CPU and wall seconds of decoding and watching, and of watching alone (CPU)."""

    frames: int
    cpu_s: float
    wall_s: float
    watching_s: float

    def row(self, name: str) -> str:
        """Return a Markdown row."""
        return (
            f"| {name} | {self.frames / self.cpu_s:.0f} | {self.frames / self.wall_s:.0f} "
            f"| {1000 * self.cpu_s / self.frames:.1f} | {1000 * self.watching_s / self.frames:.1f} |"
        )


def render(path: Path, width: int, height: int, seconds: float) -> None:
    """Write the standard clip of this size."""
    random = np.random.default_rng(5)
    camera = FacadeCamera(width=width, height=height, focal_px=0.75 * width, pitch_rad=0.45, eye_m=2.5, distance_m=18.0)
    fall = random_fall(random, camera, 3.0)
    tree = (0, height // 3, width // 6, height // 2, 3.0 * width / 1280)
    what = Disturbance(noise_levels=2.0, trees=[tree], jitter_px=0.0, light="steady", source_fps=FPS, fps=FPS, crf=None)
    clip = Composite(
        seed=5, camera=camera, backdrop=Backdrop("drawn", [drawn_facade(random, camera)]), disturbance=what,
        actors=fall.actors if fall else [], falls=[fall] if fall else [], nuisances=[], length_s=seconds,
    )  # fmt: skip
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=round(FPS), options={"preset": "veryfast", "crf": "25"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture, _ in clip.frames():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="gray").reformat(format="yuv420p")))
        container.mux(stream.encode(None))


def measure(path: Path) -> Speed:
    """Decode ``path`` with one thread and watch every frame."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    analyser, frames, watching = FallingAnalyser(), 0, 0.0
    cpu, wall = time.process_time(), time.perf_counter()
    while True:
        ok, frame = capture.read()
        if not ok:
            break
        began = time.process_time()
        analyser.process(np.asarray(frame, np.uint8), round(frames * 1000 / FPS))
        watching += time.process_time() - began
        frames += 1
    return Speed(frames, time.process_time() - cpu, time.perf_counter() - wall, watching)


def main() -> None:
    """Run from the command line; a Markdown table on stdout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    print("| clip | frames/s of CPU | of wall | ms a frame | of it watching |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for width, height in ((1280, 720), (1920, 1080)):
            path = Path(folder) / f"{height}.mp4"
            render(path, width, height, options.seconds)
            print(measure(path).row(f"drawn {width}×{height}"), flush=True)
    shared = shared_folder()
    for real in sorted((shared / "clips" / "falling").glob("*.mp4")) if shared else []:
        print(measure(real).row(f"real {real.stem} 1280×720"), flush=True)


if __name__ == "__main__":
    main()
