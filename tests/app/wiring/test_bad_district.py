"""What a district does with a log that is poisoned, cut, made again, or kept by a newer program: loud, never silent."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from kafka import KafkaAdminClient, TopicPartition  # type: ignore[import-untyped]

from app.wiring.children import linli_arguments
from app.wiring.run_child import environment, start_child
from contracts.batch import Batch, encode_batch
from contracts.events import AnyEvent
from contracts.findings import Finding
from contracts.names import partition_of
from detectors.registry import all_rules
from ingest.session.broker import free_port
from streams.checkpoints.driver_alarms import DriverAlarm
from streams.checkpoints.findings_topic import KafkaFindings, PartitionAlarm
from streams.engine.batching import batches_of
from streams.engine.in_memory_run import run_file
from streams.engine.manifest import encode_manifest
from streams.kafka import KafkaCluster
from streams.topics import topic_specs
from tests.chaos.life import Life
from tests.support.district import District, Worker, district
from tests.support.kafka import RunningKafka
from tests.support.waiting import until

pytestmark = [pytest.mark.service, pytest.mark.patient, pytest.mark.slow]
PARTITIONS = 2
START_MS = 1_790_000_000_000


@pytest.fixture(scope="module")
def life() -> list[AnyEvent]:
    return Life(5, 4).file(START_MS, 20)


@pytest.fixture
def over(kafka: RunningKafka, tmp_path: Path) -> Iterator[District]:
    with district(kafka.url, tmp_path, partitions=PARTITIONS) as opened:
        yield opened


def test_poison_in_the_log_is_a_finding_and_everything_else_is_judged(over: District, life: list[AnyEvent]) -> None:
    records = [(batch.partition, encode_batch(batch)) for batch in batches_of(life, PARTITIONS)]
    foreign = encode_batch(Batch(partition=1, watermark_ms=0, events=()))
    poisoned = [(0, b"\xff no batch"), (0, foreign), (1, encode_batch(_of_another_site(life)))]
    half = len(records) // 2
    sender = over.cluster.producer()
    sent = [sender.send(over.names.log, *record) for record in [*records[:half], *poisoned, *records[half:]]]
    positions = [future.wait(30) for future in sent][half : half + len(poisoned)]
    sender.close()
    with over.workers("worker") as (worker,):
        over.wait_until_judged()
        assert worker.stop() == 0
    found = over.findings()
    for (partition, _), position in zip(poisoned, positions, strict=True):
        assert str(position) in {f.key for f in found[f"partition-{partition}"] if f.rule == "batch_unreadable"}
    lived = {site_id: found[site_id] for site_id in found if not site_id.startswith("partition-")}
    assert lived == _replayed(life)


def test_records_deleted_under_a_snapshot_s_position_are_a_gap_that_is_said(
    over: District, life: list[AnyEvent]
) -> None:
    _judge_all(over, life[: len(life) // 2])
    over.load(life[len(life) // 2 :])
    _delete_records(over, before=over.end(0) - 2)
    with over.workers("again") as (worker,):
        over.wait_until_judged()
        assert worker.stop() == 0
    gaps = [alarm for alarm in _alarms(over, 0) if alarm.alarm is DriverAlarm.LOG_GAP]
    assert len(gaps) == 1
    assert gaps[0].detail.endswith("are no longer in the log")
    assert _alarms(over, 1) == []


def test_a_recreated_topic_ends_its_worker_and_every_later_one_with_the_reason(
    over: District, life: list[AnyEvent]
) -> None:
    with over.workers("worker") as (worker,):
        over.load(life)
        over.wait_until_judged()
        found = over.findings()
        over.cluster.delete_topic(over.names.log)
        until(lambda: _made_again(over), "the topic to be made again")
        over.load(life)
        assert worker.wait() == 1
    with over.workers("again") as (again,):
        assert again.wait() == 1
    assert "log_replaced" in worker.said()
    assert "log_replaced" in again.said()
    assert over.findings() == found
    assert DriverAlarm.LOG_BROKEN in {alarm.alarm for p in range(PARTITIONS) for alarm in _alarms(over, p)}


def test_snapshots_of_a_newer_program_are_refused_and_left_as_they_are(over: District, life: list[AnyEvent]) -> None:
    _judge_all(over, life)
    (kept,) = over.manifests(0)
    newer = encode_manifest(msgspec.structs.replace(kept, v=99))
    sender = over.cluster.producer()
    sender.send(over.names.snapshots, 0, newer, f"{kept.digest}/0".encode()).wait(30)
    sender.close()
    with over.workers("again") as (worker,):
        assert worker.wait() == 1
    assert "schema 99, this program reads" in worker.said()


@pytest.mark.parametrize(
    ("changes", "code", "what"),
    [
        ({"LINLI_KAFKA_PARTITIONS": "3"}, 2, "has 2 partitions, kafka.partitions is 3"),
        ({"LINLI_KAFKA_PREFIX": "nobody."}, 2, "linli topics create"),
        ({"LINLI_LOG_URL": "kafka://"}, 2, "is no Kafka URL"),
    ],
)
def test_a_worker_that_is_set_up_wrongly_ends_as_a_configuration_error(
    over: District, changes: dict[str, str], code: int, what: str
) -> None:
    worker = Worker(over.folder, "wrong", over.settings | changes)
    assert worker.wait() == code
    assert what in worker.said()


def test_a_worker_waits_for_brokers_that_are_away_says_which_and_ends_in_order(over: District) -> None:
    url = f"kafka://127.0.0.1:{free_port()}"
    worker = Worker(over.folder, "waiting", over.settings | {"LINLI_LOG_URL": url})
    try:
        until(lambda: f"{url.removeprefix('kafka://')} does not answer" in worker.said(), "word of the brokers")
        assert worker.running()
    finally:
        assert worker.stop() == 0


@pytest.mark.parametrize("command", ["results", "archive"])
def test_a_process_waits_for_servers_that_are_away_says_which_and_ends_in_order(command: str, tmp_path: Path) -> None:
    child = start_child(command, tmp_path, command, "run", settings=_nobody_there(tmp_path))
    try:
        until(lambda: "does not answer" in child.tail(), f"word of a server: {child.tail()}")
        assert child.running()
    finally:
        assert child.stop(60) == 0, child.tail()


@pytest.mark.parametrize("command", [("findings", "export", "--json"), ("topics", "check"), ("streams", "failures")])
def test_a_command_that_needs_brokers_which_are_away_fails_and_names_them(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    settings = _nobody_there(tmp_path)
    arguments, place = linli_arguments(*command), environment(settings)
    done = subprocess.run(arguments, cwd=tmp_path, env=place, capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
    assert f"Kafka at {settings['LINLI_LOG_URL'].removeprefix('kafka://')} does not answer" in done.stderr.decode()


def _nobody_there(folder: Path) -> dict[str, str]:
    return {
        "LINLI_LOG_URL": f"kafka://127.0.0.1:{free_port()}",
        "LINLI_INCIDENTS_URL": f"postgresql://linli@127.0.0.1:{free_port()}/linli",
        "LINLI_RESULTS_URL": f"influx://127.0.0.1:{free_port()}/linli?version=1",
        "LINLI_RESULTS_SPOOL": str(folder / "spool.db"),
        "LINLI_ARCHIVE_FOLDER": str(folder / "archive"),
    }


# --- what is done to the log ------------------------------------------------------------------------------------------


def _judge_all(over: District, events: list[AnyEvent]) -> None:
    over.load(events)
    with over.workers("first") as (worker,):
        over.wait_until_judged()
        assert worker.stop() == 0


def _delete_records(over: District, before: int) -> None:
    """Of partition 0, as retention or a person with Kafka's tools does."""
    admin = KafkaAdminClient(bootstrap_servers=over.url.removeprefix("kafka://"))
    try:
        admin.delete_records({TopicPartition(over.names.log, 0): before})
    finally:
        admin.close()


def _made_again(over: District) -> bool:
    log = topic_specs(over.names, partitions=PARTITIONS, replication=1, retention_hours=24, retention_bytes=-1)[0]
    return over.cluster.create_topic(log)


def _alarms(over: District, partition: int) -> list[PartitionAlarm]:
    with KafkaCluster(over.url) as cluster:
        said = KafkaFindings(cluster, over.names.findings, partition).records_after(0, 100_000)
    return [one for _, one in said if isinstance(one, PartitionAlarm)]


def _of_another_site(life: list[AnyEvent]) -> Batch:
    stray = next(event for event in life if partition_of(event.site_id, PARTITIONS) == 0)
    return Batch(partition=1, watermark_ms=0, events=(stray,))


def _replayed(life: list[AnyEvent]) -> dict[str, list[Finding]]:
    sites: dict[str, list[Finding]] = {}
    for output in run_file(life, all_rules()):
        if isinstance(output, Finding):
            bare = msgspec.structs.replace(output, position=0, number=0)
            sites.setdefault(output.site_id, []).append(bare)
    return sites
