"""What stands in the incidents' database, for Prometheus: looked up when it asks, by indexed queries."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from contracts.incidents import DeliveryState
from incidents.store.schema import alarms, deliveries
from incidents.store.store import Store
from system.clock import Clock, wall_ms

_PENDING = (
    select(deliveries.c.receiver, func.count(), func.min(deliveries.c.created_ms))
    .where(deliveries.c.state == DeliveryState.PENDING.value)
    .group_by(deliveries.c.receiver)
)
_STANDING = select(alarms.c.code, func.count()).where(alarms.c.cleared_ms.is_(None)).group_by(alarms.c.code)


class IncidentFigures(Collector):
    """Deliveries that wait, the age of the oldest, and the alarms that stand."""

    def __init__(self, store: Store, *, clock_ms: Clock = wall_ms) -> None:
        self._store = store
        self._clock_ms = clock_ms

    def collect(self) -> Iterator[Metric]:
        """Yield one family each, labelled with the receiver or the alarm's code."""
        with self._store.read() as connection:
            waiting = connection.execute(_PENDING).all()
            standing = connection.execute(_STANDING).all()
        now_ms = self._clock_ms()
        pending = GaugeMetricFamily("linli_deliveries_pending", "delivery rows not settled", labels=["receiver"])
        oldest = GaugeMetricFamily("linli_delivery_age_seconds", "age of the oldest of them", labels=["receiver"])
        for receiver, count, created_ms in waiting:
            pending.add_metric([receiver], count)
            oldest.add_metric([receiver], (now_ms - created_ms) / 1000)
        raised = GaugeMetricFamily("linli_alarms", "operator alarms that stand", labels=["code"])
        for code, count in standing:
            raised.add_metric([code], count)
        yield from (pending, oldest, raised)
