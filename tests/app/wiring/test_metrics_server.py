"""Each process shows what it counts at an address of its own."""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from app.settings.loading import load_settings
from app.settings.settings import Settings
from app.wiring.incident_figures import IncidentFigures
from app.wiring.metrics_server import Metrics
from app.wiring.rule_facts import finding_facts
from contracts.errors import ConfigurationError
from contracts.hops import HOP_BOUNDS_MS, Hop
from incidents.intake.intake import Intake
from ingest.counters import Counters
from tests.incidents.builders import ManualClock, make_directory, make_finding, make_store


def _settings(port: str) -> Settings:
    return load_settings(None, {"LINLI_METRICS_PORT": port})


def _read(url: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    with urllib.request.urlopen(url, timeout=30) as answer:
        text = answer.read().decode()
    families = text_string_to_metric_families(text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def _labels(**labels: str) -> frozenset[tuple[str, str]]:
    return frozenset(labels.items())


def test_it_shows_counters_figures_hops_and_which_process_it_is_and_logs_where() -> None:
    metrics = Metrics("ingest")
    counters = Counters()
    counters.received.inc(7)
    metrics.add(counters.registry)
    metrics.add_figures(lambda: {"records_behind": 3})
    for took_ms in ([40, 90_000], [40]):  # two threads count one hop
        metrics.hop(Hop.DUE_TO_DECIDED).add(took_ms)
    with capture_logs() as lines:
        url = metrics.serve(_settings("0"))
    try:
        assert url is not None
        assert lines == [{"event": "metrics", "process": "ingest", "url": url, "log_level": "info"}]
        found = _read(url)
    finally:
        metrics.close()
    assert found["linli_ingest_messages_total", _labels()] == 7
    assert found["linli_records_behind", _labels()] == 3
    assert found["linli_hop_seconds_count", _labels(hop="due_to_decided")] == 3
    assert found["linli_hop_seconds_bucket", _labels(hop="due_to_decided", le="0.05")] == 2
    assert found["linli_hop_seconds_sum", _labels(hop="due_to_decided")] == pytest.approx(90.08)
    assert found["process_resident_memory_bytes", _labels()] > 0
    assert [labels for name, labels in found if name == "linli_process_info" and ("process", "ingest") in labels]
    buckets = [name for name, labels in found if name.endswith("_bucket") and ("hop", "due_to_decided") in labels]
    assert len(buckets) == len(HOP_BOUNDS_MS) + 1


def test_processes_that_share_a_setting_take_the_next_free_port() -> None:
    first, second, third = Metrics("streams"), Metrics("streams"), Metrics("console")
    try:
        port = int((first.serve(_settings("0")) or "").rsplit(":", 1)[1].split("/")[0])
        url = second.serve(_settings(str(port)))
        assert url is not None
        assert port < int(url.rsplit(":", 1)[1].split("/")[0]) <= port + 100
        assert _read(url)
        assert third.serve(_settings("off")) is None
    finally:
        for metrics in (first, second, third):
            metrics.close()


def test_a_host_that_is_not_ours_is_named() -> None:
    settings = load_settings(None, {"LINLI_METRICS_HOST": "192.0.2.1", "LINLI_METRICS_PORT": "9100"})
    with pytest.raises(ConfigurationError, match=r"metrics\.port 9100 on 192\.0\.2\.1"):
        Metrics("ingest").serve(settings)
    with pytest.raises(ConfigurationError, match=r"metrics\.port = 'on'.*expected off, or a port"):
        load_settings(None, {"LINLI_METRICS_PORT": "on"})


def test_waiting_deliveries_and_standing_alarms_are_looked_up_when_asked(tmp_path: Path) -> None:
    store, clock = make_store(tmp_path), ManualClock()
    intake = Intake(store, make_directory(), finding_facts(), ["hook", "grid"], clock_ms=clock)
    intake.take([(1, make_finding()), (2, make_finding(rule="rule_failed"))])
    clock.advance(4_000)
    shown = _samples(IncidentFigures(store, clock_ms=clock))
    store.close()
    assert shown["linli_deliveries_pending", _labels(receiver="hook")] == 2
    assert shown["linli_delivery_age_seconds", _labels(receiver="grid")] == 4
    assert shown["linli_alarms", _labels(code="rule_failed")] == 1


def _samples(figures: IncidentFigures) -> Mapping[tuple[str, frozenset[tuple[str, str]]], float]:
    return {(s.name, frozenset(s.labels.items())): s.value for family in figures.collect() for s in family.samples}
