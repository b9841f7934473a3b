"""Smoke, heat and gas sensors."""

from __future__ import annotations

from typing import Annotated

import msgspec

from contracts.events.envelope import Event


class EnvironmentSampled(Event, frozen=True, kw_only=True, tag="environment_sampled"):
    """A smoke, heat or gas sensor. ``alarm`` is the sensor's own judgement; the readings are its reasons."""

    alarm: bool = False
    smoke_pct_m: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None  # obscuration, % per metre
    temperature_c: Annotated[float, msgspec.Meta(ge=-80, le=1_500)] | None = None
    co_ppm: Annotated[float, msgspec.Meta(ge=0, le=100_000)] | None = None
    humidity_pct: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None
