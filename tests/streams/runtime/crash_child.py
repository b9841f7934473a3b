"""A process that lives through a history in a folder and says a line for each batch: for the tests of kill -9."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.streams.histories import history
from tests.streams.rules import small_rules
from tests.streams.runtime.crash import Life

PAUSE_S = 0.002
"""Between batches, so that the kill comes within few of them."""


def main() -> None:
    """Arguments: folder, seed, number of events."""
    folder, seed, events = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    life = Life(folder, small_rules(), die_in=10**12)
    life.driver.open()
    batches = history(seed, events)
    for n in range(life.log.end(), len(batches)):
        life.log.append([batches[n]])
        life.driver.step()
        if n % 9 == 0:
            life.driver.save(2)
        sys.stdout.write(f"{n}\n")
        sys.stdout.flush()
        time.sleep(PAUSE_S)


if __name__ == "__main__":
    main()
