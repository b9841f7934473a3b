"""A process that is ready looks for garbage seldom, and not among what it began with."""

from __future__ import annotations

import subprocess
import sys

CHILD = """
import gc
from system.garbage import NEW_OBJECTS, settle_garbage
begun = [[] for _ in range(5_000)]
circle = []
circle.append(circle)
del circle
settle_garbage()
looked = []
gc.callbacks.append(lambda phase, told: looked.append(told["generation"]) if phase == "start" else None)
made = [[] for _ in range(NEW_OBJECTS + 1_000)]
print(gc.get_freeze_count() > len(begun), looked, gc.get_threshold()[0] == NEW_OBJECTS, len(gc.get_objects()) < 15_000)
"""


def test_what_a_process_begins_with_is_not_looked_through_again() -> None:
    said = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout.split("\n")[0] == "True [0] True True"
