"""Running shards for tests: in a thread of this process, or as a process that can be stopped and killed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from contracts.batch import Batch, decode_batch
from contracts.events import AnyEvent, Configuration, DoorChanged, DoorState
from ingest.settings import ShardSettings
from ingest.shard.dead_letters import DeadLetters
from ingest.shard.shard import Shard
from inventory.inventory import Inventory
from streams.log.port import LogWriter
from streams.log.sqlite.day_log import DayLog
from system.clock import wall_ms
from tests.ingest.builders import community
from tests.ingest.clients import PATIENCE_S, wait_until

REPOSITORY = Path(__file__).resolve().parents[2]


class RunningShard:
    """A shard in a thread; ``error`` is what ended it."""

    def __init__(self, settings: ShardSettings, log: LogWriter, folder: Path) -> None:
        self.inventory = Inventory(folder / "config.db")
        self.letters = DeadLetters(folder / "dead-letters")
        self.shard = Shard(settings, log, self.inventory, self.letters)
        self.error: Exception | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def ready(self) -> None:
        """Wait until it listens."""
        assert self.shard.wait_ready(PATIENCE_S), self.error

    def stop(self) -> None:
        """Stop it in order."""
        self._stop.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    def ended(self, timeout_s: float) -> bool:
        """Whether it ended by itself in time."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self.shard.run(self._stop)
        except Exception as error:  # noqa: BLE001 - a test looks at whatever ended the shard
            self.error = error


@contextmanager
def running_shard(
    url: str, log: LogWriter, folder: Path, records: Sequence[Configuration] = (), **settings: object
) -> Iterator[RunningShard]:
    """A shard that listens, over the community of the builders."""
    folder.mkdir(exist_ok=True)
    inventory = Inventory(folder / "config.db")
    inventory.put([*community(), *records])
    inventory.close()
    running = RunningShard(ShardSettings(mqtt_url=url, **settings), log, folder)  # type: ignore[arg-type]
    try:
        running.ready()
        yield running
    finally:
        running.stop()


class ShardProcess:
    """``tests.ingest.shard_process`` over a folder with a day log."""

    def __init__(self, url: str, folder: Path) -> None:
        self._ready = folder / "ready"
        self._ready.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.ingest.shard_process", url, str(folder)],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )
        assert wait_until(self._ready.exists), self.process.poll()

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """End it in order; its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(PATIENCE_S)


def batches_in(folder: Path) -> list[Batch]:
    """Everything in a folder's day log."""
    log = DayLog(folder)
    records = log.read(log.begin(), log.end())
    while records and records[-1].position + 1 < log.end():
        records += log.read(records[-1].position + 1, log.end())
    log.close()
    return [decode_batch(record.data) for record in records]


def events_in(batches: Sequence[Batch]) -> list[AnyEvent]:
    """Their events in order."""
    return [event for batch in batches for event in batch.events]


def false_alarms(batches: Sequence[Batch], limit_ms: int) -> list[str]:
    """Doors that a rule over this log would call "held open" although they closed within ``limit_ms``.

    A deadline is handled when a watermark has passed it, as the engine does; the doors' own times are the truth.
    """
    closed_ms = {
        e.place_id: e.at_ms for e in events_in(batches) if isinstance(e, DoorChanged) and e.state is DoorState.CLOSED
    }
    due: dict[str, int] = {}
    false: list[str] = []
    for batch in batches:
        for event in batch.events:
            if isinstance(event, DoorChanged) and event.state is DoorState.OPEN:
                due[event.place_id] = event.at_ms + limit_ms
            elif isinstance(event, DoorChanged):
                due.pop(event.place_id, None)
        for place_id, due_ms in list(due.items()):
            if due_ms < batch.watermark_ms:
                del due[place_id]
                if place_id in closed_ms and closed_ms[place_id] <= due_ms:
                    false.append(place_id)
    return false


def now_ms() -> int:
    """Epoch ms."""
    return wall_ms()
