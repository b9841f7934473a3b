"""A process that is ready looks for garbage seldom, and not among what it began with."""

from __future__ import annotations

import subprocess
import sys

CHILD = """
import gc, weakref
from system.garbage import NEW_OBJECTS, settle_garbage

class Life:
    def __init__(self):
        self.itself = self

first = Life()
settle_garbage()
told = weakref.ref(first)
del first
gc.collect()
kept = told() is not None
settle_garbage()
looked = []
gc.callbacks.append(lambda phase, told: looked.append(told["generation"]) if phase == "start" else None)
made = [[] for _ in range(NEW_OBJECTS + 1_000)]
print(kept, told() is None, gc.get_freeze_count() > 1_000, looked, gc.get_threshold()[0] == NEW_OBJECTS)
"""


def test_what_a_life_begins_with_is_not_looked_through_until_another_one_begins() -> None:
    said = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout.split("\n")[0] == "True True True [0] True"
