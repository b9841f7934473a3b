"""Small generated worlds shared by the simulator's tests; each is made once per run."""

from __future__ import annotations

import functools

from simulator.generate import SimulationRequest, World, generate


@functools.cache
def world(seed: int = 3, sites: int = 2) -> World:
    """One day of ``sites`` communities."""
    return generate(SimulationRequest(seed=seed, sites=sites))
