"""The compacted topic of snapshots lets go of an erased reference, byte by byte, and the rules decide the same."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest

from app.settings.loading import load_settings
from app.wiring.erasure import open_topics
from contracts.batch import Batch
from contracts.findings import Finding
from governance.topic_erasure import ORPHANED_MS, is_over
from streams.engine.engine import Engine
from streams.engine.manifest import PartitionManifest
from streams.kafka import KafkaRecord
from streams.log.kafka.kafka_log import KafkaLogReader
from streams.runtime.partition_driver import PartitionDriver
from streams.runtime.upgrade import Superseded
from system.clock import wall_ms
from tests.streams.engine.test_erasure_check import ERASURE, OTHER, REF, Missing, consent, erased
from tests.streams.support import LOG_ID, access, batch, engine_of, findings, judge
from tests.support.district import District, district
from tests.support.kafka import RunningKafka
from tests.support.waiting import until

pytestmark = [pytest.mark.timeout(280)]

AT_ONCE = {"segment.ms": "300", "max.compaction.lag.ms": "300", "file.delete.delay.ms": "100"}
ORPHAN = "of-nobody"


class Newer(Missing):
    """After an update: another digest, the same findings."""

    version: ClassVar[int] = 2


OLD, NEW = (engine_of([rule]).digest for rule in (Missing(), Newer()))


def _driver(lying: District, rule: Missing, *, accept_cut: bool = False) -> PartitionDriver:
    """A worker of the only partition, as it starts."""
    log = KafkaLogReader(lying.cluster, lying.names.log, 0)
    engine = Engine([rule], partition=0, partitions=1, log_id=log.identity())
    driver = PartitionDriver(log, lying.keep(0), engine, accept_cut=accept_cut)
    driver.open()
    return driver


def _records(lying: District) -> Iterator[KafkaRecord]:
    """Everything that can still be read in the snapshots topic, replaced or not."""
    with closing(lying.cluster.tail(lying.names.snapshots, 0)) as tail:
        offset, end = tail.begin(), tail.end()
        while offset < end and (records := tail.read(offset, 100)):
            yield from records
            offset = records[-1].offset + 1


def _naming(lying: District) -> Counter[str]:
    """By the version of the rules: how many rows there are in which the reference can be read."""
    found: Counter[str] = Counter()
    for record in _records(lying):
        digest, *of_site = (record.key or b"").decode().split("/")
        if (
            len(of_site) == 2
            and record.value
            and REF.encode() in zlib.decompress(msgspec.msgpack.decode(record.value)[1])
        ):
            found[digest] += 1
    return +found


def _on_disk(kafka: RunningKafka, lying: District, value: bytes) -> bool:
    """Whether the broker's files of the topic hold these bytes."""
    files = (kafka._data / "log" / f"{lying.names.snapshots}-0").glob("*.log*")
    return any(value in path.read_bytes() for path in files)


@pytest.mark.service
@pytest.mark.patient
def test_rows_of_all_versions_go_with_compaction_and_the_rules_decide_the_same(
    kafka: RunningKafka, tmp_path: Path
) -> None:
    life: list[Batch] = []

    def append(*batches: Batch) -> None:
        lying.append(batches)
        life.extend(batches)

    with district(kafka.url, tmp_path, partitions=1) as lying:
        topics = open_topics(load_settings(None, lying.settings))
        append(batch(100, consent(1, REF), access("a", 50, person_ref=REF), access("b", 50, person_ref=OTHER)))
        _driver(lying, Missing()).drain()
        (row,) = [record.value for record in _records(lying) if (record.key or b"").endswith(b"/0/s1")]
        assert row is not None
        lying._sender.send(lying.names.snapshots, 0, row, key=f"{ORPHAN}/0/s1".encode()).wait(10.0)
        worker = _driver(lying, Newer())
        assert (topics.take_back(ERASURE, wall_ms()), set(_naming(lying))) == (0, {OLD, NEW, ORPHAN})  # it may go back
        append(batch(200))
        worker.catch_up()
        worker.save()
        assert topics.take_back(ERASURE, wall_ms()) == 1  # the old version's; the new one's is the worker's to replace
        assert topics.take_back(ERASURE, wall_ms()) == 0
        assert topics.take_back(ERASURE, wall_ms() + ORPHANED_MS + 60_000) == 1  # nobody came for it
        append(batch(30_000, erased(2, 20_000)))
        worker.catch_up()
        worker.save()
        assert topics.snapshots(ERASURE).records == _naming(lying).total() >= 3  # all are replaced, and all are there
        assert _on_disk(kafka, lying, row)
        lying.cluster.configure_topic(lying.names.snapshots, AT_ONCE)  # as is configured, but for the minutes

        def is_gone() -> bool:
            """As time goes on, each look of ours beside one of the erasure's."""
            append(batch(30_000 + len(life)))
            worker.catch_up()
            worker.save()
            before = topics.snapshots(ERASURE).records
            there = _naming(lying).total()
            assert topics.snapshots(ERASURE).records <= there <= before
            return not there and not before

        until(is_gone, "the rows to be compacted")
        until(lambda: not _on_disk(kafka, lying, row), "their bytes to leave the broker's disk")
        assert topics.take_back(ERASURE, wall_ms() + 2 * ORPHANED_MS) == 0

        with pytest.raises(Superseded):
            _driver(lying, Missing())
        worker = _driver(lying, Newer())
        append(batch(40_000, access("c", 35_000, person_ref="pr-3")))
        worker.catch_up()
        worker.drain()
        back = _driver(lying, Missing(), accept_cut=True)  # its own rows are gone: it goes on from the newer one's
        append(batch(200_000))
        back.catch_up()
        back.drain()
        said = lying.findings()["s1"]
        topics.close()
    assert [finding.key for finding in said] == [f"missing/{OTHER}", "missing/pr-3"]
    assert _contents(said) == _contents(findings(judge([Missing()], *life)))


def _contents(found: list[Finding]) -> list[tuple[str, str, int, int]]:
    return [(each.finding_id, each.key, each.onset_ms, each.decided_ms) for each in found]


def _manifest(generation: int, position: int) -> PartitionManifest:
    return PartitionManifest(
        log_id=LOG_ID,
        partition=0,
        partitions=1,
        digest=f"d{generation}",
        generation=generation,
        versions={},
        through=position,
        position=position,
        sites={},
    )


@pytest.mark.parametrize(
    ("own", "others", "old", "over"),
    [
        ((0, 10), [], True, False),  # the one in force
        ((0, 10), [(1, 10)], True, False),  # has been taken over from, and may be given the partition back
        ((0, 10), [(1, 11)], False, True),
        ((2, 10), [(1, 99)], True, False),  # went back on purpose
        (None, [(1, 99)], False, False),  # a takeover that has not begun
        (None, [(1, 99)], True, True),  # one that never did
    ],
)
def test_rows_are_over_when_a_later_version_has_got_further_or_nobody_ever_began(
    own: tuple[int, int] | None, others: list[tuple[int, int]], *, old: bool, over: bool
) -> None:
    manifests = {f"d{generation}": _manifest(generation, position) for generation, position in others}
    if own is not None:
        manifests["own"] = _manifest(*own)
    assert is_over("own", manifests, old=old) is over
