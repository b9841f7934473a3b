"""Power of a building's circuits by the quarter hour, from single samples; never a room, never a waveform. Pure.

Which meters count (docs/requirements.md#p13): those of common areas, and those of dwellings whose residents consented.
Dwellings are shown only together, and only when enough of them spoke. A sample counts once however often it was sent,
in whatever order it came.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import msgspec

from contracts.durations import HOUR_MS
from contracts.events import DeviceConfigured, PowerSampled
from contracts.names import DeviceClass
from contracts.places import Place, PlaceKind, PlaceUse
from streams.results.points import FieldValue, Point, point

QUARTER_MS = 900_000
MIN_DWELLINGS = 5  # fewer consenting dwellings would show one household's life under its building's name


class MeterQuarter(msgspec.Struct, array_like=True):
    """One meter's quarter hour. ``seen`` has a bit for each second from which a sample was counted."""

    samples: int = 0
    sum_w: float = 0.0
    max_w: float = 0.0
    seen: bytearray = msgspec.field(default_factory=bytearray)

    def add(self, second: int, power_w: float) -> bool:
        """Count a sample of this second of the quarter (0–899); False when one was counted already."""
        byte, bit = second // 8, 1 << second % 8
        if byte >= len(self.seen):
            self.seen.extend(bytes(byte + 1 - len(self.seen)))
        if self.seen[byte] & bit:
            return False
        self.seen[byte] |= bit
        self.max_w = power_w if not self.samples else max(self.max_w, power_w)
        self.samples += 1
        self.sum_w += float(power_w)
        return True


class Quarter(msgspec.Struct):
    """A site's quarter hour: ``building/circuit`` → meter → what it measured."""

    circuits: dict[str, dict[bytes, MeterQuarter]] = msgspec.field(default_factory=dict)

    def add(self, circuit: str, event: PowerSampled) -> bool:
        """Count one sample; False when it was counted before."""
        key = _key_of(event.source_id)
        meters = self.circuits.setdefault(circuit, {})
        meter = meters.get(key)
        if meter is None:
            meter = meters[key] = MeterQuarter()
        return meter.add(event.at_ms % QUARTER_MS // 1000, event.power_w)

    def points(self, site_id: str, bucket_ms: int) -> list[Point]:
        """Return its points, at the beginning of the quarter."""
        found = []
        for circuit, meters in sorted(self.circuits.items()):
            building, _, use = circuit.partition("/")
            if use == PlaceUse.DWELLING and len(meters) < MIN_DWELLINGS:
                continue
            tags = {"site": site_id, "building": building, "circuit": use}
            found.append(point("power", tags, _fields(use, meters), bucket_ms))
        return found


def circuit_of(device: DeviceConfigured | None, place: Place | None) -> str | None:
    """Return ``building/use`` of a meter whose readings may be aggregated; None when they may not be looked at."""
    if device is None or place is None or device.device_class is not DeviceClass.METER:
        return None
    if (place.use is PlaceUse.DWELLING or place.kind is PlaceKind.ROOM) and not device.consented:
        return None
    building = place.place_id if place.kind is PlaceKind.BUILDING else place.building
    return f"{building or ''}/{place.use.value}"


def quarter_of(at_ms: int) -> int:
    """Return the beginning of the quarter hour that ``at_ms`` lies in."""
    return at_ms - at_ms % QUARTER_MS


@lru_cache(maxsize=65_536)
def _key_of(meter_id: str) -> bytes:
    return hashlib.blake2b(meter_id.encode(), digest_size=8).digest()


def _fields(use: str, meters: dict[bytes, MeterQuarter]) -> dict[str, FieldValue]:
    mean_w = round(sum(m.sum_w / m.samples for _, m in sorted(meters.items())), 3)
    fields: dict[str, FieldValue] = {
        "mean_w": mean_w,
        "energy_kwh": round(mean_w * QUARTER_MS / HOUR_MS / 1000, 6),
        "meters": len(meters),
        "samples": sum(m.samples for m in meters.values()),
    }
    if use != PlaceUse.DWELLING:
        fields["max_w"] = float(max(m.max_w for m in meters.values()))
    return fields
