"""What a shard does beside its messages: follow the inventory, list who is pending, keep dead letters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import structlog

from contracts.batch import Batch
from contracts.durations import HOUR_MS
from contracts.errors import Transient
from contracts.events import Configuration, ConfigurationRecord
from ingest.pipeline.pipeline import IngestPipeline, Refused
from ingest.pipeline.shard_assignment import ShardAssignment
from ingest.settings import ShardSettings
from ingest.shard.dead_letters import DeadLetters, dead_letter, source_of
from ingest.shard.followed import followed_before, follower_name
from inventory.clocks import ClockRecord, HostClock
from inventory.inventory import Inventory
from inventory.kept_pending import PENDING_KEPT_MS
from inventory.numbers import StoreState

CHANGES_AT_ONCE = 2_000
FLUSH_MS = 1_000
PENDING_MS = 5_000
AWAY_MS = 4_000
"""An inventory that does not answer may take its time to say so; messages wait meanwhile."""
CLOCKS_MS = 60_000
"""How often all clocks are looked through, also for the gauge of those that are off, while no fault comes or ends. A
district has thousands.
"""
SKEW_NEWS_MS = 100
"""A skew that moved by less is not written again: networks breathe."""
_log = structlog.get_logger("ingest.shard.housekeeping")


class Housekeeping:
    """The shard's dealings with the inventory and the dead letters; a full disk delays them and stops nothing."""

    def __init__(
        self, settings: ShardSettings, inventory: Inventory, dead_letters: DeadLetters, pipeline: IngestPipeline
    ) -> None:
        self._inventory, self._dead_letters = inventory, dead_letters
        self._admission, self._notices = pipeline.admission, pipeline.notices
        self._clocks = pipeline.clocks
        self._noticed = 0
        self._offset_ms = 0
        self._host_clock = self._kept_host_clock = HostClock()
        self._kept_clocks: dict[tuple[str, str], ClockRecord] = {}
        self._clocks_ms = 0
        self._settings, self._owns = settings, ShardAssignment(settings).owns
        self._follower = follower_name(settings)
        self._poll_ms, self._polled_ms = settings.inventory_poll_ms, 0
        self._seen = 0
        self._followed = 0
        self._state = StoreState("", 0)
        self._under_way: dict[tuple[str, str, int], int] = {}  # (site, store, version) → change
        self._flushed_ms = 0
        self._pending_ms = 0
        self._pending_counts = 0

    def load(self) -> list[Configuration]:
        """Bring admission and clocks up to date; the records that the log does not have yet, oldest first.

        Raises:
            Transient: the inventory does not answer.
        """
        self._begin(self._inventory.state())
        self._kept_host_clock = self._inventory.clocks.of_hosts().get(self._follower, HostClock())
        self._host_clock = msgspec.structs.replace(self._kept_host_clock, doubt="")
        clocks = [clock for clock in self._inventory.clocks.of_devices() if self._owns(clock.site_id)]
        self._kept_clocks = {(clock.site_id, clock.speaker): clock for clock in clocks}
        self._clocks.load(clocks)
        self._notices.load(one for one in self._inventory.notices.current() if self._owns(one.site_id))
        records: list[Configuration] = []
        self._read_changes(records)
        return records

    def changes(self, now_ms: int) -> list[Configuration]:
        """Return records changed since the last call, if it is time to look; ask an inventory that is away later."""
        if now_ms - self._polled_ms < self._poll_ms:
            return []
        self._polled_ms = now_ms
        records: list[Configuration] = []
        if not self._guarded(lambda: self._read_changes(records)):
            self._polled_ms += AWAY_MS
        return records

    def host_clock(self, doubt: str) -> str:
        """Note why the machine's clock must be wrong, to be told to operators; returned as it is."""
        if bool(doubt) != bool(self._host_clock.doubt):
            self._host_clock = msgspec.structs.replace(self._host_clock, doubt=doubt)
        return doubt

    def shifted(self, by_ms: int, now_ms: int) -> None:
        """Note that the log's time moved by ``by_ms`` at ``now_ms``, which never jumps."""
        self._offset_ms += by_ms
        stepped_ms = now_ms + self._offset_ms
        self._host_clock = msgspec.structs.replace(self._host_clock, step_ms=by_ms, stepped_ms=stepped_ms)

    def durable(self, batches: Sequence[Batch]) -> None:
        """Remember how far the log follows the inventory, now that these batches are in it."""
        if not self._under_way:
            return
        for batch in batches:
            for event in batch.events:
                if isinstance(event, ConfigurationRecord):
                    self._under_way.pop((event.site_id, event.store, event.version), None)
        self._note_followed()

    def dead_letter(self, refused: Refused, now_ms: int) -> None:
        """Keep a refused message as a dead letter, within its source's quota."""
        if self._dead_letters.wants(source_of(refused.known), now_ms):
            arrival, at_ms = refused.arrival, now_ms + self._offset_ms
            letter = dead_letter(refused.reason, refused.detail, refused.known, arrival.topic, arrival.payload, at_ms)
            self._dead_letters.add(letter)

    def tick(self, now_ms: int, *, force: bool = False) -> bool:
        """Write what is due: dead letters every second, the pending list every five. Whether clocks were looked at."""
        if force or now_ms - self._flushed_ms >= FLUSH_MS:
            self._flushed_ms = now_ms
            self._guarded(lambda: self._dead_letters.flush(now_ms + self._offset_ms))
        if not force and now_ms - self._pending_ms < PENDING_MS:
            return False
        self._pending_ms = now_ms
        self._write_pending()
        looks = force or self._clocks.has_news or now_ms - self._clocks_ms >= CLOCKS_MS
        if looks:
            self._clocks_ms = now_ms
            self._clocks.has_news = not self._write_clocks()
        self._write_host_clock()
        self._write_notices(now_ms)
        return looks

    def _write_pending(self) -> None:
        devices, topics = self._admission.pending_devices(), self._admission.pending_topics()
        counts = sum(d.count for d in devices) + sum(t.count for t in topics)
        if counts != self._pending_counts:
            self._pending_counts = counts
            newest_ms = max([d.last_ms for d in devices] + [t.last_ms for t in topics], default=0)
            devices = [one for one in devices if one.last_ms >= newest_ms - PENDING_KEPT_MS]
            topics = [one for one in topics if one.last_ms >= newest_ms - PENDING_KEPT_MS]
            self._guarded(lambda: self._inventory.waiting.put(devices, topics, self._follower))

    def _begin(self, state: StoreState) -> None:
        """Begin at the store's first change, and append from where this log's writers came to in it."""
        self._state, self._seen = state, 0
        self._followed = min(followed_before(self._inventory.followers(), self._settings), state.change)
        self._under_way.clear()

    def _write_clocks(self) -> bool:
        """Keep what outlives us; whether it could be kept. A skew that hardly moved is written once an hour."""
        now = {(clock.site_id, clock.speaker): clock for clock in self._clocks.records()}
        changed = [clock for key, clock in now.items() if _is_news(clock, self._kept_clocks.get(key))]
        ended = [
            msgspec.structs.replace(clock, fault="", fault_ms=0)
            for key, clock in self._kept_clocks.items()
            if clock.fault and key not in now
        ]
        if not self._guarded(lambda: self._inventory.clocks.put([*changed, *ended])):
            return False
        self._kept_clocks |= {(clock.site_id, clock.speaker): clock for clock in (*changed, *ended)}
        return True

    def _write_host_clock(self) -> None:
        clock = self._host_clock
        if clock != self._kept_host_clock and self._guarded(
            lambda: self._inventory.clocks.put_host(self._follower, clock)
        ):
            self._kept_host_clock = clock

    def _write_notices(self, now_ms: int) -> None:
        notices, changes = self._notices.current(now_ms, self._admission.device), self._notices.changes
        if changes == self._noticed:
            return
        if self._guarded(lambda: self._inventory.notices.put(notices, self._follower, self._owns)):
            self._noticed = changes
            self._notices.kept(now_ms)

    def _read_changes(self, records: list[Configuration]) -> None:
        state = self._inventory.state()
        if state == self._state and self._seen == state.change:
            return
        if self._inventory.is_behind(self._state, state):
            _log.warning("the inventory is another one or went back", store=state.identity, change=state.change)
            self._begin(state)
        while changes := self._inventory.changes_after(self._seen, CHANGES_AT_ONCE):
            for change, record in changes:
                self._seen = change
                self._admission.apply_config(record)
                if change > self._followed and self._owns(record.site_id):
                    self._under_way[record.site_id, record.store, record.version] = change
                    records.append(record)
        self._state = state
        self._note_followed()

    def _note_followed(self) -> None:
        """Keep the place: before what is not durable yet, past what other shards write."""
        reached = min(self._under_way.values(), default=self._seen + 1) - 1
        if reached > self._followed:
            self._followed = reached
            self._guarded(lambda: self._inventory.set_followed(self._follower, reached))

    def _guarded(self, work: Callable[[], object]) -> bool:
        """Do what can wait; whether it could be done."""
        try:
            work()
        except Transient as error:
            _log.warning("postponed until the inventory or the disk answers", error=str(error))
            return False
        return True


def _is_news(clock: ClockRecord, kept: ClockRecord | None) -> bool:
    if kept is None or clock.fault != kept.fault:
        return True
    aged = clock.measured_ms - kept.measured_ms >= HOUR_MS
    return aged or abs(clock.skew_ms - kept.skew_ms) > SKEW_NEWS_MS
