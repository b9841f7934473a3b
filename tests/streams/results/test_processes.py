"""``linli results run`` in a district, and ``linli run`` on one machine: real servers, real processes, kill -9."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from app.settings.loading import load_settings
from app.wiring.children import Child
from app.wiring.folder_lock import FolderLock
from app.wiring.process import ProcessContext
from app.wiring.results_process import wire_results
from app.wiring.rule_facts import finding_facts
from app.wiring.run_child import wait_until_ready
from app.wiring.threads import Threads
from contracts.durations import HOUR_MS
from contracts.errors import ConfigurationError, LinliError
from contracts.names import partition_of
from incidents.intake.intake import Intake
from incidents.store.store import Store
from inventory.inventory import Inventory
from streams.checkpoints.findings_topic import encode_findings_record
from streams.kafka import KafkaCluster
from streams.log.kafka.kafka_log import KafkaLogWriter
from streams.results.influx import Influx, InfluxCredentials
from streams.results.influx_url import parse_influx
from streams.results.query import Results, TimeRange
from streams.results.sqlite import SqliteResults
from system.clock import wall_ms
from tests.incidents.builders import make_directory, make_finding, make_store
from tests.streams.results.factories import batch, sample
from tests.support.district_run import district_settings, process
from tests.support.influx import Server, influxd
from tests.support.kafka import RunningKafka, make_topics
from tests.support.linli_run import ended, running, settings_over, wait_for
from tests.support.stores import postgresql_url

pytestmark = [pytest.mark.service, pytest.mark.patient, pytest.mark.timeout(300)]

PARTITIONS = 3


class District:
    """A log, findings and incidents that other processes have written, and the store that their results go to."""

    def __init__(self, folder: Path, kafka: RunningKafka, server: Server) -> None:
        self.folder = folder
        self.names = make_topics(kafka.url, partitions=PARTITIONS)
        self.cluster = KafkaCluster(kafka.url)
        self.url = f"influx://127.0.0.1:{server.port}/linli?version=1"
        self.settings = district_settings(folder, postgresql_url(folder), kafka.url) | {
            "LINLI_KAFKA_PREFIX": self.names.prefix,
            "LINLI_KAFKA_PARTITIONS": str(PARTITIONS),
            "LINLI_RESULTS_URL": self.url,
            "LINLI_RESULTS_SPOOL": str(folder / "spool.db"),
        }
        self.sent = 0
        self.now_ms = wall_ms()
        self.store = Store(postgresql_url(folder))
        self.intake = Intake(self.store, make_directory(), finding_facts(), ["hook"], source="test")

    def live(self, count: int) -> None:
        """So many more findings, twice in the topic as a worker that died leaves them, taken in as incidents."""
        sender = self.cluster.producer()
        found = [
            make_finding(site=f"s{n % 7}", key=f"door-{n}", onset_ms=self.now_ms - 60_000 + n // 5)
            for n in range(self.sent, self.sent + count)
        ]
        for finding in [*found, *found]:
            where = partition_of(finding.site_id, PARTITIONS)
            sender.send(self.names.findings, where, encode_findings_record(finding))
        sender.flush(30)
        sender.close()
        self.intake.take(list(enumerate(found, start=self.sent + 1)))
        self.sent += count

    def counted(self) -> tuple[int, int]:
        """Findings and incidents in the store of results."""
        store = Influx(parse_influx(self.url), InfluxCredentials())
        try:
            results, span = Results(store), TimeRange(self.now_ms - HOUR_MS, self.now_ms + HOUR_MS)
            findings, incidents = results.findings_per_hour(span), results.incidents_per_hour(span)
        except LinliError:
            return (0, 0)
        finally:
            store.close()
        return sum(count.count for count in findings), sum(count.count for count in incidents)

    @contextmanager
    def results(self, name: str) -> Iterator[Child]:
        """``linli results run``."""
        with process(name, self.folder, "results", "run", settings=self.settings) as child:
            yield child


@pytest.fixture
def district(tmp_path: Path, kafka: RunningKafka) -> Iterator[tuple[District, Server]]:
    (tmp_path / "influx").mkdir()
    with influxd(tmp_path / "influx") as server:
        made = District(tmp_path, kafka, server)
        yield made, server
        made.store.close()
        made.cluster.close()


def test_a_district_results_survive_a_kill_and_an_outage_and_count_everything_once(
    district: tuple[District, Server],
) -> None:
    made, server = district
    writer = KafkaLogWriter(made.cluster, made.names.log, range(PARTITIONS))
    writer.append([batch(n * 30.0, sample(n * 30.0, 5.0)) for n in range(10)])
    writer.close()
    with made.results("one") as one:
        wait_for(one, lambda: "ready" in one.tail(), "ready")
        made.live(200)
        wait_for(one, lambda: made.counted() == (200, 200), "results of the first findings")
        server.kill()
        made.live(100)
        wait_for(one, lambda: "does not answer" in one.tail(10**6), "word of the store")
        os.kill(one.pid, signal.SIGKILL)
    server.start()
    with made.results("two") as two:
        made.live(100)
        wait_for(two, lambda: made.counted() == (400, 400), "everything, once")
        assert made.counted() == (400, 400)
        psutil.Process(two.pid).send_signal(signal.SIGTERM)
        assert ended(two) == 0, two.tail()


def test_a_spool_in_use_and_one_machines_log_are_refused_before_anything_is_asked(tmp_path: Path) -> None:
    def refused(log_url: str) -> str:
        environ = {"LINLI_LOG_URL": log_url, "LINLI_RESULTS_SPOOL": str(tmp_path / "spool.db")}
        with ExitStack() as opened, pytest.raises(ConfigurationError) as caught:
            wire_results(load_settings(None, environ), ProcessContext(Threads(), opened))
        return str(caught.value)

    with FolderLock(tmp_path, "results.spool", "results.lock"):
        assert "results.spool" in refused("kafka://127.0.0.1:1")
    assert "linli run" in refused("sqlite:///here")


def test_one_machine_carries_its_results_itself(tmp_path: Path) -> None:
    Inventory(tmp_path / "config.db").close()
    store = make_store(tmp_path)
    Intake(store, make_directory(), finding_facts(), [], source="test").take(
        [(1, make_finding(onset_ms=wall_ms() - 1_000))]
    )
    store.close()
    settings = settings_over(tmp_path, mqtt_embedded="amqtt")
    with running(tmp_path, settings) as child:
        wait_until_ready(child)
        wait_for(child, lambda: _opened(tmp_path) == 1, "its incident among the results")
        psutil.Process(child.pid).send_signal(signal.SIGTERM)
        assert ended(child) == 0, child.tail()


def _opened(folder: Path) -> int:
    store = SqliteResults(folder / "results.db")
    try:
        counts = Results(store).incidents_per_hour(TimeRange(wall_ms() - HOUR_MS, wall_ms() + HOUR_MS))
    finally:
        store.close()
    return sum(count.count for count in counts)
