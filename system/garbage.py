"""How often Python looks for garbage that refers to itself: seldom, and not among what a process begins with.

Nearly all of ours is let go of without such a look. Python's own habit costs a process of a district 2 to 3 % of its
time, and stands still for a tenth of a second where there are thousands of devices.
"""

from __future__ import annotations

import gc

NEW_OBJECTS = 10_000
"""Objects made and not let go of between two looks among the newest."""
LOOKS = 20
"""Looks among newer ones before one among older ones."""


def settle_garbage() -> None:
    """Look through what there is once, and not again before the next call; from now on look seldom.

    To be called when a process is ready, and again when its work has begun anew: what there is stays in memory until
    then, when it is let go of and refers to itself.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, LOOKS, LOOKS)
