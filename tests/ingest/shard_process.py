"""A shard over a day log as a process of its own, to be stopped and killed: ``shard_process URL FOLDER``."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

from contracts.errors import Permanent
from ingest.settings import ShardSettings
from ingest.shard.dead_letters import DeadLetters
from ingest.shard.shard import Shard
from inventory.inventory import Inventory
from streams.log.sqlite.day_log import DayLog
from tests.ingest.builders import community

TAKEN_OVER = 3


def main(url: str, folder: Path) -> int:
    """Run until SIGTERM; 3 when another process took the session over."""
    inventory = Inventory(folder / "config.db")
    inventory.put(community())
    log = DayLog(folder)
    shard = Shard(
        ShardSettings(mqtt_url=url, log_id=log.identity()), log, inventory, DeadLetters(folder / "dead-letters")
    )
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
