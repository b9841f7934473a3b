from __future__ import annotations

import time

from system.clock import wall_ms


def test_the_wall_clock_is_read_in_whole_milliseconds() -> None:
    before_s = time.time()
    assert int(before_s * 1000) <= wall_ms() <= int(time.time() * 1000) + 1
