"""The findings topic of a real broker into incidents: findings, alarms, gaps and a topic that was made again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.settings.loading import load_settings
from app.settings.settings import Settings
from app.wiring.district import topic_names
from app.wiring.rule_facts import finding_facts
from app.wiring.sources import open_findings, open_logs
from contracts.batch import Batch
from contracts.errors import ConfigurationError, LogBroken
from contracts.findings import Phase, Severity
from incidents.intake import topic_relay
from incidents.intake.intake import Intake
from incidents.store.operator_alarms import standing_alarms
from incidents.store.store import Store
from inventory.last_seen_log import LastSeenFollower
from streams.checkpoints.driver_alarms import DriverAlarm
from streams.checkpoints.findings_topic import FindingsRecord, PartitionAlarm, encode_findings_record
from streams.kafka import KafkaCluster
from streams.log.kafka.kafka_log import KafkaLogWriter
from streams.topics import TopicNames
from tests.incidents.builders import T0, make_directory, make_finding, make_store
from tests.streams.support import T0 as LOG_T0
from tests.streams.support import passage
from tests.support.kafka import RunningKafka, make_topics

pytestmark = [pytest.mark.service, pytest.mark.patient, pytest.mark.patient]
PARTITIONS = 2


class Topic:
    """A district's topics, incidents over them, and the hand a worker writes with."""

    def __init__(self, url: str, folder: Path) -> None:
        self.names: TopicNames = make_topics(url, partitions=PARTITIONS)
        self.cluster = KafkaCluster(url)
        self.sender = self.cluster.producer()
        self.store: Store = make_store(folder)
        environ = {"LINLI_LOG_URL": url, "LINLI_KAFKA_PREFIX": self.names.prefix}
        self.settings: Settings = load_settings(None, environ | {"LINLI_KAFKA_PARTITIONS": str(PARTITIONS)})
        assert topic_names(self.settings) == self.names

    def say(self, partition: int, *said: FindingsRecord) -> None:
        for one in said:
            self.sender.send(self.names.findings, partition, encode_findings_record(one))
        self.sender.flush(30)

    def intake(self, source: str) -> Intake:
        return Intake(self.store, make_directory(), finding_facts(), ["hook"], source=source)

    def take(self) -> int:
        """Everything, as a new process does; how many records it was."""
        findings = open_findings(self.settings, self.intake)
        try:
            return sum(_drain(relay.step) for relay in findings.relays.values())
        finally:
            findings.close()

    def alarms(self) -> list[tuple[str, str]]:
        with self.store.read() as connection:
            return [(alarm.code.value, alarm.detail) for alarm in standing_alarms(connection)]

    def close(self) -> None:
        self.store.close()
        self.cluster.close()


def _drain(step: Callable[[], int]) -> int:
    taken = 0
    while more := step():
        taken += more
    return taken


@pytest.fixture
def topic(kafka: RunningKafka, tmp_path: Path) -> Iterator[Topic]:
    made = Topic(kafka.url, tmp_path)
    yield made
    made.close()


def test_findings_are_taken_once_and_what_workers_complain_of_is_an_alarm(topic: Topic) -> None:
    stuck = PartitionAlarm(DriverAlarm.PARTITION_STUCK, 1, "position 7", T0)
    blocked = PartitionAlarm(DriverAlarm.STORE_BLOCKED, 1, "only in the worker's log", T0)
    topic.say(0, make_finding(), make_finding(nth=1, phase=Phase.UPDATE))
    waits = PartitionAlarm(DriverAlarm.SNAPSHOT_WAITS, 1, "snapshot of site s2", T0)
    topic.say(1, make_finding(site="s2"), stuck, blocked, waits)
    assert topic.take() == 6
    assert topic.take() == 0  # also when the last that was said was no finding
    topic.say(0, make_finding())  # a worker that died says it again
    topic.say(1, make_finding(site="s2", key="door-2"))
    assert topic.take() == 2
    assert topic.alarms() == [("partition_stuck", "position 7"), ("snapshot_waits", "snapshot of site s2")]
    with topic.store.read() as connection:
        rows = connection.exec_driver_sql("SELECT site_id FROM incidents ORDER BY ordinal").scalars().all()
    assert rows == ["s1", "s2", "s2"]


def test_one_id_with_two_contents_is_an_alarm_and_the_first_stands(topic: Topic) -> None:
    topic.say(0, make_finding(), make_finding(severity=Severity.INFO, position=4), make_finding(key="door-2"))
    assert topic.take() == 3
    ((code, detail),) = topic.alarms()
    assert code == "finding_contradicts"
    assert f"finding {make_finding().finding_id} of stranger_entry at site s1" in detail
    assert "position 0 (rule version 1) and position 4 (rule version 1) differ in severity" in detail
    with topic.store.read() as connection:
        rows = connection.exec_driver_sql("SELECT severity_rank FROM incidents ORDER BY ordinal").scalars().all()
    assert rows == [make_finding().severity.rank] * 2


def test_findings_gone_before_they_were_read_raise_an_alarm_and_the_rest_is_read(
    topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic.say(0, *(make_finding(key=f"door-{n}") for n in range(3)))
    assert topic.take() == 3
    topic.say(0, *(make_finding(key=f"late-{n}") for n in range(3)))
    findings = open_findings(topic.settings, topic.intake)
    relay = next(iter(findings.relays.values()))
    assert isinstance(relay, topic_relay.TopicRelay)

    def gone(_n: int, _limit: int) -> list[tuple[int, FindingsRecord]]:
        raise LogBroken("gone")

    monkeypatch.setattr(relay._findings, "records_after", gone)
    monkeypatch.setattr(relay, "_begin", lambda: 5)
    assert relay.step() == 2
    findings.close()
    assert topic.alarms() == [("log_gap", "findings 3 to 4 were gone before they were read")]
    assert topic.take() == 1


def test_a_recreated_topic_ends_the_process_and_a_new_start_reads_it_whole(
    topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic_relay, "_LOOK_S", 0.01)
    topic.say(0, make_finding())
    assert topic.take() == 1
    findings, stop = open_findings(topic.settings, topic.intake), threading.Event()
    topic.cluster.delete_topic(topic.names.findings)
    with pytest.raises((LogBroken, ConfigurationError), match=r"made again|topics create"):
        findings.watch(stop)
    findings.close()


def test_devices_are_heard_through_the_log_of_others_from_a_while_ago_on(topic: Topic) -> None:
    log = KafkaLogWriter(topic.cluster, topic.names.log, range(PARTITIONS))
    for n in range(12):
        events = (passage(f"e{n}", n * 60_000),)
        log.append([Batch(partition=0, watermark_ms=LOG_T0 + n * 60_000, events=events)])
    log.append([Batch(partition=1, watermark_ms=LOG_T0, events=(passage("o", 1, site_id="s2"),))])
    logs = open_logs(topic.settings)
    heard = LastSeenFollower(logs.readers, LOG_T0 + 9 * 60_000)
    while heard.step():
        pass
    (device,) = heard.last_seen("s1").values()
    assert (device.last_heard_ms, device.online) == (LOG_T0 + 11 * 60_000, True)
    assert heard.last_seen("s2") == {}
    log.append([Batch(partition=1, watermark_ms=LOG_T0 + 1, events=(passage("p", 2, site_id="s2"),))])
    deadline_s = time.monotonic() + 30.0  # what follows many partitions hears a moment later
    while not heard.last_seen("s2"):
        heard.step()
        assert time.monotonic() < deadline_s
    assert len(heard.last_seen("s2")) == 1
    logs.close()
    log.close()
