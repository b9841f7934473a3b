"""Who and what moves through a room: paths over the floor, and parties of people and things that share one."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from contracts.events import ObjectLabel
from simulator.scenes.carts import pram, toy_vehicle, wheelchair
from simulator.scenes.mesh import Mesh, placed
from simulator.scenes.people import STRIDE_M, Look, person, some_look
from simulator.scenes.pinhole import Floats
from simulator.scenes.two_wheelers import bicycle, e_bike

NEGATIVES = (
    ObjectLabel.WHEELCHAIR,
    ObjectLabel.PRAM,
    ObjectLabel.TOY_VEHICLE,
    ObjectLabel.BICYCLE,
    ObjectLabel.PERSON,
)
"""What may ride a lift."""


@dataclass(frozen=True)
class Waypoint:
    """Where a party is at a time: metres on the floor, ``yaw`` 0 looks away from the room's near wall."""

    t_ms: int
    x: float
    z: float
    yaw: float


@dataclass(frozen=True)
class WalkPath:
    """Waypoints in order of time; straight and even between them. Before the first and after the last: not there."""

    points: tuple[Waypoint, ...]

    def covers(self, t_ms: int) -> bool:
        """Return whether the party is in the scene at this time."""
        return self.points[0].t_ms <= t_ms <= self.points[-1].t_ms

    def at(self, t_ms: int) -> tuple[Waypoint, float, float]:
        """Place at ``t_ms``, metres gone since the first waypoint, and speed in m/s."""
        index = bisect.bisect_right(self.points, t_ms, key=lambda p: p.t_ms)
        index = min(max(index, 1), len(self.points) - 1)
        a, b = self.points[index - 1], self.points[index]
        share = min(1.0, max(0.0, (t_ms - a.t_ms) / max(1, b.t_ms - a.t_ms)))
        turn = (b.yaw - a.yaw + math.pi) % (2 * math.pi) - math.pi
        step = math.hypot(b.x - a.x, b.z - a.z)
        before = sum(math.hypot(q.x - p.x, q.z - p.z) for p, q in zip(self.points, self.points[1:index], strict=False))
        place = Waypoint(t_ms, a.x + (b.x - a.x) * share, a.z + (b.z - a.z) * share, a.yaw + turn * share)
        return place, before + step * share, step / max(0.001, (b.t_ms - a.t_ms) / 1000)


@dataclass(frozen=True)
class Member:
    """One object of a party, metres ``ahead`` and ``right`` of its path. ``shape(distance, speed)`` gives its mesh."""

    label: ObjectLabel
    object_id: int
    ahead: float
    right: float
    shape: Callable[[float, float], Mesh]
    up: float = 0.0


@dataclass(frozen=True)
class Party:
    """Members moving together."""

    path: WalkPath
    members: tuple[Member, ...]

    def labels(self) -> tuple[ObjectLabel, ...]:
        """Return the members' labels, in order."""
        return tuple(member.label for member in self.members)

    def placed(self, t_ms: int) -> list[tuple[Member, Mesh, Floats]]:
        """Return each member with its mesh and world points at ``t_ms``; nothing outside the path's time."""
        if not self.path.covers(t_ms):
            return []
        place, distance, speed = self.path.at(t_ms)
        sine, cosine = math.sin(place.yaw), math.cos(place.yaw)
        out = []
        for member in self.members:
            mesh = member.shape(distance, speed)
            x = place.x + member.ahead * sine + member.right * cosine
            z = place.z + member.ahead * cosine - member.right * sine
            out.append((member, mesh, placed(mesh, x, z, place.yaw, member.up)))
        return out


def members(label: ObjectLabel, rng: Random, first_id: int) -> tuple[Member, ...]:
    """Return a thing with the people that belong to it (or a person alone), with ids from ``first_id`` on."""
    side = rng.choice((-1.0, 1.0))
    thing = _thing(label, rng, first_id)
    match label:
        case ObjectLabel.E_BIKE | ObjectLabel.BICYCLE:
            pusher = _walker(rng, first_id + 1, ahead=0.02, right=0.46 * side, reach=0.55)
            return (_moved(thing, right=-0.12 * side), pusher)
        case ObjectLabel.WHEELCHAIR:
            sitter = _sitter(rng, first_id + 1)
            if rng.random() < 0.3:
                return (thing, sitter)
            return (thing, sitter, _walker(rng, first_id + 2, ahead=-0.78, right=0.0, reach=0.75))
        case ObjectLabel.PRAM:
            return (thing, _walker(rng, first_id + 1, ahead=-0.88, right=0.0, reach=0.85))
        case ObjectLabel.TOY_VEHICLE:
            parent = _walker(rng, first_id + 1, ahead=-0.55, right=0.25 * side, reach=0.2)
            return (thing, parent)
        case _:
            return (_walker(rng, first_id, ahead=0.0, right=0.0, reach=0.0),)


def standing(label: ObjectLabel, rng: Random, object_id: int) -> Member:
    """Return a thing left by itself."""
    return _thing(label, rng, object_id)


def _thing(label: ObjectLabel, rng: Random, object_id: int) -> Member:
    builders: dict[ObjectLabel, Callable[[Random], Mesh]] = {
        ObjectLabel.E_BIKE: e_bike,
        ObjectLabel.BICYCLE: bicycle,
        ObjectLabel.WHEELCHAIR: wheelchair,
        ObjectLabel.PRAM: pram,
        ObjectLabel.TOY_VEHICLE: toy_vehicle,
    }
    mesh = builders.get(label, e_bike)(rng)
    return Member(label, object_id, 0.0, 0.0, lambda _distance, _speed: mesh)


def _moved(member: Member, *, right: float) -> Member:
    return Member(member.label, member.object_id, member.ahead, right, member.shape, member.up)


def _walker(rng: Random, object_id: int, *, ahead: float, right: float, reach: float) -> Member:
    look, start = some_look(rng), rng.random()

    def shape(distance: float, speed: float) -> Mesh:
        return _stepping(look, start, distance, speed, reach)

    return Member(ObjectLabel.PERSON, object_id, ahead, right, shape)


def _stepping(look: Look, start: float, distance: float, speed: float, reach: float) -> Mesh:
    swing = min(1.0, speed / 1.1)
    phase = start + distance / (STRIDE_M * look.height_m / 1.7) if swing > 0 else 0.0
    return person(look, phase, swing, reach=reach)


def _sitter(rng: Random, object_id: int) -> Member:
    look = some_look(rng)
    mesh = person(look, 0.0, 0.0, reach=0.25, seated=True)
    return Member(ObjectLabel.PERSON, object_id, -0.08, 0.0, lambda _distance, _speed: mesh)
