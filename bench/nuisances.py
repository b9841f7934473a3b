"""What moves before a facade and is no fall. Each kind gives the actors of one occurrence, in world metres."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from bench.actors import Actor, Point, polygon, rectangle
from bench.camera_model import STOREY_M, FacadeCamera

Make = Callable[[np.random.Generator, FacadeCamera, float, float], list[Actor]]


def _straight(start: Point, velocity: Point, begin_s: float) -> Callable[[float], Point]:
    def at(t_s: float) -> Point:
        t = t_s - begin_s
        return start[0] + velocity[0] * t, start[1] + velocity[1] * t, start[2] + velocity[2] * t

    return at


def _somewhere(random: np.random.Generator, camera: FacadeCamera, depth_m: float, rows: tuple[float, float]) -> Point:
    column = float(random.uniform(0.1, 0.9)) * camera.width
    return camera.world_at(column, float(random.uniform(*rows)) * camera.height, depth_m)


def _grey(random: np.random.Generator) -> float:
    return float(random.choice([random.uniform(10, 70), random.uniform(180, 245)]))


def _bird_actor(
    random: np.random.Generator, path: Callable[[float], Point], begin_s: float, end_s: float
) -> list[Actor]:
    beat, span = float(random.uniform(4, 11)), float(random.uniform(0.25, 0.7))

    def wings(t_s: float) -> float:
        return 0.35 + 0.65 * abs(math.sin(beat * math.pi * t_s))

    return [
        Actor(
            path=path, begin_s=begin_s, end_s=end_s, outline=polygon(random, 6, 0.4), width_m=span,
            height_m=0.6 * span, grey=_grey(random), stretch=wings,
        )
    ]  # fmt: skip


def bird_straight(random: np.random.Generator, camera: FacadeCamera, begin_s: float, lasts_s: float) -> list[Actor]:
    """Draw a bird across the picture at 7–15 m/s, climbing or sinking up to 60°."""
    speed, slope = random.uniform(7, 15), math.radians(random.uniform(-60, 30))
    heading = random.choice([-1.0, 1.0])
    velocity = (heading * speed * math.cos(slope), speed * math.sin(slope), float(random.uniform(-2, 2)))
    start = _somewhere(random, camera, float(random.uniform(10, 45)), (0.05, 0.6))
    return _bird_actor(random, _straight(start, velocity, begin_s), begin_s, begin_s + lasts_s)


def bird_curved(random: np.random.Generator, camera: FacadeCamera, begin_s: float, lasts_s: float) -> list[Actor]:
    """Draw a bird circling with a radius of 4–15 m in a tilted plane."""
    centre = _somewhere(random, camera, float(random.uniform(20, 50)), (0.15, 0.7))
    radius, speed, tilt = random.uniform(4, 15), random.uniform(6, 12), random.uniform(0.1, 1.0)
    phase, turn = random.uniform(0, 2 * math.pi), random.choice([-1.0, 1.0])

    def path(t_s: float) -> Point:
        angle = phase + turn * speed / radius * (t_s - begin_s)
        return (
            float(centre[0] + radius * math.cos(angle)),
            float(centre[1] + radius * tilt * math.sin(angle)),
            float(max(centre[2] + radius * 0.5 * math.sin(angle), 3.0)),
        )

    return _bird_actor(random, path, begin_s, begin_s + lasts_s)


def bird_diving(random: np.random.Generator, camera: FacadeCamera, begin_s: float, lasts_s: float) -> list[Actor]:
    """Draw a bird from flight into a steep glide of 10–20 m/s, flaring out above the ground."""
    start = _somewhere(random, camera, camera.distance_m * random.uniform(0.5, 0.95), (0.05, 0.3))
    speed, steep = random.uniform(9, 20), math.radians(random.uniform(40, 80))
    heading, onset = random.choice([-1.0, 1.0]), random.uniform(0.2, 0.8)
    times = np.arange(0.0, lasts_s + 0.02, 0.01)
    slope = steep / (1 + np.exp(-(times - onset) * 6))
    up = np.cumsum(-speed * np.sin(slope)) * 0.01
    flare = np.maximum(1.0 - (start[1] + up) / max(0.35 * start[1], 1.0), 0.0)  # levels out in the lowest third
    slope = slope * np.clip(1.0 - flare, 0.0, 1.0)
    up, along = np.cumsum(-speed * np.sin(slope)) * 0.01, np.cumsum(heading * speed * np.cos(slope)) * 0.01

    def path(t_s: float) -> Point:
        k = min(max(int((t_s - begin_s) * 100), 0), len(times) - 1)
        return start[0] + float(along[k]), start[1] + float(up[k]), start[2]

    return _bird_actor(random, path, begin_s, begin_s + lasts_s)


def insect(random: np.random.Generator, camera: FacadeCamera, begin_s: float, lasts_s: float) -> list[Actor]:
    """Draw an insect of 5–10 mm at 0.25–1.2 m before the lens, turning at random, some of it out of focus."""
    depth = float(random.uniform(0.25, 1.2))
    start = _somewhere(random, camera, depth, (0.0, 0.6))
    steps = int(lasts_s * 100) + 2
    pull = random.normal(0, 1, (steps, 2)) * 6.0
    speed = np.zeros((steps, 2))
    speed[0] = random.normal(0, 0.7, 2)
    speed[0, 1] += random.uniform(-0.8, 0.2)
    for k in range(1, steps):
        speed[k] = speed[k - 1] + (-1.5 * (speed[k - 1] - speed[0]) + pull[k]) * 0.01 * 3
    trail = np.cumsum(speed, axis=0) * 0.01

    def path(t_s: float) -> Point:
        k = min(max(int((t_s - begin_s) * 100), 0), steps - 1)
        return start[0] + float(trail[k, 0]), start[1] + float(trail[k, 1]), start[2]

    size = float(random.uniform(0.005, 0.010))
    blob = polygon(random, 10, 0.1)
    return [
        Actor(path=path, begin_s=begin_s, end_s=begin_s + lasts_s, outline=blob, width_m=size, height_m=size,
              grey=_grey(random), opacity=float(random.uniform(0.3, 0.9)))
    ]  # fmt: skip


def _drifting(
    random: np.random.Generator,
    camera: FacadeCamera,
    begin_s: float,
    lasts_s: float,
    *,
    sink: tuple[float, float],
    size: float,
) -> list[Actor]:
    depth = float(random.uniform(4, camera.distance_m))
    start = _somewhere(random, camera, depth, (0.0, 0.6))
    sinks, wind = random.uniform(*sink), random.normal(0, 1.2)
    swing, pace, phase = random.uniform(0.1, 0.8), random.uniform(2, 6), random.uniform(0, 6)

    def path(t_s: float) -> Point:
        t = t_s - begin_s
        rock = swing * math.sin(pace * t + phase)
        return float(start[0] + wind * t + rock), float(start[1] - sinks * t + 0.3 * abs(rock)), start[2]

    def flutter(t_s: float) -> float:
        return 0.2 + 0.8 * abs(math.sin(pace * t_s + phase))

    return [
        Actor(path=path, begin_s=begin_s, end_s=begin_s + lasts_s, outline=polygon(random, 6, 0.4), width_m=size,
              height_m=size, grey=_grey(random), spin_rad_s=float(random.normal(0, 4)), stretch=flutter)
    ]  # fmt: skip


def leaf(random: np.random.Generator, camera: FacadeCamera, begin_s: float, lasts_s: float) -> list[Actor]:
    """Draw a leaf sinking at 0.8–2 m/s, rocking."""
    return _drifting(random, camera, begin_s, lasts_s, sink=(0.8, 2.0), size=float(random.uniform(0.05, 0.14)))


def plastic_bag(random: np.random.Generator, camera: FacadeCamera, begin_s: float, lasts_s: float) -> list[Actor]:
    """Draw a bag carried by the wind, rising or sinking up to 2 m/s."""
    return _drifting(random, camera, begin_s, lasts_s, sink=(-1.0, 2.0), size=float(random.uniform(0.25, 0.45)))


def balloon(random: np.random.Generator, camera: FacadeCamera, begin_s: float, lasts_s: float) -> list[Actor]:
    """Draw a balloon rising at 1.5–3 m/s."""
    return _drifting(random, camera, begin_s, lasts_s, sink=(-3.0, -1.5), size=0.3)


def rain(random: np.random.Generator, camera: FacadeCamera, begin_s: float, lasts_s: float) -> list[Actor]:
    """Draw 60–250 drops at 6–9 m/s, 1.5–15 m before the lens, each in sight once."""
    wind = float(random.normal(0, 1.5))
    drops = []
    for _ in range(int(random.integers(60, 250))):
        start = _somewhere(random, camera, float(random.uniform(1.5, 15)), (-0.4, 0.2))
        at = begin_s + float(random.uniform(0, lasts_s))
        path = _straight(start, (wind, -float(random.uniform(6, 9)), 0.0), at)
        drops.append(
            Actor(path=path, begin_s=at, end_s=min(at + 2.0, begin_s + lasts_s), outline=rectangle(), width_m=0.006,
                  height_m=0.02, grey=225.0, opacity=0.5)
        )  # fmt: skip
    return drops


def snow(random: np.random.Generator, camera: FacadeCamera, begin_s: float, lasts_s: float) -> list[Actor]:
    """Draw 30–90 flakes at 1–1.6 m/s, 1–12 m before the lens."""
    flakes: list[Actor] = []
    for _ in range(int(random.integers(30, 90))):
        at = begin_s + float(random.uniform(0, 0.6 * lasts_s))
        flakes += _drifting(random, camera, at, begin_s + lasts_s - at, sink=(0.9, 1.6), size=0.012)
    for flake in flakes:
        flake.grey = 240.0
    return flakes


def _on_ground(random: np.random.Generator, camera: FacadeCamera) -> Point:
    """Draw a point whose upper part the picture's lowest eighth shows at any camera pitch (a rise, a gallery)."""
    return camera.world_at(
        float(random.uniform(0.1, 0.9)) * camera.width,
        float(random.uniform(0.88, 1.0)) * camera.height,
        float(random.uniform(8, 25)),
    )


def pedestrian(random: np.random.Generator, camera: FacadeCamera, begin_s: float, lasts_s: float) -> list[Actor]:
    """Draw someone walking at 0.9–1.8 m/s, in any direction, at the picture's lower edge."""
    start, heading = _on_ground(random, camera), random.uniform(0, 2 * math.pi)
    speed, step, grey = random.uniform(0.9, 1.8), random.uniform(1.6, 2.2), _grey(random)
    velocity = (float(speed * math.cos(heading)), 0.0, float(speed * math.sin(heading)))
    body = _straight(start, velocity, begin_s)
    parts = [
        Actor(path=body, begin_s=begin_s, end_s=begin_s + lasts_s, outline=polygon(random, 10, 0.1), width_m=0.5,
              height_m=1.1, grey=grey)
    ]  # fmt: skip
    for side in (0.0, math.pi):

        def leg(t_s: float, side: float = side) -> Point:
            x, up, z = body(t_s)
            return x + 0.25 * math.sin(step * math.pi * t_s + side), up - 0.85, z

        parts.append(
            Actor(path=leg, begin_s=begin_s, end_s=begin_s + lasts_s, outline=rectangle(), width_m=0.16, height_m=0.8,
                  grey=0.7 * grey)
        )  # fmt: skip
    return parts


def car(random: np.random.Generator, camera: FacadeCamera, begin_s: float, lasts_s: float) -> list[Actor]:
    """Draw a car passing at 4–12 m/s at the lower edge, a third of them towards the camera."""
    start = _on_ground(random, camera)
    speed, towards = float(random.uniform(4, 12)), random.random() < 0.33
    velocity = (0.2 * speed, 0.0, -0.5 * speed) if towards else (float(random.choice([-1, 1])) * speed, 0.0, 0.0)
    path = _straight(start, velocity, begin_s)
    return [
        Actor(path=path, begin_s=begin_s, end_s=begin_s + lasts_s, outline=rectangle(), width_m=4.2, height_m=1.4,
              grey=_grey(random))
    ]  # fmt: skip


def drone(random: np.random.Generator, camera: FacadeCamera, begin_s: float, lasts_s: float) -> list[Actor]:
    """Draw a drone climbing or sinking at 2–6 m/s with a soft start, or crossing."""
    start = _somewhere(random, camera, float(random.uniform(10, camera.distance_m)), (0.1, 0.5))
    fall, drift, ramp = random.uniform(-6, 6), random.normal(0, 2), random.uniform(0.5, 1.5)

    def path(t_s: float) -> Point:
        t = t_s - begin_s
        way = t - ramp * (1 - math.exp(-t / ramp))
        return float(start[0] + drift * way), float(start[1] - fall * way), start[2]

    return [
        Actor(path=path, begin_s=begin_s, end_s=begin_s + lasts_s, outline=polygon(random, 8, 0.3), width_m=0.4,
              height_m=0.15, grey=30.0)
    ]  # fmt: skip


def _on_wall(random: np.random.Generator, camera: FacadeCamera) -> Point:
    return _somewhere(random, camera, camera.distance_m / math.cos(camera.pitch_rad) * 0.98, (0.1, 0.7))


def glint(random: np.random.Generator, camera: FacadeCamera, begin_s: float, _lasts_s: float) -> list[Actor]:
    """Draw a window that is opened: its reflection slides over a few panes, downwards too."""
    start = _on_wall(random, camera)
    velocity = (float(random.normal(0, 2)), float(random.uniform(-6, 2)), 0.0)
    shine = float(random.uniform(0.4, 1.2))

    def visible(t_s: float) -> float:
        return math.sin(math.pi * min((t_s - begin_s) / shine, 1.0))

    return [
        Actor(path=_straight(start, velocity, begin_s), begin_s=begin_s, end_s=begin_s + shine, outline=rectangle(),
              width_m=0.9, height_m=1.4, grey=250.0, opacity=0.8, visible=visible)
    ]  # fmt: skip


def laundry(random: np.random.Generator, camera: FacadeCamera, begin_s: float, lasts_s: float) -> list[Actor]:
    """Draw two to five cloths swinging on a line."""
    hook = _on_wall(random, camera)
    cloths = []
    for k in range(int(random.integers(2, 6))):
        pace, phase, swing = random.uniform(2, 5), random.uniform(0, 6), random.uniform(0.05, 0.3)

        def path(t_s: float, k: int = k, pace: float = pace, phase: float = phase, swing: float = swing) -> Point:
            sway = swing * math.sin(pace * t_s + phase)
            return hook[0] + 0.7 * k + float(sway), hook[1] - float(0.2 * abs(sway)), hook[2]

        cloths.append(
            Actor(path=path, begin_s=begin_s, end_s=begin_s + lasts_s, outline=polygon(random, 6, 0.2), width_m=0.5,
                  height_m=0.9, grey=_grey(random))
        )  # fmt: skip
    return cloths


def let_down(random: np.random.Generator, camera: FacadeCamera, begin_s: float, lasts_s: float) -> list[Actor]:
    """Return a basket or a window cleaner's cradle on a rope: 0.3–2 m/s, steady."""
    start, size = _on_wall(random, camera), float(random.uniform(0.3, 1.8))
    path = _straight(start, (0.0, -float(random.uniform(0.3, 2.0)), 0.0), begin_s)
    return [
        Actor(path=path, begin_s=begin_s, end_s=begin_s + lasts_s, outline=polygon(random, 7, 0.3), width_m=size,
              height_m=size, grey=_grey(random))
    ]  # fmt: skip


def glass_lift(random: np.random.Generator, camera: FacadeCamera, begin_s: float, lasts_s: float) -> list[Actor]:
    """Return a lift outside the wall starting downwards: 1 m/s² up to 2–4 m/s."""
    start, top = _on_wall(random, camera), float(random.uniform(2, 4))

    def path(t_s: float) -> Point:
        t = t_s - begin_s
        way = 0.5 * t * t if t < top else 0.5 * top * top + top * (t - top)
        return start[0], start[1] - way, start[2]

    return [
        Actor(path=path, begin_s=begin_s, end_s=begin_s + lasts_s, outline=rectangle(), width_m=1.6, height_m=2.3,
              grey=_grey(random))
    ]  # fmt: skip


def lamps(random: np.random.Generator, camera: FacadeCamera, begin_s: float, _lasts_s: float) -> list[Actor]:
    """Draw windows lit one below the other (someone walks downstairs), and one that blinks."""
    start, pace = _on_wall(random, camera), float(random.uniform(0.15, 0.8))
    lit = []
    for k in range(int(random.integers(3, 8))):
        at = begin_s + k * pace
        place = (start[0], start[1] - k * STOREY_M, start[2])
        lit.append(
            Actor(path=_straight(place, (0.0, 0.0, 0.0), at), begin_s=at, end_s=at + float(random.uniform(0.3, 2.0)),
                  outline=rectangle(), width_m=0.8, height_m=1.2, grey=245.0)
        )  # fmt: skip
    return lit


NUISANCES: dict[str, Make] = {
    "bird straight": bird_straight,
    "bird curved": bird_curved,
    "bird diving": bird_diving,
    "insect": insect,
    "leaf": leaf,
    "plastic bag": plastic_bag,
    "balloon": balloon,
    "rain": rain,
    "snow": snow,
    "pedestrian": pedestrian,
    "car": car,
    "drone": drone,
    "window glint": glint,
    "laundry": laundry,
    "let down on rope": let_down,
    "glass lift": glass_lift,
    "lamps": lamps,
}
