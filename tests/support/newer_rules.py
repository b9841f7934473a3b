"""``linli`` as after updates of the rules, as many as the first argument says: another digest, the same findings."""

from __future__ import annotations

import sys
from typing import Any, cast
from unittest.mock import patch

import msgspec

from app.main import main
from app.wiring import engine
from detectors.core.rule import Rule
from detectors.fire.smoke_or_heat import FireState, SmokeOrHeat
from detectors.registry import all_rules


def newer_rules(updates: int) -> tuple[Rule[Any], ...]:
    """All rules; the state of one has a field more since every update."""
    added = [(f"added_{n}", int, 0) for n in range(updates)]
    newer_state = cast(
        type[FireState], msgspec.defstruct("FireState", added, bases=(FireState,), frozen=True, array_like=True)
    )

    class Newer(SmokeOrHeat):
        state_type = newer_state

        def initial(self, key: str) -> FireState:
            return newer_state(1, key)

    return tuple(Newer() if isinstance(rule, SmokeOrHeat) else rule for rule in all_rules())


if __name__ == "__main__":
    rules = newer_rules(int(sys.argv.pop(1)))
    with patch.object(engine, "all_rules", lambda: rules):
        main()
