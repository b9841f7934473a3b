"""What judges one partition of a log, in whatever process, and what measures its decisions."""

from __future__ import annotations

from app.wiring.metrics_server import Metrics
from contracts.erasure import ReferenceKey
from detectors.registry import all_rules
from streams.engine.engine import Engine
from streams.runtime.decision_times import DecisionTimes


def engine_of(log_id: str, reference_key: ReferenceKey, *, partition: int = 0, partitions: int = 1) -> Engine:
    """Return an engine with every rule, for one partition of a log."""
    return Engine(all_rules(), partition=partition, partitions=partitions, log_id=log_id, reference_key=reference_key)


def shown_times(metrics: Metrics) -> DecisionTimes:
    """Return times of decisions to measure in, which the metrics of the process show."""
    times = DecisionTimes()
    metrics.add_hops([times.due, times.durable])
    return times
