"""What befalls more than one part at once: a clock that is put elsewhere, a disk without room, no power."""

from __future__ import annotations

import time
from typing import ClassVar, Protocol, runtime_checkable

from tests.chaos.thief import Thief
from tests.support.kafka import RunningKafka
from tests.support.parts import LinliProcess, Part
from tests.support.small_disk import SmallDisk
from tests.support.wall_clock import WallClock
from tests.support.whole_district import District

HOUR_S = 3_600.0
DAY_S = 24 * HOUR_S
SERVERS = ("kafka", "mosquitto", "postgres", "influx")


@runtime_checkable
class Disturbance(Protocol):
    """Something that begins, and ends."""

    def begin(self, target: int) -> None:
        """Let it begin; ``target`` chooses among its forms."""
        ...

    def end(self) -> None:
        """Let it be over."""
        ...


class ClockElsewhere:
    """The wall clock of ingest's machine is put somewhere else, and right again."""

    OFF_S: ClassVar[tuple[float, ...]] = (1.0, -1.0, 5 * HOUR_S, -5 * HOUR_S, 20 * DAY_S, -20 * DAY_S)
    """Besides 1970. Further than results are asked for, the run could not tell whether they came."""

    def __init__(self, clock: WallClock) -> None:
        self._clock = clock

    def begin(self, target: int) -> None:
        """Put it where ``target`` says."""
        chosen = target % (len(self.OFF_S) + 1)
        self._clock.off_by(self.OFF_S[chosen] if chosen < len(self.OFF_S) else 60 - time.time())

    def end(self) -> None:
        """Put it right."""
        self._clock.off_by(0)


class FullDisk:
    """The disk with the dead letters of ingest and the spool of results has no room, and has again."""

    def __init__(self, disk: SmallDisk) -> None:
        self._disk = disk

    def begin(self, target: int) -> None:
        """Take what room there is."""
        self._disk.fill()

    def end(self) -> None:
        """Give it back."""
        self._disk.free()


class PowerCut:
    """Every process and server ends at once, in the midst of what it does. Servers come back with the power."""

    def __init__(self, district: District) -> None:
        self._district = district

    def begin(self, target: int) -> None:
        """End all of them."""
        for part in self._district.parts.values():
            if part.running():
                part.kill()

    def end(self) -> None:
        """Start the servers; a service manager starts the rest."""
        for name in SERVERS:
            start_again(self._district.parts[name])


def start_again(part: Part) -> None:
    """Start a part unless something else has; do not wait for Kafka, which takes longest."""
    assert not isinstance(part, LinliProcess), "a service manager starts it"
    if part.running():
        return
    if isinstance(part, RunningKafka):
        part.launch()
    else:
        part.start()


def disturbances_of(district: District) -> dict[str, Disturbance]:
    """Return those that may befall ``district``, by the name under which a plan strikes them."""
    found: dict[str, Disturbance] = {}
    if district.clock is not None:
        found["clock"] = ClockElsewhere(district.clock)
    if district.accounts is not None:
        found["thief"] = Thief(district.accounts)
    if district.disk is not None:
        found["disk"] = FullDisk(district.disk)
    if all(name in district.parts for name in SERVERS):
        found["power"] = PowerCut(district)
    return found
