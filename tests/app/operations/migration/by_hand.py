"""What a district's processes do, done by hand and to the end: for districts that stand still."""

from __future__ import annotations

from sqlalchemy import select

from app.operations.migration.database_copy import COPIED
from app.wiring.rule_facts import finding_facts
from delivery.outbox import Outbox
from delivery.profiles import ReceiverProfile
from delivery.recording_receiver import RecordingReceiver
from detectors.registry import all_rules
from incidents.intake.intake import Intake
from incidents.intake.topic_relay import TopicRelay
from incidents.store.schema import counters
from incidents.store.store import Store
from streams.checkpoints.findings_topic import KafkaFindings
from streams.checkpoints.kafka import KafkaCheckpointStore
from streams.engine.engine import Engine
from streams.kafka import KafkaCluster
from streams.log.kafka.kafka_log import KafkaLogReader
from streams.runtime.partition_driver import PartitionDriver
from streams.topics import TopicNames
from tests.incidents.builders import make_directory

RECEIVER = "hook"


def judge(cluster: KafkaCluster, names: TopicNames) -> set[str]:
    """Return what a worker does with every partition, and drains them; the ids of all findings of the district."""
    tails, sender = cluster.tails(), cluster.producer()
    partitions = cluster.partitions(names.log)
    log_id, found = cluster.topic_id(names.log), set[str]()
    for number in range(partitions):
        engine = Engine(all_rules(), partition=number, partitions=partitions, log_id=log_id)
        log = KafkaLogReader(cluster, names.log, number, tails)
        driver = PartitionDriver(log, KafkaCheckpointStore(cluster, names, number, sender=sender, tails=tails), engine)
        driver.open()
        driver.drain()
        said = KafkaFindings(cluster, names.findings, number, tails).findings_after(0, 100_000)
        found |= {finding.finding_id for _, finding in said}
    sender.close()
    tails.close()
    return found


def take(cluster: KafkaCluster, names: TopicNames, store: Store) -> int:
    """Return what ``linli incidents run`` does with every partition of the findings; how many it read."""
    tails, taken = cluster.tails(), 0
    for number in range(cluster.partitions(names.findings)):
        source = KafkaFindings(cluster, names.findings, number, tails)
        intake = Intake(store, make_directory(), finding_facts(), [RECEIVER], source=source.identity())
        relay = TopicRelay(source, intake, tails(names.findings, number).begin)
        while step := relay.step():
            taken += step
    tails.close()
    return taken


def deliver(store: Store) -> None:
    """Tell the receiver everything that waits."""
    outbox = Outbox(store, RecordingReceiver(RECEIVER), ReceiverProfile(name=RECEIVER))
    while outbox.step():
        pass


def rows_of(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table, but for the cursors that the district keeps, in an order that does not matter."""
    with store.read() as connection:
        found = {table.name: sorted(map(tuple, connection.execute(select(table))), key=repr) for table in COPIED}
    found[counters.name] = [row for row in found[counters.name] if not str(row[0]).startswith(("intake/kafka", "migr"))]
    return found
