"""A worker's partitions: whatever Faust does to them, nothing is lost, swallowed or kept beyond its time."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from contracts.errors import LogBroken, Transient
from contracts.findings import Output
from streams.checkpoints.driver_alarms import DriverAlarm
from streams.engine.engine import Engine
from streams.engine.manifest import decode_manifest
from streams.log.port import LogRecord
from streams.runtime import worker as worker_module
from streams.runtime.faust_app import FaustReader, ReaderSettings, make_app
from streams.runtime.partition_driver import PartitionDriver
from streams.runtime.snapshot_schedule import SNAPSHOT_EVERY_S
from streams.runtime.worker import PartitionWorker
from tests.streams.memory import MemoryCheckpointStore, MemoryLog
from tests.streams.rules import RULES
from tests.streams.support import access, batch, findings

READER = ReaderSettings(servers=("127.0.0.1:1",), topic="log", group="tests")
PATIENCE_S = 60.0


class FailsAt(Engine):
    """An engine with a defect at one position."""

    fails_at = -1

    def feed(self, batch: object, position: int) -> list[Output]:
        if position == self.fails_at:
            raise ZeroDivisionError(f"position {position}")
        return super().feed(batch, position)  # type: ignore[arg-type]


class World:
    """A log of one finding a record behind partition 0, its keep, and a worker. The other partitions are empty."""

    def __init__(self, records: int = 6, visible: int = 2, log: MemoryLog | None = None) -> None:
        batches = [batch(n * 1_000 + 500, access(f"a{n}", n * 1_000, granted=False)) for n in range(records)]
        self.log, self.keep = log or MemoryLog(batches, visible), MemoryCheckpointStore()
        self.alarms: list[tuple[int, DriverAlarm]] = []
        self.made: list[int] = []
        self.now_s = 0.0
        self.looks = 0
        self.fails_at = -1
        self.worker = PartitionWorker(
            self._driver,
            on_alarm=lambda partition, alarm, _detail: self.alarms.append((partition, alarm)),
            monotonic_s=self._look,
        )

    def found(self) -> list[str | None]:
        """Which records have been judged."""
        return [finding.onset_event_id for finding in findings(self.keep.outputs)]

    def deliver(self, *positions: int) -> None:
        """As Faust would."""
        for position in positions:
            self.log.visible = max(self.log.visible, position + 1)
            self.worker.delivered(0, position, self.log.records[position])

    def position(self) -> int:
        return self.worker.progress()[0].position

    def _look(self) -> float:
        self.looks += 1
        return self.now_s

    def _driver(self, partition: int) -> PartitionDriver:
        self.made.append(partition)
        engine = FailsAt(RULES, partition=partition, partitions=1 if partition == 0 else partition + 1, log_id="log1")
        engine.fails_at = self.fails_at
        if partition == 0:
            return PartitionDriver(self.log, self.keep, engine, monotonic_s=lambda: self.now_s)
        return PartitionDriver(MemoryLog([]), MemoryCheckpointStore(), engine)


def live(story: Callable[[World], Awaitable[None]], **world: Any) -> World:
    """A worker with partition 0, opened, through ``story``; its own loop runs meanwhile."""

    async def run() -> World:
        lived = World(**world)
        running = asyncio.ensure_future(lived.worker.run())
        lived.worker.assigned([0])
        try:
            await story(lived)
        finally:
            running.cancel()
        return lived

    return asyncio.run(run())


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not done():
            await asyncio.sleep(0.01)


def test_what_is_delivered_while_a_partition_is_opened_comes_after_it() -> None:
    async def story(world: World) -> None:
        world.deliver(3, 4)  # at once: a thread is opening it
        await until(lambda: world.position() == 5)

    assert live(story).found() == [f"a{n}" for n in range(5)]


@pytest.mark.parametrize(("put_by_bytes", "read_again"), [(1_000_000, False), (1, True)])
def test_deliveries_to_an_offloaded_partition_are_buffered_up_to_a_bound(
    put_by_bytes: int, read_again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading it from the log would take as long as it takes for more to come, and so on."""
    monkeypatch.setattr(worker_module, "MAX_BUFFERED_BYTES", put_by_bytes)

    async def story(world: World) -> None:
        await until(lambda: world.position() == 2 and world.worker.owned()[0].idle())
        read, held, go_on, begun = world.log.read, threading.Event(), threading.Event(), []

        def slowly(position: int, limit: int) -> list[LogRecord]:
            begun.append(position)
            records = read(position, limit)
            held.set()
            go_on.wait(PATIENCE_S)
            return records

        monkeypatch.setattr(world.log, "read", slowly)
        world.now_s += 2.5  # nothing came for so long: the log is looked at
        world.log.visible = 3
        await until(held.is_set)
        world.deliver(2, 3, 4)
        go_on.set()
        await until(lambda: world.position() == 5)
        assert (max(begun) > 2) is read_again

    assert live(story).found() == [f"a{n}" for n in range(5)]


def test_deliveries_may_jump_and_repeat() -> None:
    async def story(world: World) -> None:
        await until(lambda: world.position() == 2 and world.worker.owned()[0].idle())
        world.deliver(2, 4, 1, 2)
        await until(lambda: world.position() == 5)

    assert live(story).found() == [f"a{n}" for n in range(5)]


def test_a_partition_without_deliveries_is_compared_with_the_logs_end() -> None:
    async def story(world: World) -> None:
        await until(lambda: world.position() == 2)
        world.log.visible = 6
        world.now_s += 2.5
        await until(lambda: world.position() == 6)

    assert len(live(story).found()) == 6


def test_a_revoked_partition_is_dropped_and_made_anew_when_it_comes_back() -> None:
    async def story(world: World) -> None:
        await until(lambda: world.position() == 2)
        world.worker.revoked([0])
        world.deliver(2)  # what was in a queue already
        assert (world.worker.progress(), len(world.found())) == ({}, 2)
        world.worker.assigned([0, 4])
        await until(lambda: 0 in world.worker.progress() and world.position() == 3)
        world.worker.assigned([4])  # an assignment names everything we have
        assert list(world.worker.progress()) == [4]

    assert live(story).made == [0, 0, 4]


def test_an_uncaught_error_ends_the_worker_though_faust_would_go_on() -> None:
    async def run() -> World:
        world = World()
        world.fails_at = 3
        reader = FaustReader(READER, world.worker)
        running = asyncio.ensure_future(world.worker.run())
        world.worker.assigned([0])
        await until(lambda: world.position() == 2 and world.worker.owned()[0].idle())
        async with reader.agent.test_context() as agent:
            for position in range(2, 6):
                world.log.visible = position + 1
                message = agent.to_message(None, world.log.records[position], partition=0, offset=position)
                await agent.channel.put(await agent.channel.decode(message))
            with pytest.raises(ZeroDivisionError):
                await asyncio.wait_for(running, PATIENCE_S)
        return world

    world = asyncio.run(run())
    assert (world.found(), world.keep.failures()) == (["a0", "a1", "a2"], {3: 1})


def test_three_failures_stop_that_partition_only_and_a_skip_lets_it_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "LOOK_AGAIN_S", 0.0)

    async def story(world: World) -> None:
        for _ in range(3):
            world.keep.note_failure(1, "x")
        world.worker.assigned([0, 4])
        await until(lambda: bool(world.worker.progress()[0].stopped))
        await until(lambda: world.made.count(0) > 3)  # it looks again, and says it once
        assert world.alarms == [(0, DriverAlarm.PARTITION_STOPPED)]
        assert not world.worker.progress()[4].stopped
        world.keep.skip(1)
        await until(lambda: world.position() == 2 and not world.worker.progress()[0].stopped)

    assert [finding.rule for finding in findings(live(story).keep.outputs)] == ["denial", "batch_unreadable"]


def test_brokers_that_do_not_answer_now_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "RETRY_S", 0.0)

    async def story(world: World) -> None:
        append, away = world.keep.append_findings, True

        def sometimes(outputs: Sequence[Output]) -> int:
            if away:
                raise Transient("nobody answers")
            return append(outputs)

        world.keep.append_findings = sometimes  # type: ignore[method-assign]
        world.worker.revoked([0])
        world.worker.assigned([0])
        await until(lambda: len(world.made) > 3)
        assert world.found() == []
        away = False
        await until(lambda: world.position() == 2 and len(world.found()) == 2)

    live(story)


def test_a_log_that_contradicts_its_snapshots_is_an_alarm_and_ends_the_worker() -> None:
    async def run() -> World:
        world = World(visible=6)
        running = asyncio.ensure_future(world.worker.run())
        world.worker.assigned([0])
        await until(lambda: world.position() == 6)
        world.log.visible = 1
        world.now_s += 2.5
        with pytest.raises(LogBroken, match="log_replaced"):
            await asyncio.wait_for(running, PATIENCE_S)
        return world

    assert asyncio.run(run()).alarms == [(0, DriverAlarm.LOG_BROKEN)]


def test_a_drain_saves_everything_and_takes_no_more() -> None:
    async def story(world: World) -> None:
        await until(lambda: world.position() == 2)
        await world.worker.drain()
        world.deliver(2)

    world = live(story)
    (manifest,) = map(decode_manifest, world.keep.kept_manifests.values())
    assert (manifest.drained, manifest.position, len(world.found())) == (True, 1, 2)


def test_nothing_is_saved_in_its_turn_any_more_once_a_worker_drains(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a row's manifest would say that the partition is not drained, and the next version would refuse it."""
    monkeypatch.setattr(worker_module, "TICK_S", 0.0)

    async def story(world: World) -> None:
        await until(lambda: world.position() == 2 and world.worker.owned()[0].idle())
        drain, go_on = PartitionDriver.drain, threading.Event()

        def slowly(driver: PartitionDriver) -> None:
            drain(driver)
            go_on.wait(PATIENCE_S)

        monkeypatch.setattr(PartitionDriver, "drain", slowly)
        draining = asyncio.ensure_future(world.worker.drain())
        await until(lambda: bool(world.keep.kept_manifests))
        world.now_s += SNAPSHOT_EVERY_S + 0.5
        looks = world.looks
        await until(lambda: world.looks > looks + 20)
        go_on.set()
        await draining

    (manifest,) = map(decode_manifest, live(story).keep.kept_manifests.values())
    assert manifest.drained


def test_changed_sites_are_saved_in_turns_not_at_once_and_none_is_left_out() -> None:
    sites = [f"site-{n}" for n in range(5)]

    async def story(world: World) -> None:
        await until(lambda: world.position() == len(sites) and world.worker.owned()[0].idle())
        assert world.keep.rows == {}
        saved = [0]
        for _ in range(30):
            world.now_s += SNAPSHOT_EVERY_S / 10
            looks = world.looks
            await until(lambda at=looks: world.looks > at + 8 and world.worker.owned()[0].saving is None)  # type: ignore[misc]
            saved.append(len(world.keep.rows))
        turns = [after - before for before, after in itertools.pairwise(saved)]
        assert (turns[0], max(turns), sum(turns)) == (0, 1, len(sites)), turns

    batches = [
        batch(n * 1_000 + 500, access(f"a{n}", n * 1_000, granted=False, site_id=site)) for n, site in enumerate(sites)
    ]
    world = live(story, log=MemoryLog(batches, len(batches)))
    assert sorted(row.site_id for row in world.keep.rows.values()) == sites
    assert {row.position for row in world.keep.rows.values()} == {len(sites) - 1}
    (manifest,) = map(decode_manifest, world.keep.kept_manifests.values())
    assert manifest.position == len(sites) - 1


def test_how_faust_is_set() -> None:
    """Each of these was a trap: its default, or what is often written instead, loses or delays something."""
    first, second = (make_app(READER).conf for _ in range(2))
    assert (first.broker_session_timeout, first.broker_heartbeat_interval) == (7.0, 2.0)
    assert first.broker_rebalance_timeout <= 20.0
    assert (first.stream_buffer_maxsize, first.broker_max_poll_records) == (32, 32)
    assert first.consumer_group_instance_id is None  # "" would make every worker the same member
    assert first.canonical_url != second.canonical_url
    assert not first.web_enabled
