"""What ingest counts, for Prometheus. Every discard has its reason here."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from contracts.batch import Batch
from contracts.events import CONFIG_SOURCE, INGEST_SOURCE
from contracts.hops import Hop, HopTimes

_OWN = {CONFIG_SOURCE, INGEST_SOURCE}


class Counters:
    """The metrics of one shard, in ``registry`` (default: one of its own)."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        at = self.registry
        self.received = Counter("linli_ingest_messages", "messages from the broker, probes left out", registry=at)
        self.accepted = Counter("linli_ingest_events", "events handed to the log", registry=at)
        self.rejected = Counter("linli_ingest_rejected", "messages refused", ["reason"], registry=at)
        self.dropped = Counter(
            "linli_ingest_dropped_fields", "parts of accepted messages that were wrong", ["reason"], registry=at
        )
        self.skipped = Counter("linli_ingest_skipped", "messages passed over", ["reason"], registry=at)
        self.held = Counter("linli_ingest_held", "events held back by a device's rate", registry=at)
        self.holding = Gauge("linli_ingest_holding", "events waiting for their device's rate now", registry=at)
        self.batches = Counter("linli_ingest_batches", "records appended to the log", registry=at)
        self.appended = Counter("linli_ingest_appended", "events durable in the log", registry=at)
        self.append_failures = Counter(
            "linli_ingest_append_failures", "appends that had to be tried again", registry=at
        )
        self.append_s = Histogram("linli_ingest_append_seconds", "time of one append, fsync included", registry=at)
        self.connected = Gauge("linli_ingest_connected", "1 while the broker session stands", registry=at)
        self.watermark_lag_ms = Gauge("linli_ingest_watermark_lag_ms", "the watermark behind the clock", registry=at)
        self.interruptions = Counter("linli_ingest_interruptions", "times ingest was not listening", registry=at)
        self.clock_steps = Counter("linli_ingest_clock_steps", "jumps of the wall clock above 2 s", registry=at)
        self.skewed_clocks = Gauge("linli_ingest_skewed_clocks", "clocks off by more than 250 ms", registry=at)

        self.device_accepted = HopTimes(Hop.DEVICE_TO_ACCEPTED)
        self.accepted_durable = HopTimes(Hop.ACCEPTED_TO_DURABLE)

    def durable(self, batches: Sequence[Batch], now_ms: int) -> None:
        """Note that these are in the log since ``now_ms`` (wall time). Called by the log's thread alone."""
        self.batches.inc(len(batches))
        self.appended.inc(sum(len(batch.events) for batch in batches))
        said = [event for batch in batches for event in batch.events if event.source_id not in _OWN]
        self.device_accepted.add(event.received_ms - event.at_ms for event in said if not event.stored)
        self.accepted_durable.add(now_ms - event.received_ms for event in said)

    def value(self, name: str, **labels: str) -> float:
        """Return a metric's present value by its exposed name (``…_total`` for counters); 0 when it never moved."""
        return self.registry.get_sample_value(name, labels) or 0.0
