"""A log and a driver that die at chosen points, also in the middle of a write, and start again from what is on disk."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from contracts.batch import Batch
from contracts.findings import Finding
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.engine.engine import Engine
from streams.log.sqlite.day_log import DayLog
from streams.runtime.partition_driver import PartitionDriver


class Crash(BaseException):
    """The process dies here; nothing after it runs."""


class Life:
    """One life of the process over a folder: appends its batches, feeds the engine, saves, and dies when told to."""

    def __init__(self, folder: Path, rules: Sequence[Any], die_in: int) -> None:
        self.folder = folder
        self._left = die_in
        self.log = DayLog(folder)
        self.store = SqliteCheckpointStore(folder / "engine.db")
        engine = Engine(rules, partition=0, partitions=1, log_id=self.log.identity())
        self.driver = PartitionDriver(self.log, self.store, engine)
        for connection in (self.store._db, *(f._db for f in self.log._files)):
            connection.set_progress_handler(self._tick, 7)

    def _tick(self) -> int:
        """Called every few steps of SQLite's machine: counts down to the crash, which tears what is under way."""
        self._left -= 1
        return 1 if self._left <= 0 else 0

    def live(self, batches: Sequence[Batch], save_every: int) -> None:
        """Append what the log lacks, feed all of it, save now and then."""
        self._guard(self.driver.open)
        for n in range(self.log.end(), len(batches)):
            self._guard(lambda at=n: self.log.append([batches[at]]))  # type: ignore[misc]
            self._guard(self.driver.step)
            if n % save_every == 0:
                self._guard(lambda: self.driver.save(2))

    def _guard(self, work: Callable[[], object]) -> None:
        if self._left <= 0:
            raise Crash
        try:
            work()
        except Exception as error:
            if self._left <= 0:
                raise Crash from error
            raise

    def findings(self) -> list[Finding]:
        """Everything the store holds."""
        return [finding for _, finding in self.store.findings_after(0, 1_000_000)]

    def leave_torn(self, target: Path, rng: random.Random) -> None:
        """Copy what is on disk to ``target``, with bytes of half-done writes appended to the write-ahead logs."""
        shutil.copytree(self.folder, target)
        for wal in target.glob("*.db-wal"):
            if rng.random() < 0.5:
                with wal.open("ab") as file:
                    file.write(rng.randbytes(rng.randrange(1, 6000)))
        for shm in target.glob("*.db-shm"):
            shm.unlink()
        self.log.close()
        self.store.close()
