"""One shard of ingest: devices' messages become the batches, and so the time, of the partitions it owns.

Three threads: the MQTT client's, which only fills the inbox; the log's, which only appends; and this one, in which all
decisions are made, by pure parts. The order of a message: inbox → pipeline → batcher → log → PUBACK and ``got``.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Sequence

import msgspec
import structlog

from contracts.batch import Batch
from contracts.errors import ConfigurationError, Permanent
from contracts.events import AnyEvent, Configuration, SiteConfigured, is_life_safety
from ingest.counters import Counters
from ingest.pipeline.acks import PubackQueue
from ingest.pipeline.batcher import BatchCut, Batcher, collect_ms, cut_together
from ingest.pipeline.ingest_events import clock_shifts, interruptions
from ingest.pipeline.pipeline import (
    UNKNOWN_BEHIND_MS,
    Accepted,
    Arrival,
    Deferred,
    IngestPipeline,
    MessageOutcome,
    PendingAck,
    Refused,
    Skipped,
    SkipReason,
)
from ingest.pipeline.shard_assignment import ShardAssignment
from ingest.pipeline.spool_acks import SpoolAckTracker
from ingest.session.probes import ProbeSchedule
from ingest.session.session import Connected, Disconnected, Ended, MqttSession, Signal
from ingest.session.watermark import Probe, Watermark
from ingest.settings import ShardSettings, broker_address
from ingest.shard.dead_letters import DeadLetters
from ingest.shard.housekeeping import Housekeeping
from ingest.shard.inbox import Inbox
from ingest.shard.system_clock import SystemClock
from ingest.shard.writer import Appender, Durable, LogFailed
from inventory.inventory import Inventory
from streams.log.port import LogWriter

TIMELY_MS = 1_000
"""While the watermark lags more than this the broker has a queue for us, and delays tell nothing about clocks."""
MAX_WAIT_S = 0.25
CLOCK_EVERY = 64
"""Messages that share a reading of the clock: what comes together was received together."""
DRAIN_S = 10.0
_PROBE = msgspec.json.Decoder(Probe)
_log = structlog.get_logger("ingest.shard.shard")


class Shard:
    """One shard; :meth:`run` it in a thread, or step it in tests.

    Args:
        settings: what is wired.
        log: the log of the partitions it owns; only its writer thread calls it.
        inventory: whose changes it follows into the log.
        dead_letters: where refused input goes.
        counters: the metrics.
        on_refused: told of every refusal (reason, event id if it was readable), in the shard's thread.
    """

    def __init__(
        self,
        settings: ShardSettings,
        log: LogWriter,
        inventory: Inventory,
        dead_letters: DeadLetters,
        *,
        counters: Counters | None = None,
        on_refused: Callable[[Refused], None] | None = None,
    ) -> None:
        self.settings, self.counters = settings, counters or Counters()
        self._log, self._on_refused = log, on_refused
        self._run_id = secrets.token_hex(4)
        self._assignment = ShardAssignment(settings)
        self._address = broker_address(settings.mqtt_url, settings.password, settings.tls)
        self._inbox: Inbox[Signal | Durable | LogFailed] = Inbox(settings.inbox_messages)
        self._pipeline = IngestPipeline(settings, self._run_id)
        self._house = Housekeeping(settings, inventory, dead_letters, self._pipeline)
        self._acks, self._spool_acks = PubackQueue(), SpoolAckTracker()
        self._last_ms = log.last_watermark_ms()
        self._clock = SystemClock(self._last_ms)
        self._received = self._accepted = 0  # in this turn
        self._connection = 0
        self._cuts: dict[int, BatchCut[PendingAck]] = {}
        self._plan, self._ready = ProbeSchedule(settings), threading.Event()

    @property
    def ready(self) -> bool:
        """Whether it listens: connected, and the first probe came back."""
        return self._ready.is_set()

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait until :attr:`ready`; whether it came to that."""
        return self._ready.wait(timeout_s)

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop``, then finish what was accepted. Blocks.

        Raises:
            Permanent: another process took over the session, or the log failed for good.
            ConfigurationError: the broker refuses us, or the settings contradict each other.
        """
        self._open()
        try:
            while not stop.is_set():
                self._turn(self._inbox.take(self._idle_s(), own_only=self._full()))
            self._drain()
        finally:
            self._close()

    # --- beginning and end --------------------------------------------------------------------------------------------

    def _open(self) -> None:
        now_ms = self._clock.now_ms()
        owned = self._assignment.partitions
        self._collect_ms = collect_ms(len(owned))
        self._batchers = {p: Batcher[PendingAck](p, now_ms, self._collect_ms) for p in owned}
        self._watermark = Watermark(self._run_id, now_ms)
        records = self._house.load()
        self._appender = Appender(
            self._log,
            lambda batches: self._inbox.put_now(Durable(batches)),
            lambda error: self._inbox.put_now(LogFailed(error)),
            self.counters,
        )
        self._appender.start()
        self._session = MqttSession(
            self._address,
            self.settings.client_id,
            self._filters(),
            self._assignment.probe_topic,
            self._inbox.put,
            self.settings.protocol,
        )
        if self._clock.offset_ms:  # the machine's clock lies behind the log: whatever it says now is the time
            self._tell_shift(self._clock.offset_ms, now_ms)
        self._follow(records, now_ms)
        self._session.start()

    def _drain(self) -> None:
        """Put everything accepted into the log and answer it before the session is left."""
        end_s = time.monotonic() + DRAIN_S
        while time.monotonic() < end_s:
            cuts = [cut for b in self._batchers.values() if (cut := b.drain(self._clock.now_ms())) is not None]
            self._write(cuts)
            if not self._cuts and not any(len(b) for b in self._batchers.values()):
                break
            for signal in self._inbox.take(MAX_WAIT_S, own_only=True):
                self._handle(signal, self._clock.now_ms())
        self._answer()

    def _close(self) -> None:
        self._inbox.close()
        self._session.stop()
        self._appender.stop(DRAIN_S)
        self._house.tick(self._clock.now_ms(), force=True)
        self.counters.connected.set(0)

    # --- one turn -----------------------------------------------------------------------------------------------------

    def _turn(self, signals: Sequence[Signal | Durable | LogFailed]) -> None:
        now_ms = self._clock.now_ms()
        for nth, signal in enumerate(signals, 1):
            self._handle(signal, now_ms)
            if nth % CLOCK_EVERY == 0:
                now_ms = self._clock.now_ms()
        now_ms = self._clock.now_ms()
        self._follow_clock(now_ms)
        for accepted in self._pipeline.release(now_ms):
            self._accept(accepted, now_ms)
        self._follow(self._house.changes(now_ms), now_ms)
        self._probe(now_ms)
        self._write(cut_together(self._batchers.values(), now_ms, self._collect_ms // 2))
        self._answer()
        if self._house.tick(now_ms):
            self.counters.skewed_clocks.set(len(self._pipeline.clocks.skews_ms()))
        self._count()
        self.counters.holding.set(self._pipeline.deferred)
        self.counters.watermark_lag_ms.set(self._watermark.lag_ms(now_ms))

    def _follow_clock(self, now_ms: int) -> None:
        """Move the log's time after the machine's clock, once that has stayed elsewhere."""
        self.counters.clock_steps.inc(len(self._clock.take_steps()))
        if shift_ms := self._clock.due_shift_ms():
            self._clock.shift(shift_ms)
            self._tell_shift(shift_ms, now_ms)
        self._pipeline.doubted = bool(self._house.host_clock(self._clock.doubt(agreed=self._pipeline.clocks.agreed)))

    def _tell_shift(self, shift_ms: int, now_ms: int) -> None:
        """Put the new time before all that is not in the log yet."""
        _log.warning("the log's time follows the machine's clock", shift_ms=shift_ms)
        self._pipeline.shift(shift_ms)
        self._house.shifted(shift_ms, now_ms)
        told = clock_shifts(self._run_id, self._own_sites(), shift_ms, now_ms, now_ms + self._clock.offset_ms)
        for partition, batcher in self._batchers.items():
            own = (event for event in told if self._assignment.partition(event.site_id) == partition)
            batcher.shift(shift_ms, list(own), PendingAck(), now_ms)

    def _handle(self, signal: Signal | Durable | LogFailed, now_ms: int) -> None:
        match signal:
            case Arrival():
                self._arrived(signal, now_ms)
            case Durable():
                self._durable(signal.batches)
            case Connected():
                self._connected(signal, now_ms)
            case Disconnected():
                self._disconnected(signal.reason)
            case Ended():
                raise (ConfigurationError if signal.configuration else Permanent)(signal.reason)
            case LogFailed():
                raise Permanent(f"the log cannot be written: {signal.error}") from signal.error

    def _count(self) -> None:
        """Count once a turn: a metric moved for each message costs as much as its clock."""
        self.counters.received.inc(self._received)
        self.counters.accepted.inc(self._accepted)
        self._received = self._accepted = 0

    def _full(self) -> bool:
        """Return whether the log is so far behind that no more messages are taken; TCP then slows the broker down."""
        return sum(len(b) for b in self._batchers.values()) >= self.settings.inbox_messages

    def _idle_s(self) -> float:
        """Return how long nothing needs doing, unless a signal comes."""
        now_ms = self._clock.now_ms()
        due = [due_ms for b in self._batchers.values() if (due_ms := b.due_ms(now_ms)) is not None]
        if self._connection:
            due.append(self._plan.due_ms)
        if self._pipeline.deferred:
            due.append(now_ms + 20)
        return min(max((min(due, default=now_ms + 250) - now_ms) / 1000, 0.0), MAX_WAIT_S)

    # --- messages -----------------------------------------------------------------------------------------------------

    def _arrived(self, arrival: Arrival, now_ms: int) -> None:
        if self._plan.broker_stalled(now_ms) and self._watermark.mark_ms:
            _log.warning("the broker stood still", from_ms=self._watermark.mark_ms)
            self._interrupted(self._watermark.mark_ms, now_ms)  # what devices told it meanwhile may come behind a probe
        self._plan.heard(now_ms)
        receipt = self._acks.received(arrival.mid, arrival.connection) if arrival.qos else None
        if arrival.topic == self._assignment.probe_topic:
            self._probe_returned(arrival.payload)
            self._finish(PendingAck(receipt))
            return
        self._received += 1
        timely = self._watermark.mark_ms > 0 and self._watermark.lag_ms(now_ms) < TIMELY_MS
        proven_ms = self._watermark.mark_ms or self._last_ms
        behind_ms = now_ms - proven_ms if proven_ms else UNKNOWN_BEHIND_MS
        self._settle(self._pipeline.take(arrival, receipt, now_ms, timely=timely, behind_ms=behind_ms), now_ms)

    def _settle(self, outcome: MessageOutcome, now_ms: int) -> None:
        if type(outcome) is Accepted or type(outcome) is Deferred:
            for fault in outcome.faults:
                self.counters.dropped.labels(fault.reason).inc()
        match outcome:
            case Accepted():
                self._accept(outcome, now_ms)
            case Deferred():
                self.counters.held.inc()
                if outcome.pending_ack.receipt is not None:
                    self._acks.detach(outcome.pending_ack.receipt)
            case Refused():
                self._refuse(outcome, now_ms)
            case Skipped():
                if outcome.reason is not SkipReason.NOT_FOR_INGEST:
                    self.counters.skipped.labels(outcome.reason).inc()
                if outcome.lane is not None:
                    self._spool_acks.repeat(outcome.lane, now_ms)
                self._finish(outcome.pending_ack)

    def _accept(self, accepted: Accepted, now_ms: int) -> None:
        self._accepted += 1
        self._batchers[accepted.partition].add(accepted.event, accepted.pending_ack, now_ms)
        self._plan.accepted(now_ms, life_safety=is_life_safety(accepted.event))

    def _refuse(self, refused: Refused, now_ms: int) -> None:
        self.counters.rejected.labels(refused.reason).inc()
        self._house.dead_letter(refused, now_ms)
        if self._on_refused is not None:
            self._on_refused(refused)
        if refused.pending_ack.row is not None:  # answered in its lane's order, so after the rows before it
            self._batchers[refused.partition].follow(refused.pending_ack, now_ms)
        else:
            self._finish(refused.pending_ack)

    # --- the log ------------------------------------------------------------------------------------------------------

    def _write(self, cuts: Sequence[BatchCut[PendingAck]]) -> None:
        batches = []
        for cut in cuts:
            if cut.batch is None:
                for pending_ack in cut.receipts:
                    self._finish(pending_ack)
            else:
                self._cuts[cut.batch.partition] = cut
                batches.append(cut.batch)
        if batches:
            self._appender.submit(batches)

    def _durable(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            self._batchers[batch.partition].appended()
            for pending_ack in self._cuts.pop(batch.partition).receipts:
                self._finish(pending_ack)
        self._house.durable(batches)

    def _finish(self, pending_ack: PendingAck) -> None:
        if pending_ack.receipt is not None:
            self._acks.finish(pending_ack.receipt)
        if pending_ack.row is not None:
            self._spool_acks.durable(pending_ack.row.key, pending_ack.row.seq)

    def _answer(self) -> None:
        if not self._connection:
            return
        mids = self._acks.take(self._connection)
        if mids:
            self._session.ack(self._connection, mids)
        for topic, payload in self._spool_acks.take():
            self._session.publish(topic, payload)

    # --- the session --------------------------------------------------------------------------------------------------

    def _connected(self, signal: Connected, now_ms: int) -> None:
        _log.info("connected", connection=signal.connection, resumed=signal.resumed)
        self._connection = signal.connection
        self._plan.connected(now_ms, proven=self.ready)
        self.counters.connected.set(1)
        if from_ms := max(self._watermark.mark_ms, self._last_ms):
            self._interrupted(from_ms, now_ms)

    def _interrupted(self, from_ms: int, to_ms: int) -> None:
        self.counters.interruptions.inc()
        at_ms = self._clock.offset_ms
        for event in interruptions(self._run_id, self._own_sites(), from_ms + at_ms, to_ms + at_ms):
            self._say(event, to_ms)

    def _disconnected(self, reason: str) -> None:
        _log.warning("disconnected", reason=reason)
        self._connection = 0
        self.counters.connected.set(0)
        self._acks.disconnected()
        self._watermark.disconnected()

    def _say(self, event: AnyEvent, now_ms: int) -> None:
        """Put an event of ingest itself, or a configuration record, among what was accepted."""
        self._batchers[self._assignment.partition(event.site_id)].add(event, PendingAck(), now_ms)

    def _probe(self, now_ms: int) -> None:
        if not self._connection or now_ms < self._plan.due_ms:
            return
        if self._plan.silent(now_ms):
            _log.warning("nothing comes back over this connection; connecting again")
            self._plan.heard(now_ms)
            self._session.reset()
            return
        self._plan.sent(now_ms)
        probe = msgspec.json.encode(self._watermark.send(now_ms))
        self._session.publish(self._assignment.probe_topic, probe, retain=True)  # a former owner learns of us

    def _probe_returned(self, payload: bytes) -> None:
        try:
            probe = _PROBE.decode(payload)
        except msgspec.DecodeError:
            _log.warning("a foreign message on our probe topic", size=len(payload))
            return
        if taken := self._watermark.returned(probe):
            raise Permanent(f"another process ({taken.run}) uses our client id {self.settings.client_id!r}")
        for batcher in self._batchers.values():
            batcher.mark(self._watermark.mark_ms)
        if self._watermark.mark_ms:
            self._ready.set()

    # --- configuration ------------------------------------------------------------------------------------------------

    def _follow(self, records: Sequence[Configuration], now_ms: int) -> None:
        for record in records:
            if self._assignment.owns(record.site_id):
                at_ms = now_ms + self._clock.offset_ms
                self._say(msgspec.structs.replace(record, at_ms=at_ms, received_ms=at_ms), now_ms)
        if any(isinstance(record, SiteConfigured) for record in records):
            self._session.subscribe(self._filters())

    def _own_sites(self) -> list[tuple[str, str]]:
        return self._assignment.sites(self._pipeline.admission.sites().items())

    def _filters(self) -> list[str]:
        return self._assignment.filters(self._pipeline.admission.sites().items())
