"""Figures of a worker's partitions for Prometheus, read when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streams.runtime.progress import PartitionProgress
from streams.runtime.worker import OwnedPartition

_PER_PARTITION = ("partition",)
_COUNTERS: dict[str, tuple[str, Callable[[OwnedPartition], float]]] = {
    "linli_streams_records": ("records fed", lambda owned: owned.driver.counts.records),
    "linli_streams_events": ("events judged", lambda owned: owned.driver.engine.counts.events),
    "linli_streams_findings": ("findings sent", lambda owned: owned.driver.counts.findings),
    "linli_streams_repeats": ("deliveries skipped as repeats", lambda owned: owned.driver.counts.repeats),
    "linli_streams_filled": ("records read from the log past a jump", lambda owned: owned.driver.counts.filled),
    "linli_streams_events_unread": (
        "events of kinds that this version does not know; passed over",
        lambda owned: owned.driver.unread.count,
    ),
    "linli_streams_ids_reused": (
        "events whose id their device had used before for something else; each was judged",
        lambda owned: owned.driver.engine.counts.ids_reused,
    ),
    "linli_streams_thresholds_passed_over": (
        "records of a threshold that no rule reads or that is out of range; what was in force stays so",
        lambda owned: owned.driver.engine.counts.thresholds_passed_over,
    ),
    "linli_streams_snapshot_bytes": ("bytes of rows kept", lambda owned: owned.driver.counts.saved_bytes),
}


class WorkerMetrics(Collector):
    """Metrics of a worker per partition that it owns now; a partition that moves starts again at 0 elsewhere.

    Args:
        owned: the partitions.
        progress: positions with the log's ends, as last seen.
        wall_ms: the clock that the age of watermarks is measured with.
    """

    def __init__(
        self,
        owned: Callable[[], Iterable[OwnedPartition]],
        progress: Callable[[], Mapping[int, PartitionProgress]],
        wall_ms: Callable[[], int],
    ) -> None:
        self._owned, self._progress, self._wall_ms = owned, progress, wall_ms

    def collect(self) -> Iterator[Metric]:
        """Yield the figures now."""
        owned = list(self._owned())
        for name, (text, value) in _COUNTERS.items():
            counter = CounterMetricFamily(name, text, labels=_PER_PARTITION)
            for one in owned:
                counter.add_metric([str(one.number)], value(one))
            yield counter
        opened = GaugeMetricFamily("linli_streams_open_seconds", "how long opening took", labels=_PER_PARTITION)
        for one in owned:
            opened.add_metric([str(one.number)], one.opened_s)
        yield opened
        yield from self._progress_of()

    def _progress_of(self) -> Iterator[Metric]:
        lag = GaugeMetricFamily("linli_streams_lag_records", "records not fed yet", labels=_PER_PARTITION)
        age = GaugeMetricFamily("linli_streams_watermark_age_seconds", "age of the time fed", labels=_PER_PARTITION)
        stopped = GaugeMetricFamily("linli_streams_stopped", "1: a person has to decide", labels=_PER_PARTITION)
        for number, partition in self._progress().items():
            lag.add_metric([str(number)], partition.lag)
            stopped.add_metric([str(number)], bool(partition.stopped))
            if partition.watermark_ms:
                age.add_metric([str(number)], (self._wall_ms() - partition.watermark_ms) / 1000)
        yield from (lag, age, stopped)
