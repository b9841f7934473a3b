"""What does not fit together in the inventory that is in force: the doctor's lines."""

from __future__ import annotations

from collections.abc import Iterator

from app.operations.doctor.report import CheckResult, warn
from inventory.file_check import faults_in_force
from inventory.inventory import Inventory

MOST_LINES = 20
_REMEDY = "correct it in your file, then `linli inventory check FILE` and `linli inventory load FILE`"


def faults(inventory: Inventory) -> Iterator[CheckResult]:
    """Yield a line for each fault, twenty at most: what it is about is not judged, or told wrongly."""
    found = faults_in_force(inventory.in_force())
    for what in found[:MOST_LINES]:
        yield warn("inventory", what, _REMEDY)
    if len(found) > MOST_LINES:
        yield warn("inventory", f"{len(found) - MOST_LINES} faults more", _REMEDY)
