"""Recall and false alarms of the falling-object analyser on composites, and its speed and reach on one core.

    python -m bench.falling --falls 60 --nuisances 204 --seed 10000
    python -m bench.falling_speed
    python -m bench.falling_reach --seed 9000

Every clip is judged twice: by a camera without calibration and by one with three clicked storey edges (1.5 px off).
Thresholds were tuned on seeds below 10000; report on others.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import cv2
import msgspec
import numpy as np

from bench.composites import SIZES, Composite, fall_clip, nuisance_clip
from bench.nuisances import NUISANCES
from detectors.vision.falling.falling_analyser import FallingAnalyser, FallingObject
from detectors.vision.geometry.facade import FacadeGeometry

CLICK_ERROR_PX = 1.5
NEAR_PART = 0.1
Sizes = tuple[tuple[int, int], ...]
MODES = ("uncalibrated", "calibrated")


class Tally(msgspec.Struct):
    """What one mode made of all clips."""

    falls: int = 0
    found: int = 0
    suspected: int = 0
    twice: int = 0
    false_alarms: Counter[str] = msgspec.field(default_factory=Counter)
    false_suspicions: Counter[str] = msgspec.field(default_factory=Counter)
    missed: list[str] = msgspec.field(default_factory=list)
    floor_errors: list[float] = msgspec.field(default_factory=list)
    gravities: list[float] = msgspec.field(default_factory=list)
    delays_ms: list[float] = msgspec.field(default_factory=list)


def shared_folder() -> Path | None:
    """Return the folder with the real clips, or None: then all facades are drawn."""
    folder = Path(os.environ.get("LINLI_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    return folder if (folder / "clips" / "facade_stills").is_dir() else None


def analyse(clip: Composite, modes: tuple[str, ...] = MODES) -> dict[str, list[tuple[FallingObject, int]]]:
    """Return per mode: what was found, each with the stream time at which it was said."""
    random = np.random.default_rng([clip.seed, 9])
    geometries = {"uncalibrated": FacadeGeometry(), "calibrated": clip.camera.geometry(random, CLICK_ERROR_PX)}
    analysers = {mode: FallingAnalyser(geometries[mode]) for mode in modes}
    found: dict[str, list[tuple[FallingObject, int]]] = {mode: [] for mode in modes}
    at_ms = 0
    for picture, at_ms in clip.frames():
        for mode, analyser in analysers.items():
            found[mode] += [(fall, at_ms) for fall in analyser.process(picture, at_ms)]
    for mode, analyser in analysers.items():
        found[mode] += [(fall, at_ms) for fall in analyser.flush()]
    return found


def matches(fall: FallingObject, clip: Composite) -> bool:
    """Return whether a report is of the clip's true fall: at the same time, near the thing or its mirror image."""
    for truth in clip.falls:
        middle = fall.path[len(fall.path) // 2]
        for actor in truth.actors:
            placed = actor.place(clip.camera, middle.at_ms / 1000.0)
            if placed and math.hypot(placed[0] - middle.x, placed[1] - middle.y) < NEAR_PART * clip.camera.width:
                return True
    return False


def score(clip: Composite, reports: list[tuple[FallingObject, int]], tally: Tally) -> None:
    """Add one clip's reports to a mode's tally."""
    right = [(f, t) for f, t in reports if clip.falls and matches(f, clip)]
    for fall, _ in reports:
        if not any(fall is f for f, _ in right):
            blamed = _blame(fall, clip)
            (tally.false_suspicions if fall.suspected else tally.false_alarms)[blamed] += 1
    if not clip.falls:
        return
    tally.falls += 1
    certain = [(f, t) for f, t in right if not f.suspected]
    tally.twice += max(len(right) - 1, 0)
    truth = clip.falls[0]
    if not certain:
        tally.suspected += bool(right)
        tally.missed.append(_describe(clip))
        return
    tally.found += 1
    best, said_ms = certain[0]
    tally.delays_ms.append(said_ms - truth.end_s * 1000.0)
    if best.floor is not None and best.gravity_ms2 is not None:
        tally.floor_errors.append(best.floor - truth.floor)
        tally.gravities.append(best.gravity_ms2)


def _blame(fall: FallingObject, clip: Composite) -> str:
    middle_s = fall.path[len(fall.path) // 2].at_ms / 1000.0
    kinds = [kind for kind, from_s, to_s in clip.nuisances if from_s <= middle_s <= to_s + 0.3]
    return kinds[0] if kinds else "background"


def _describe(clip: Composite) -> str:
    fall, what = clip.falls[0], clip.disturbance
    return (
        f"seed {clip.seed}: {clip.camera.width}x{clip.camera.height} {what.fps:.0f} fps, {clip.backdrop.name}, "
        f"{fall.size_px:.1f} px, {fall.drop_in_sight_m:.1f} m in {fall.end_s - fall.begin_s:.1f} s, "
        f"noise {what.noise_levels:.1f}, jitter {what.jitter_px}, {what.light}, crf {what.crf}, "
        f"trees {len(what.trees)}, beside {[kind for kind, _, _ in clip.nuisances]}"
    )


def run(
    falls: int, nuisances: int, seed: int, shared: Path | None, sizes: Sizes = SIZES
) -> tuple[dict[str, Tally], Counter[str]]:
    """Return tallies per mode over ``falls`` clips with a fall and ``nuisances`` occurrences, two to a clip."""
    tallies = {mode: Tally() for mode in MODES}
    shown: Counter[str] = Counter()
    kinds = sorted(NUISANCES)
    pairs = [(kinds[k % len(kinds)], kinds[(k + 1) % len(kinds)]) for k in range(0, nuisances, 2)]
    shown.update(kind for pair in pairs for kind in pair)
    began = time.monotonic()
    for done in range(falls + len(pairs)):
        if done < falls:
            clip = fall_clip(seed + done, shared, sizes)
        else:
            clip = nuisance_clip(seed + done, pairs[done - falls], shared, sizes)
        for mode, reports in analyse(clip).items():
            score(clip, reports, tallies[mode])
            for fall, _ in reports:
                if not (clip.falls and matches(fall, clip)):
                    note = f"{mode} {'suspects' if fall.suspected else 'alarms'} on {_blame(fall, clip)}"
                    print(f"  seed {clip.seed}: {note}: {_brief(fall)}", file=sys.stderr)
        if done % 20 == 19:
            print(f"{done + 1}/{falls + len(pairs)} clips, {time.monotonic() - began:.0f} s", file=sys.stderr)
    return tallies, shown


def _brief(fall: FallingObject) -> str:
    first, last = fall.path[0], fall.path[-1]
    return (
        f"{first.at_ms / 1000:.2f}-{last.at_ms / 1000:.2f} s, ({first.x:.0f}, {first.y:.0f}) to ({last.x:.0f}, "
        f"{last.y:.0f}), {len(fall.path)} sightings, drop {fall.drop_m} ± {fall.drop_error_m} m, g {fall.gravity_ms2}, "
        f"error {fall.fit_error_px} px, size {fall.size_px} px"
    )


def report(tallies: dict[str, Tally], shown: Counter[str]) -> str:
    """Return the result as Markdown."""
    lines = ["| | " + " | ".join(tallies) + " |", "|---|" + "---|" * len(tallies)]
    rows: dict[str, list[str]] = defaultdict(list)
    for tally in tallies.values():
        rows["falls found"].append(f"{tally.found} of {tally.falls}")
        rows["falls only suspected"].append(str(tally.suspected))
        rows["falls reported twice"].append(str(tally.twice))
        rows[f"false alarms ({sum(shown.values())} nuisances)"].append(str(sum(tally.false_alarms.values())))
        rows["false suspicions"].append(str(sum(tally.false_suspicions.values())))
        rows["said after the fall's end, median (max) ms"].append(
            f"{np.median(tally.delays_ms):.0f} ({max(tally.delays_ms):.0f})" if tally.delays_ms else "–"
        )
        if tally.floor_errors:
            error = np.abs(tally.floor_errors)
            rows["floor of origin off by, median (90%) storeys"].append(
                f"{np.median(error):.2f} ({np.quantile(error, 0.9):.2f})"
            )
            rows["g measured, median (5–95%) m/s²"].append(
                f"{np.median(tally.gravities):.1f} "
                f"({np.quantile(tally.gravities, 0.05):.1f}–{np.quantile(tally.gravities, 0.95):.1f})"
            )
        else:
            rows["floor of origin off by, median (90%) storeys"].append("–")
            rows["g measured, median (5–95%) m/s²"].append("–")
    lines += [f"| {name} | " + " | ".join(values) + " |" for name, values in rows.items()]
    lines += [
        "",
        "| nuisance | shown | " + " | ".join(f"alarms {m}" for m in tallies) + " |",
        "|---|---|" + "---|" * len(tallies),
    ]
    for kind in [*sorted(shown), "background"]:
        counts = [
            f"{t.false_alarms[kind]}"
            + (f" (+{t.false_suspicions[kind]} suspected)" if t.false_suspicions[kind] else "")
            for t in tallies.values()
        ]
        lines.append(f"| {kind} | {shown[kind] or ''} | " + " | ".join(counts) + " |")
    for mode, tally in tallies.items():
        lines += ["", f"missed, {mode}:"] + [f"- {text}" for text in tally.missed]
    return "\n".join(lines)


def main() -> None:
    """Run from the command line; figures on stdout, progress on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--falls", type=int, default=60)
    parser.add_argument("--nuisances", type=int, default=204)
    parser.add_argument("--seed", type=int, default=10_000)
    parser.add_argument("--drawn", action="store_true", help="drawn facades only, as without the shared clips")
    parser.add_argument("--small", action="store_true", help="640 x 360 only: quicker, for tuning")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    shared = None if options.drawn else shared_folder()
    tallies, shown = run(
        options.falls, options.nuisances, options.seed, shared, ((640, 360),) if options.small else SIZES
    )
    print(f"seed {options.seed}, {'drawn facades' if shared is None else 'real and drawn facades'}\n")
    print(report(tallies, shown))


if __name__ == "__main__":
    main()
