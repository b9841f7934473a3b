"""Every keep of an engine holds to one contract: the file, the one in memory, and Kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.contradictions import Contradiction
from contracts.findings import Fact, Severity
from streams.checkpoints.findings_topic import KafkaFindings
from streams.checkpoints.kafka import KafkaCheckpointStore
from streams.checkpoints.port import CheckpointStore
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.engine.snapshot import SnapshotRow
from streams.kafka import KafkaCluster
from tests.streams.memory import MemoryCheckpointStore
from tests.streams.rules import RULES
from tests.streams.support import T0, access, batch, findings, judge
from tests.support.kafka import RunningKafka, make_topics

PARTITION = 1
Opener = Callable[[], CheckpointStore]
OUTPUTS = judge(RULES, *(batch(n * 1_000 + 500, access(f"a{n}", n * 1_000, granted=False)) for n in range(3)))


@pytest.fixture(params=["file", "memory", pytest.param("kafka", marks=[pytest.mark.service, pytest.mark.patient])])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Opens the same keep again and again, as restarts do."""
    with ExitStack() as opened:
        if request.param == "file":

            def in_file() -> CheckpointStore:
                store = SqliteCheckpointStore(tmp_path / "engine.db")
                opened.callback(store.close)
                return store

            yield in_file
        elif request.param == "memory":
            keep = MemoryCheckpointStore()
            yield lambda: keep
        else:
            kafka: RunningKafka = request.getfixturevalue("kafka")
            names = make_topics(kafka.url, partitions=2)
            cluster = opened.enter_context(KafkaCluster(kafka.url))
            sender, tails = cluster.producer(), cluster.tails()
            yield lambda: KafkaCheckpointStore(cluster, names, PARTITION, sender=sender, tails=tails)


def row(site_id: str, position: int, digest: str = "d1") -> SnapshotRow:
    return SnapshotRow(site_id, digest, position, f"{site_id}@{position}".encode())


def test_a_new_one_holds_nothing(opener: Opener) -> None:
    keep = opener()
    assert (keep.load("d1"), dict(keep.manifests()), dict(keep.failures()), keep.skipped()) == (
        ([], None),
        {},
        {},
        frozenset(),
    )


def test_the_last_row_of_each_site_and_the_last_manifest_stand_after_a_restart(opener: Opener) -> None:
    keep = opener()
    keep.save([row("s1", 1), row("s2", 1)], b"m1", "d1")
    keep.save([row("s1", 2)], b"m2", "d1")
    rows, manifest = opener().load("d1")
    assert sorted(rows, key=lambda r: r.site_id) == [row("s1", 2), row("s2", 1)]
    assert manifest == b"m2"


def test_versions_keep_their_rows_apart_and_each_ones_manifest_can_be_seen(opener: Opener) -> None:
    keep = opener()
    keep.save([row("s1", 1)], b"old", "d1")
    keep.save([row("s1", 7, "d2")], b"new", "d2")
    again = opener()
    assert again.load("d1") == ([row("s1", 1)], b"old")
    assert again.load("d2") == ([row("s1", 7, "d2")], b"new")
    assert dict(again.manifests()) == {"d1": b"old", "d2": b"new"}


def test_one_sees_what_another_has_written_meanwhile(opener: Opener) -> None:
    keep, other = opener(), opener()
    keep.save([], b"m1", "d1")
    assert dict(keep.manifests()) == {"d1": b"m1"}
    other.save([], b"m2", "d2")
    assert dict(keep.manifests()) == {"d1": b"m1", "d2": b"m2"}
    other.forget("d2")
    assert dict(keep.manifests()) == {"d1": b"m1"}


def test_failures_are_counted_across_restarts(opener: Opener) -> None:
    assert opener().note_failure(7, "first") == 1
    assert opener().note_failure(7, "again") == 2
    opener().note_failure(9, "other")
    assert dict(opener().failures()) == {7: 2, 9: 1}


def test_findings_are_handed_over_in_order_and_settled(opener: Opener) -> None:
    keep = opener()
    assert keep.append_findings(OUTPUTS[:2]) == 2
    keep.append_findings(OUTPUTS[2:])
    keep.flush()
    keep.append_findings([])


@pytest.mark.parametrize(
    "change", [{"severity": Severity.CRITICAL}, {"place_id": "door-9"}, {"facts": (Fact(code="n"),)}]
)
def test_of_one_id_with_two_contents_the_first_stands_and_both_are_named(
    opener: Opener, change: dict[str, Any]
) -> None:
    keep, heard = _objecting(opener)
    first, other = findings(OUTPUTS)[:2]
    again = msgspec.structs.replace(first, position=9, **change)
    assert keep.append_findings([first]) == 1
    assert keep.append_findings([again, other, first]) == (3 if _is_kafka(keep) else 1)
    if _is_kafka(keep):  # it knows no ids: the incidents object, see tests/incidents/intake/test_topic_relay.py
        assert heard == []
        return
    (name,) = change
    ((of, positions, differing),) = [(one.finding_id, one.positions, one.differing) for one in heard]
    assert (of, positions) == (first.finding_id, (0, 9))
    assert differing in ((name,), ("facts (n)",))


@pytest.mark.parametrize(
    "change", [{"due_ms": T0 + 1}, {"rule_version": 9}, {"config_version": 9}, {"verified": False}, {"late_by_ms": 7}]
)
def test_what_is_no_content_is_no_contradiction(opener: Opener, change: dict[str, Any]) -> None:
    keep, heard = _objecting(opener)
    first = findings(OUTPUTS)[0]
    keep.append_findings([first, msgspec.structs.replace(first, position=9, number=3, **change)])
    assert heard == []


def test_a_later_decision_under_another_configuration_contradicts_nobody(opener: Opener) -> None:
    keep, heard = _objecting(opener)
    first = findings(OUTPUTS)[0]
    again = msgspec.structs.replace(first, config_version=9, severity=Severity.CRITICAL)
    keep.append_findings([first, again])
    assert heard == []


def _objecting(opener: Opener) -> tuple[CheckpointStore, list[Contradiction]]:
    """Return a store and what it objects to."""
    keep, heard = opener(), list[Contradiction]()
    keep.on_contradiction = heard.append
    return keep, heard


def _is_kafka(keep: CheckpointStore) -> bool:
    return isinstance(keep, KafkaCheckpointStore)


@pytest.mark.service
@pytest.mark.patient
def test_findings_on_kafka_are_read_by_number_as_those_of_the_file_are(kafka: RunningKafka, tmp_path: Path) -> None:
    names = make_topics(kafka.url, partitions=2)
    store = SqliteCheckpointStore(tmp_path / "engine.db")
    with KafkaCluster(kafka.url) as cluster:
        keep = KafkaCheckpointStore(cluster, names, PARTITION, sender=cluster.producer(), tails=cluster.tails())
        for kept in (store, keep):
            kept.append_findings(OUTPUTS)
            kept.flush()
        topic = KafkaFindings(cluster, names.findings, PARTITION)
        for n, limit in ((0, 10), (0, 2), (2, 10), (3, 10)):
            assert topic.findings_after(n, limit) == store.findings_after(n, limit)
        assert [finding for _, finding in topic.findings_after(0, 10)] == findings(OUTPUTS)
        assert topic.identity() != KafkaFindings(cluster, names.findings, 0).identity()
    store.close()


@pytest.mark.service
@pytest.mark.patient
def test_a_position_skipped_on_kafka_stays_skipped_and_a_retry_forgets_the_failure(kafka: RunningKafka) -> None:
    names = make_topics(kafka.url, partitions=2)
    with KafkaCluster(kafka.url) as cluster:
        keeps = [
            KafkaCheckpointStore(cluster, names, PARTITION, sender=cluster.producer(), tails=cluster.tails())
            for _ in range(2)
        ]
        keeps[0].note_failure(7, "KeyError('x')")
        assert keeps[1].failure_details() == {7: (1, "KeyError('x')")}
        keeps[1].skip(7)
        assert keeps[0].skipped() == frozenset({7})
        assert keeps[1].forget_failure(7)
        assert not keeps[0].forget_failure(7)
