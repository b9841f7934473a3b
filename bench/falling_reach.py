"""How small and how faint a falling thing may be: ``python -m bench.falling_reach``.

Falls of 20 m past a drawn facade, of every size and contrast, with ordinary sensor noise and codec; and what these
sizes mean for a lens, a distance and a height.
"""

from __future__ import annotations

import argparse
import math

import cv2
import numpy as np

from bench.actors import Actor, polygon
from bench.backdrops import Backdrop, drawn_facade
from bench.camera_model import FacadeCamera
from bench.composites import Composite
from bench.disturbances import Disturbance
from bench.falling import MODES, analyse, matches
from bench.falls import Fall, free_fall

SIZES_PX = (1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
CONTRASTS = (15, 30, 60)
CAMERA = FacadeCamera(width=640, height=360, focal_px=520.0, pitch_rad=0.42, eye_m=2.0, distance_m=24.0)
ORDINARY = Disturbance(noise_levels=2.0, trees=[], jitter_px=0.0, light="steady", source_fps=25.0, fps=25.0, crf=26)


def fall_of(seed: int, size_px: float, contrast: int) -> Composite:
    """Return a fall of ``size_px`` (side, half-way) whose grey is off its background's mean by ``contrast`` levels."""
    random = np.random.default_rng([seed, round(size_px * 10), contrast])
    backdrop = drawn_facade(random, CAMERA)
    x, height = float(random.uniform(-5, 5)), float(random.uniform(18, 21))
    path = free_fall((x, height, CAMERA.distance_m - 0.6), (0.0, 0.0, -0.2), terminal_ms=40.0)
    column = int(CAMERA.project((x, 0.5 * height, CAMERA.distance_m))[0])
    behind = float(np.median(backdrop[:, max(column - 6, 0) : column + 6]))
    _, _, depth = CAMERA.project(path(0.7 * math.sqrt(2 * height / 9.81)))
    size_m = size_px * depth / CAMERA.focal_px
    falls_s = math.sqrt(2 * height / 9.81)
    actor = Actor(
        path=lambda t: path(t - 2.0),
        begin_s=2.0,
        end_s=2.0 + falls_s,
        outline=polygon(random, 7, 0.2),
        width_m=size_m,
        height_m=size_m,
        grey=behind + contrast if behind < 150 else behind - contrast,
        spin_rad_s=4.0,
    )
    fall = Fall(
        actors=[actor], begin_s=actor.begin_s, end_s=actor.end_s, floor=height / 3 + 1, size_m=size_m, size_px=size_px,
        contrast=contrast, drop_in_sight_m=height, terminal_ms=40.0,
    )  # fmt: skip
    return Composite(
        seed=seed, camera=CAMERA, backdrop=Backdrop("drawn", [backdrop]), disturbance=ORDINARY, actors=[actor],
        falls=[fall], nuisances=[], length_s=actor.end_s + 1.0,
    )  # fmt: skip


def found_of(size_px: float, contrast: int, seed: int, clips: int) -> dict[str, int]:
    """Return in how many of ``clips`` clips the fall was found, per mode."""
    found = dict.fromkeys(MODES, 0)
    for k in range(clips):
        clip = fall_of(seed + k, size_px, contrast)
        for mode, reports in analyse(clip).items():
            found[mode] += any(matches(fall, clip) and not fall.suspected for fall, _ in reports)
    return found


def reach_table(size_m: float, focal_px: float) -> list[str]:
    """Return rows: how many px ``size_m`` is at heights on the wall, for distances; the camera is on the ground."""
    heights = (15, 30, 60, 90)
    rows = ["| distance | " + " | ".join(f"{h} m up" for h in heights) + " |", "|---|" + "---|" * len(heights)]
    for distance in (10, 20, 30, 50):
        sizes = [size_m * focal_px / math.hypot(distance, h) for h in heights]
        rows.append(f"| {distance} m | " + " | ".join(f"{s:.1f} px" for s in sizes) + " |")
    return rows


def main() -> None:
    """Run from the command line; Markdown tables on stdout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=6, help="clips per cell")
    parser.add_argument("--seed", type=int, default=9000)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    print(f"found of {options.clips}, uncalibrated / calibrated\n")
    print("| side | " + " | ".join(f"contrast {c} levels" for c in CONTRASTS) + " |\n|---|" + "---|" * len(CONTRASTS))
    for size in SIZES_PX:
        cells = [found_of(size, contrast, options.seed, options.clips) for contrast in CONTRASTS]
        print(
            f"| {size:g} px | " + " | ".join(" / ".join(str(n) for n in cell.values()) for cell in cells) + " |",
            flush=True,
        )
    print("\n10 cm at 1080p with a 4 mm lens on a 1/2.8 inch sensor (1,390 px focal length):\n")
    print("\n".join(reach_table(0.10, 1_390.0)))


if __name__ == "__main__":
    main()
