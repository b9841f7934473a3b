"""A site whose queue is too long for a row: nothing ends, people are told, and the next start comes to the same."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

from contracts.batch import Batch
from contracts.findings import Output
from streams.checkpoints.driver_alarms import DriverAlarm
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.engine import deduplicator, snapshot
from streams.engine.manifest import PartitionManifest, decode_manifest
from streams.log.sqlite.day_log import DayLog
from streams.runtime.embedded import EmbeddedDriver
from streams.runtime.partition_driver import PartitionDriver
from streams.runtime.worker import PartitionWorker
from tests.streams.memory import MemoryCheckpointStore, MemoryLog
from tests.streams.rules import RULES
from tests.streams.support import access, bare, batch, engine_of, findings, judge

DIGEST = engine_of(RULES).digest
Told = list[tuple[DriverAlarm, str]]
Live = Callable[[Path, Sequence[Batch]], tuple[Sequence[Output], PartitionManifest, Told]]


def _queue() -> list[Batch]:
    """Three thousand swipes of one site that wait for time to be proven, and one of another site."""
    waiting = [access(f"queued-{n * 7919:08x}", n, f"d{n % 5}", granted=n % 9 > 0) for n in range(3_000)]
    parts = [batch(None, *waiting[start : start + 100]) for start in range(0, len(waiting), 100)]
    return [batch(None, access("other", 5, granted=False, site_id="s2")), *parts]


def _end() -> list[Batch]:
    return [batch(600_000), batch(700_000, access("last", 690_000, granted=False))]


def embedded(folder: Path, log: Sequence[Batch]) -> tuple[Sequence[Output], PartitionManifest, Told]:
    """One life of `linli run`'s driver over the folder, to its ordered end."""
    day_log, store, told = DayLog(folder), SqliteCheckpointStore(folder / "engine.db"), Told()
    day_log.append(log[day_log.end() :])
    times = iter(range(0, 10**9, 11))  # every look at the clock finds a save due
    driver = PartitionDriver(
        day_log,
        store,
        engine_of(RULES),
        on_alarm=lambda *alarm: told.append(alarm),
        monotonic_s=lambda: float(next(times)),
    )
    driver.open()
    stop = threading.Event()
    running = threading.Thread(target=EmbeddedDriver(driver, monotonic_s=lambda: float(next(times))).run, args=(stop,))
    running.start()
    while running.is_alive() and _reached(store.load(DIGEST)[1]) < len(log) - 1:
        running.join(0.01)
    stop.set()
    running.join()
    said = [finding for _, finding in store.findings_after(0, 10_000)]
    manifest = decode_manifest(store.load(DIGEST)[1] or b"")
    store.close()
    day_log.close()
    return said, manifest, told


def _reached(manifest: bytes | None) -> int:
    return -1 if manifest is None else decode_manifest(manifest).position


STORES: dict[Path, MemoryCheckpointStore] = {}


def worker(folder: Path, log: Sequence[Batch]) -> tuple[Sequence[Output], PartitionManifest, Told]:
    """One life of a district's worker over the partition, to its ordered end."""
    store, told = STORES.setdefault(folder, MemoryCheckpointStore()), Told()

    async def live() -> None:
        now_s = 0.0

        def driver(_partition: int) -> PartitionDriver:
            return PartitionDriver(
                MemoryLog(log, len(log)),
                store,
                engine_of(RULES),
                on_alarm=lambda *alarm: told.append(alarm),
                monotonic_s=lambda: now_s,
            )

        worker = PartitionWorker(driver, monotonic_s=lambda: now_s)
        running = asyncio.ensure_future(worker.run())
        worker.assigned([0])
        async with asyncio.timeout(60):
            while not worker.opened() or _reached(store.load(DIGEST)[1]) < len(log) - 1:
                assert not running.done(), running.result()
                now_s += 11.0
                await asyncio.sleep(0.01)
            await worker.drain()
        running.cancel()

    asyncio.run(live())
    return findings(store.outputs), decode_manifest(store.load(DIGEST)[1] or b""), told


@pytest.mark.parametrize("live", [embedded, worker])
def test_a_queue_too_long_for_a_row_waits_and_is_judged_all_the_same(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "MAX_ROW_BYTES", 8_000)
    monkeypatch.setattr(deduplicator, "IN_FLIGHT", 64)  # the marks of a queue that was judged stay, and have room
    log = _queue()
    _, manifest, told = live(tmp_path, log)
    assert {alarm for alarm, _ in told} == {DriverAlarm.SNAPSHOT_WAITS}
    assert "snapshot of site s1 is" in told[0][1]
    assert "3000 events wait" in told[0][1]
    assert (manifest.drained, manifest.through, manifest.sites["s2"]) == (False, 0, len(log) - 1)
    said, again, _ = live(tmp_path, log)
    assert (said, again.through) == ([], 0)
    whole = [*log, *_end()]
    said, last, told = live(tmp_path, whole)
    assert _bare(said) == _bare(findings(judge(RULES, *whole)))
    assert (last.drained, last.through, set(last.sites)) == (True, len(whole) - 1, {"s1", "s2"})


def _bare(outputs: Iterable[Output]) -> list[Output]:
    return sorted(map(bare, outputs), key=repr)
