"""E-bikes (light scooters, pedal e-bikes) and bicycles. Centre at the origin, nose along x."""

from __future__ import annotations

from random import Random

from simulator.scenes.mesh import Colour, Mesh, MeshBuilder, shaded

PAINTS: tuple[Colour, ...] = (
    (40, 40, 190), (190, 90, 30), (230, 230, 235), (45, 45, 50), (70, 140, 60), (40, 150, 225),
    (160, 120, 190), (120, 170, 180), (130, 130, 135), (200, 160, 60), (90, 50, 110),
)  # fmt: skip
_TYRE: Colour = (38, 38, 42)
_CHROME: Colour = (175, 178, 182)
_BLACK: Colour = (45, 45, 48)
_SADDLES: tuple[Colour, ...] = ((35, 35, 40), (40, 60, 100), (60, 60, 65))


def some_paint(rng: Random) -> Colour:
    """Return a random paint, each a little different."""
    blue, green, red = (min(250, max(15, int(c * rng.uniform(0.8, 1.15)))) for c in rng.choice(PAINTS))
    return (blue, green, red)


def e_bike(rng: Random) -> Mesh:
    """Return an e-bike: a scooter with fairings (most), or a pedal e-bike with a battery box behind the seat tube."""
    return _scooter(rng) if rng.random() < 0.62 else _pedal_e_bike(rng)


def bicycle(rng: Random) -> Mesh:
    """Return a bicycle: thin wheels with spokes, diamond or step-through frame, no box."""
    bike, paint = MeshBuilder(), some_paint(rng)
    radius, low = rng.uniform(0.31, 0.35), rng.random() < 0.4
    base = rng.uniform(0.5, 0.54)
    for x in (-base, base):
        bike.wheel((x, radius, 0.0), radius, rng.uniform(0.016, 0.024), _TYRE, _CHROME, spokes=6)
    crank, seat, head = (-0.06, radius - 0.04, 0.0), (-0.2, 0.8, 0.0), (base - 0.16, 0.84, 0.0)
    rear, front = (-base, radius, 0.0), (base, radius, 0.0)
    bike.tube([rear, crank, seat, rear], 0.012, paint).tube([crank, (head[0] + 0.03, 0.68, 0.0)], 0.018, paint)
    top = (crank[0] + 0.06, 0.5, 0.0) if low else (seat[0], 0.76, 0.0)
    bike.tube([top, (head[0], 0.76, 0.0)], 0.015, paint)
    bike.tube([front, (head[0] + 0.03, 0.68, 0.0), (head[0] - 0.02, 0.95, 0.0)], 0.015, paint)
    bike.tube([seat, (-0.22, 0.9, 0.0)], 0.013, _CHROME).limb(
        (-0.32, 0.93, 0.0), (-0.1, 0.94, 0.0), 0.06, 0.025, _BLACK
    )
    _bars(bike, head[0] - 0.02, 0.97, rng.uniform(0.24, 0.3), sweep=0.12)
    _cranks(bike, crank[0], crank[1])
    if rng.random() < 0.35:
        bike.box((base - 0.02, 0.82, 0.0), (0.24, 0.2, 0.3), rng.choice((_CHROME, (70, 110, 150))))
    if rng.random() < 0.4:
        bike.plate([(-0.68, 0.71, -0.07), (-0.3, 0.71, -0.07), (-0.3, 0.71, 0.07), (-0.68, 0.71, 0.07)], _BLACK)
    return bike.build(rng.uniform(0.78, 1.05))


def _scooter(rng: Random) -> Mesh:
    bike, paint = MeshBuilder(), some_paint(rng)
    trim = rng.choice((_BLACK, shaded(paint, 0.6), (200, 200, 205)))
    radius = rng.uniform(0.2, 0.24)
    for x in (-0.52, 0.56):
        bike.wheel((x, radius, 0.0), radius - 0.03, 0.042, _TYRE, (120, 122, 126))
    bike.tube([(0.5, radius + 0.22, -0.05), (0.64, radius + 0.24, -0.05), (0.76, radius + 0.12, -0.05)], 0.045, paint)
    bike.tube([(0.56, radius, 0.06), (0.42, 0.72, 0.05)], 0.022, trim).tube(
        [(0.56, radius, -0.06), (0.42, 0.72, -0.05)], 0.022, trim
    )
    bike.prism([(-0.2, 0.26), (0.3, 0.26), (0.3, 0.33), (-0.2, 0.33)], 0.14, trim)
    bike.prism([(0.28, 0.28), (0.38, 0.28), (0.46, 0.82), (0.36, 0.84)], 0.17, paint)
    bike.prism([(-0.66, 0.4), (-0.18, 0.27), (-0.12, 0.62), (-0.7, 0.64)], 0.13, paint)
    bike.box((-0.3, 0.46, 0.0), (0.3, 0.22, 0.3), shaded(trim, 0.9))  # the battery box under the saddle
    _saddle(bike, rng)
    bike.tube([(-0.78, 0.52, -0.08), (-0.62, 0.7, -0.08), (-0.62, 0.7, 0.08), (-0.78, 0.52, 0.08)], 0.02, trim)
    bike.plate([(-0.74, 0.5, -0.1), (-0.8, 0.36, -0.1), (-0.8, 0.36, 0.1), (-0.74, 0.5, 0.1)], (60, 60, 190))
    _cockpit(bike, paint, trim, x=0.38)
    if rng.random() < 0.6:
        bike.box((-0.72, 0.88, 0.0), (0.3, 0.27, 0.34), rng.choice((_BLACK, paint, (40, 150, 225), (190, 90, 30))))
    if rng.random() < 0.4:
        bike.box((0.58, 0.8, 0.0), (0.22, 0.2, 0.28), _BLACK)
    return bike.build(rng.uniform(0.9, 1.06))


def _pedal_e_bike(rng: Random) -> Mesh:
    bike, paint = MeshBuilder(), some_paint(rng)
    radius = rng.uniform(0.24, 0.29)
    for x in (-0.5, 0.52):
        bike.wheel(
            (x, radius, 0.0), radius - 0.025, 0.032, _TYRE, (110, 112, 116) if x < 0 else _CHROME, 0 if x < 0 else 5
        )
    for side in (-0.05, 0.05):
        bike.tube([(-0.5, radius, side), (-0.12, radius, side), (-0.2, 0.7, side)], 0.018, paint)
        bike.tube([(0.52, radius, side), (0.4, 0.78, side * 0.5)], 0.02, paint)
    bike.tube([(-0.12, radius, 0.0), (0.2, 0.36, 0.0), (0.38, 0.8, 0.0)], 0.04, paint)
    bike.box((-0.25, 0.5, 0.0), (0.15, 0.38, 0.17), rng.choice((_BLACK, (60, 60, 65), shaded(paint, 0.7))), pitch=0.15)
    _saddle(bike, rng)
    _cockpit(bike, paint, _BLACK, x=0.38)
    _cranks(bike, -0.08, radius)
    bike.box((0.56, 0.78, 0.0), (0.24, 0.22, 0.3), rng.choice((_BLACK, _CHROME)))
    bike.plate([(-0.75, 0.66, -0.09), (-0.35, 0.66, -0.09), (-0.35, 0.66, 0.09), (-0.75, 0.66, 0.09)], _BLACK)
    if rng.random() < 0.6:
        bike.limb((-0.72, 0.74, 0.0), (-0.42, 0.74, 0.0), 0.09, 0.09, rng.choice(_SADDLES))
    return bike.build(rng.uniform(0.92, 1.05))


def _saddle(bike: MeshBuilder, rng: Random) -> None:
    colour = rng.choice(_SADDLES)
    bike.limb((-0.62, 0.72, 0.0), (-0.34, 0.73, 0.0), 0.12, 0.12, colour).limb(
        (-0.4, 0.73, 0.0), (-0.06, 0.71, 0.0), 0.12, 0.07, colour
    )


def _cockpit(bike: MeshBuilder, paint: Colour, trim: Colour, *, x: float) -> None:
    """Build steering column, dash, headlamp, handlebar with grips, and two mirrors on stalks."""
    bike.limb((x + 0.02, 0.8, 0.0), (x - 0.04, 0.98, 0.0), 0.07, 0.08, paint)
    bike.ball((x + 0.09, 0.94, 0.0), 0.065, (235, 240, 240))
    bike.limb((x - 0.02, 1.0, -0.09), (x - 0.02, 1.0, 0.09), 0.055, 0.055, trim)
    _bars(bike, x - 0.04, 1.02, 0.33, sweep=0.1)
    for side in (-1.0, 1.0):
        bike.tube([(x - 0.05, 1.02, 0.2 * side), (x - 0.02, 1.18, 0.3 * side)], 0.009, _BLACK)
        bike.limb((x - 0.02, 1.2, 0.28 * side), (x - 0.02, 1.21, 0.36 * side), 0.045, 0.045, _BLACK)
        bike.ball((x - 0.05, 1.21, 0.32 * side), 0.035, (200, 195, 180))


def _bars(bike: MeshBuilder, x: float, y: float, half_m: float, *, sweep: float) -> None:
    bike.tube(
        [(x - sweep, y, -half_m), (x, y, -half_m * 0.5), (x, y, half_m * 0.5), (x - sweep, y, half_m)], 0.014, _CHROME
    )
    for side in (-1.0, 1.0):
        bike.limb((x - sweep * 0.6, y, half_m * 0.8 * side), (x - sweep * 1.1, y, half_m * side), 0.02, 0.02, _BLACK)


def _cranks(bike: MeshBuilder, x: float, y: float) -> None:
    bike.tube([(x - 0.1, y - 0.12, -0.1), (x, y, -0.06), (x, y, 0.06), (x + 0.1, y + 0.12, 0.1)], 0.012, _CHROME)
    for dx, dy, z in ((-0.1, -0.12, -0.13), (0.1, 0.12, 0.13)):
        bike.plate(
            [
                (x + dx - 0.05, y + dy, z - 0.05),
                (x + dx + 0.05, y + dy, z - 0.05),
                (x + dx + 0.05, y + dy, z + 0.05),
                (x + dx - 0.05, y + dy, z + 0.05),
            ],
            _BLACK,
        )
