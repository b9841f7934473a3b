"""What one process counts, as Prometheus reads it: ``http://HOST:PORT/metrics``. Every long-lived process serves one.

Nothing here is personal: names of metrics, reasons, receivers, partitions. On loopback unless told otherwise.
"""

from __future__ import annotations

import importlib.metadata
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from wsgiref.simple_server import WSGIServer, make_server

import structlog
from prometheus_client import CollectorRegistry, Info, ProcessCollector, make_wsgi_app
from prometheus_client.metrics_core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from app.settings.settings import Settings
from app.wiring.bounded_http import BoundedHttpServer, BoundedHttpServer6, FiguresHandler
from contracts.errors import ConfigurationError
from contracts.hops import HOP_BOUNDS_MS, Hop, HopTimes

TRIES = 100
LOG = structlog.get_logger("linli.metrics")

Figures = Callable[[], Mapping[str, float]]
"""Gives what stands at this moment, by the end of the metric's name."""


class Metrics:
    """Everything one process counts, and the server that shows it.

    Args:
        process: what it is: ``run``, ``ingest``, ``streams``, ``incidents``, ``console``, ``results``, ``archive``.
    """

    def __init__(self, process: str) -> None:
        self.process = process
        self._registry = CollectorRegistry()
        self._hops = _HopCollector()
        self._server: WSGIServer | None = None
        self._thread: threading.Thread | None = None
        ProcessCollector(registry=self._registry)
        Info("linli_process", "which process this is", registry=self._registry).info(
            {"process": process, "version": importlib.metadata.version("linli")}
        )
        self._registry.register(self._hops)

    def add(self, counted: CollectorRegistry | Collector) -> None:
        """Show what another registry or collector holds, too."""
        self._registry.register(counted)

    def add_hops(self, times: Iterable[HopTimes]) -> None:
        """Show these; several of one hop are added up."""
        self._hops.all += times

    def hop(self, hop: Hop) -> HopTimes:
        """Return a new one to count in, by one thread."""
        times = HopTimes(hop)
        self.add_hops([times])
        return times

    def add_figures(self, figures: Figures) -> None:
        """Show each figure as the gauge ``linli_NAME``; read when Prometheus asks."""
        self._registry.register(_FigureCollector(figures))

    def serve(self, settings: Settings) -> str | None:
        """Listen where ``metrics.host`` and ``metrics.port`` say, and log the address; None when it is off.

        Raises:
            ConfigurationError: none of a hundred ports is free, or the host is not ours.
        """
        wanted = settings.metrics.port
        if wanted is None:
            return None
        host = settings.metrics.host
        self._server, self._thread = _listen(self._registry, host, wanted)
        url = f"http://{f'[{host}]' if ':' in host else host}:{self._server.server_port}/metrics"
        LOG.info("metrics", process=self.process, url=url)
        return url

    def close(self) -> None:
        """Stop listening; safe to call when it never did."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None


def _listen(registry: CollectorRegistry, host: str, wanted: int) -> tuple[WSGIServer, threading.Thread]:
    """Listen on ``wanted`` or the next free port above, so that processes may share one setting; 0 takes any."""
    kind = BoundedHttpServer6 if ":" in host else BoundedHttpServer
    for port in range(wanted, min(wanted + TRIES, 65_536)) if wanted else [0]:
        try:
            server = make_server(host, port, make_wsgi_app(registry), kind, FiguresHandler)
        except OSError as error:
            last = error
        else:
            thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
            thread.start()
            return server, thread
    raise ConfigurationError(f"metrics.port {wanted} on {host} and the next ones cannot be listened on: {last}")


class _HopCollector(Collector):
    """The times of every hop as one histogram with a label."""

    def __init__(self) -> None:
        self.all: list[HopTimes] = []

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(
            "linli_hop_seconds", "the way from device to receiver, by stretch", labels=["hop"]
        )
        for hop in Hop:
            mine = [times for times in self.all if times.hop is hop]
            if mine:
                counts = [sum(each) for each in zip(*(times.cumulative() for times in mine), strict=True)]
                names = [*(str(bound / 1000) for bound in HOP_BOUNDS_MS), "+Inf"]
                family.add_metric([hop], list(zip(names, counts, strict=True)), sum(t.sum_ms for t in mine) / 1000)
        yield family


class _FigureCollector(Collector):
    """Figures that are looked up rather than counted."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        for name, value in self._figures().items():
            yield GaugeMetricFamily(f"linli_{name}", name.replace("_", " "), value=value)
