"""True falls for composites: things of every size and shape, let go or thrown, tumbling, slowed by air."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable

import msgspec
import numpy as np

from bench.actors import Actor, Point, polygon, rectangle
from bench.camera_model import STOREY_M, FacadeCamera

GRAVITY_MS2 = 9.81
_STEP_S = 0.004


class Fall(msgspec.Struct, kw_only=True):
    """A fall's actors (the thing, perhaps its mirror image) and what is true of it."""

    actors: list[Actor]
    begin_s: float  # first and last moment in sight
    end_s: float
    floor: float
    size_m: float
    size_px: float  # half-way
    contrast: float
    drop_in_sight_m: float
    terminal_ms: float


def free_fall(start: Point, velocity: Point, terminal_ms: float) -> Callable[[float], Point]:
    """Return position at a time after release, with drag ∝ speed² (``terminal_ms``: where it balances gravity)."""
    times, places = [0.0], [start]
    place, speed = np.array(start, float), np.array(velocity, float)
    while place[1] > 0.0 and times[-1] < 12.0:
        pull = np.array([0.0, -GRAVITY_MS2, 0.0]) - GRAVITY_MS2 / terminal_ms**2 * float(np.linalg.norm(speed)) * speed
        speed = speed + pull * _STEP_S
        place = place + speed * _STEP_S
        times.append(times[-1] + _STEP_S)
        places.append((float(place[0]), float(place[1]), float(place[2])))

    def at(t_s: float) -> Point:
        return places[min(max(bisect.bisect_right(times, t_s) - 1, 0), len(places) - 1)]

    at.duration_s = times[-1]  # type: ignore[attr-defined]
    return at


def random_fall(
    random: np.random.Generator, camera: FacadeCamera, begin_s: float, *, min_px: float = 3.0, min_drop_m: float = 6.5
) -> Fall | None:
    """Draw a fall of at least ``min_px`` half-way and ``min_drop_m`` in the picture; None: this camera sees none."""
    for _ in range(60):
        fall = _try_fall(random, camera, begin_s)
        if fall.size_px >= min_px and fall.drop_in_sight_m >= min_drop_m and fall.end_s - fall.begin_s >= 0.7:
            return fall
    return None


def _try_fall(random: np.random.Generator, camera: FacadeCamera, begin_s: float) -> Fall:
    top = min(camera.height_at_row(0.03 * camera.height), 90.0)
    height = float(random.uniform(min(7.0, 0.9 * top), max(top, 7.5)))
    size = float(np.exp(random.uniform(math.log(0.08), math.log(0.8))))
    terminal = float(random.uniform(14.0, 60.0))  # an empty bottle … a brick
    out = float(random.uniform(0.2, 1.2))
    depth = camera.distance_m - out
    x = float(random.uniform(-0.35, 0.35)) * camera.width / camera.focal_px * depth
    thrown = random.random() < 0.4
    velocity = (
        float(random.normal(0.0, 1.5)) if thrown else float(random.normal(0.0, 0.2)),
        float(random.uniform(-2.0, 2.5)) if thrown else 0.0,
        -float(random.uniform(0.0, 4.0)) if thrown else -0.2,
    )
    path = free_fall((x, height, depth), velocity, terminal)
    falls_s: float = path.duration_s  # type: ignore[attr-defined]
    actor = _thing(random, lambda t: path(t - begin_s), begin_s, begin_s + falls_s, size)
    actors = [actor]
    if random.random() < 0.3:
        actors.append(_mirror(actor, path, begin_s, camera.distance_m))
    return _described(actors, camera, height, terminal)


def _thing(
    random: np.random.Generator, path: Callable[[float], Point], begin_s: float, end_s: float, size_m: float
) -> Actor:
    ragged = random.random() < 0.5
    outline = polygon(random, int(random.integers(5, 9)), 0.5) if ragged else rectangle()
    grey = float(random.choice([random.uniform(5, 60), random.uniform(190, 250), random.uniform(60, 190)]))
    return Actor(
        path=path,
        begin_s=begin_s,
        end_s=end_s,
        outline=outline,
        width_m=size_m,
        height_m=size_m * float(random.uniform(0.35, 1.0)),
        grey=grey,
        spin_rad_s=float(random.normal(0.0, 7.0)),
    )


def _mirror(actor: Actor, path: Callable[[float], Point], begin_s: float, wall_m: float) -> Actor:
    """Return the actor's image in the glass: as far behind the wall as it is before it, fainter."""

    def behind(t_s: float) -> Point:
        x, up, z = path(t_s - begin_s)
        return x, up, 2 * wall_m - z

    return msgspec.structs.replace(actor, path=behind, opacity=0.45)


def _described(actors: list[Actor], camera: FacadeCamera, height_m: float, terminal_ms: float) -> Fall:
    actor = actors[0]
    times = np.arange(actor.begin_s, actor.end_s, 0.02)
    seen = []
    for t in times.tolist():
        placed = actor.place(camera, t)
        if placed and 0 <= placed[0] < camera.width and 0 <= placed[1] < camera.height:
            seen.append((t, placed, actor.path(t)[1]))
    if len(seen) < 2:
        return Fall(
            actors=actors,
            begin_s=0,
            end_s=0,
            floor=0,
            size_m=0,
            size_px=0,
            contrast=0,
            drop_in_sight_m=0,
            terminal_ms=0,
        )
    middle = seen[len(seen) // 2][1]
    return Fall(
        actors=actors,
        begin_s=seen[0][0],
        end_s=seen[-1][0],
        floor=height_m / STOREY_M + 1.0,
        size_m=actor.width_m,
        size_px=middle[2] * math.sqrt(actor.height_m / actor.width_m),
        contrast=0.0,
        drop_in_sight_m=seen[0][2] - seen[-1][2],
        terminal_ms=terminal_ms,
    )
