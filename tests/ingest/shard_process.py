"""A shard over a day log as a process of its own, to be stopped and killed: ``shard_process URL FOLDER``.

While there is a file ``late`` in the folder, an append is durable and answered seconds later, as by a busy disk: what
is in the log then is not acknowledged yet.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from contracts.batch import Batch
from contracts.errors import Permanent
from contracts.names import DeviceClass
from ingest.settings import ShardSettings
from ingest.shard.dead_letters import DeadLetters
from ingest.shard.shard import Shard
from inventory.inventory import Inventory
from streams.log.sqlite.day_log import DayLog
from tests.ingest.builders import community, device

TAKEN_OVER = 3
LATE_S = 5.0
MORE_GATES = 8
"""Beside g1 of the community: g2 and so on."""


class LateLog:
    """A day log that says that it has appended when it has long done so."""

    def __init__(self, log: DayLog, late: Path) -> None:
        self._log, self._late = log, late

    def append(self, batches: Sequence[Batch]) -> list[int]:
        """Append them at once."""
        positions = self._log.append(batches)
        if self._late.exists() and any(batch.events for batch in batches):
            time.sleep(LATE_S)  # the busy disk that this log pretends to have
        return positions

    def last_watermark_ms(self) -> int:
        """See :class:`streams.log.port.LogWriter`."""
        return self._log.last_watermark_ms()


def main(url: str, folder: Path) -> int:
    """Run until SIGTERM; 3 when another process took the session over."""
    inventory = Inventory(folder / "config.db")
    inventory.put([*community(), *(device(f"g{n}", DeviceClass.GATE) for n in range(2, MORE_GATES + 2))])
    log = DayLog(folder)
    settings, late_log = ShardSettings(mqtt_url=url, log_id=log.identity()), LateLog(log, folder / "late")
    shard = Shard(settings, late_log, inventory, DeadLetters(folder / "dead-letters"))
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threading.Thread(target=_tell_ready, args=(shard, folder / "ready"), daemon=True).start()
    try:
        shard.run(stop)
    except Permanent:
        return TAKEN_OVER
    log.close()
    return 0


def _tell_ready(shard: Shard, path: Path) -> None:
    if shard.wait_ready(60):
        path.touch()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
