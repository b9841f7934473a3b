"""Meters and sockets."""

from __future__ import annotations

from typing import Annotated

import msgspec

from contracts.events.envelope import Event


class PowerSampled(Event, frozen=True, kw_only=True, tag="power_sampled"):
    """A meter's or socket's reading: mean active power over its own interval, and what else it measures."""

    power_w: Annotated[float, msgspec.Meta(ge=-1_000_000, le=1_000_000)]
    voltage_v: Annotated[float, msgspec.Meta(ge=0, le=1_000)] | None = None
    current_a: Annotated[float, msgspec.Meta(ge=0, le=10_000)] | None = None
    power_factor: Annotated[float, msgspec.Meta(ge=-1, le=1)] | None = None
    energy_kwh: Annotated[float, msgspec.Meta(ge=0, le=1e9)] | None = None
