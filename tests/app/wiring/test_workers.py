"""Workers of the rules on a real broker: whatever dies, the findings are those of ``linli replay``."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from app.wiring.children import linli_arguments
from app.wiring.findings import kafka_findings
from app.wiring.run_child import environment
from contracts.batch import Batch, encode_batch
from contracts.events import AnyEvent
from contracts.findings import Finding
from ingest.pipeline.event_file import EventFile
from simulator.generate import SimulationRequest, generate
from streams.checkpoints.driver_alarms import DriverAlarm
from streams.engine.batching import batches_of
from streams.engine.manifest import encode_manifest
from tests.support.district import District, Worker, district
from tests.support.kafka import RunningKafka
from tests.support.waiting import until

pytestmark = [pytest.mark.service, pytest.mark.patient, pytest.mark.slow, pytest.mark.timeout(600)]
PARTITIONS = 3
PAUSE_S = 0.1


class Day(NamedTuple):
    """A simulated day as a file, as what is accepted of it, and what ``linli replay`` finds in it."""

    file: Path
    events: list[AnyEvent]
    replayed: dict[str, list[Finding]]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    folder = tmp_path_factory.mktemp("day")
    file = folder / "day.jsonl"
    file.write_bytes(b"\n".join(map(msgspec.json.encode, generate(SimulationRequest(seed=7, days=1, sites=3)).events)))
    with file.open("rb") as lines:
        events = list(EventFile().events(lines))
    return Day(file, events, by_site(linli({}, folder, "replay", "--json", str(file))))


@pytest.fixture
def over(kafka: RunningKafka, tmp_path: Path) -> Iterator[District]:
    with district(kafka.url, tmp_path, partitions=PARTITIONS) as opened:
        yield opened


def linli(settings: dict[str, str], folder: Path, *arguments: str) -> bytes:
    """Return what a command prints."""
    return subprocess.run(
        linli_arguments(*arguments), env=environment(settings), cwd=folder, check=True, capture_output=True, timeout=120
    ).stdout


def by_site(lines: bytes) -> dict[str, list[Finding]]:
    """Findings as printed, without what depends on how the log was cut."""
    sites: dict[str, list[Finding]] = {}
    for line in lines.splitlines():
        finding = msgspec.json.decode(line, type=Finding)
        sites.setdefault(finding.site_id, []).append(msgspec.structs.replace(finding, position=0, number=0))
    return sites


def test_workers_killed_while_the_log_grows_find_what_replay_finds(over: District, day: Day) -> None:
    def judged() -> int:
        return sum(map(over.position, range(PARTITIONS)))

    with over.workers("w1", "w2") as (first, second), over.loading(day.events, PAUSE_S) as loading:
        until(lambda: judged() > 500, "progress")
        first.kill()
        with over.workers("w3") as (third,):
            before = judged()
            until(lambda: judged() > before, "progress after a kill")
            second.kill()
            loading.join()
            # the killed one may have come to the end: only who goes on from there has been given its partitions
            over.append([Batch(partition=p, watermark_ms=0) for p in range(PARTITIONS)])
            over.wait_until_judged()
            assert third.stop() == 0
    assert by_site(linli(over.settings, over.folder, "findings", "export", "--json")) == day.replayed
    assert sum(map(len, day.replayed.values())) > 50
    assert [m.drained for p in range(PARTITIONS) for m in over.manifests(p)] == [True] * PARTITIONS
    assert [path.name for path in over.folder.iterdir()] == ["logs"]  # nobody leaves anything behind


def test_poison_is_a_finding_and_a_log_made_again_or_a_newer_snapshot_is_loud(over: District) -> None:
    """One story, since every start of a worker costs seconds."""
    good = [Batch(partition=p, watermark_ms=0) for p in range(PARTITIONS)]
    with over.workers("first") as (first,):
        over.append(good)
        over.append_bytes(1, b"\xff rubbish")
        over.append_bytes(1, encode_batch(msgspec.structs.replace(good[1], v=99)))
        over.append(good)
        over.wait_until_judged()
        assert first.stop() == 0
    assert [(f.rule, f.key) for found in over.findings().values() for f in found] == [
        ("batch_unreadable", "1"),
        ("batch_unreadable", "2"),
    ]
    (drained,) = over.manifests(2)
    over.keep(2).save([], encode_manifest(msgspec.structs.replace(drained, v=99)), drained.digest)
    with over.workers("older") as (older,):
        assert older.wait() == 1
        assert "manifest has schema 99, this program reads" in older.said()
    over.keep(2).save([], encode_manifest(drained), drained.digest)
    over.make_log_again()
    over.append(good)
    with over.workers("misled") as (misled,):
        assert misled.wait() == 1
        assert "log_replaced" in misled.said()
    assert DriverAlarm.LOG_BROKEN in {alarm.alarm for alarm in over.alarms()}


def test_a_wrong_number_of_partitions_is_refused_and_absent_brokers_are_waited_for(
    over: District,
) -> None:
    away = over.settings | {"LINLI_LOG_URL": "kafka://127.0.0.1:9"}
    waiting = Worker(over.folder, "waiting", away)
    try:
        refused = Worker(over.folder, "refused", over.settings | {"LINLI_KAFKA_PARTITIONS": "5"})
        assert refused.wait() == 2
        assert "log has 3 partitions, kafka.partitions is 5" in refused.said()
        until(lambda: "Kafka at 127.0.0.1:9 does not answer" in waiting.said(), "the brokers to be named")
        assert waiting.running()
        assert waiting.stop() == 0
    finally:
        if waiting.running():
            waiting.kill()


def test_an_update_continues_a_drained_version_and_cuts_others_off_only_when_told(over: District, day: Day) -> None:
    """One story, since every start of a worker costs seconds."""

    def judged() -> dict[str, list[Finding]]:
        found = by_site(linli(over.settings, over.folder, "findings", "export", "--json"))
        kept = {site_id: [f for f in all_ if f.rule != "batch_unreadable"] for site_id, all_ in found.items()}
        return {site_id: all_ for site_id, all_ in kept.items() if all_}

    def generations() -> list[list[tuple[int, bool]]]:
        return [sorted((m.generation, m.drained) for m in over.manifests(p)) for p in range(PARTITIONS)]

    batches = list(batches_of(day.events, PARTITIONS))
    over.append(batches[: len(batches) // 2])
    over.mark()
    with over.workers("old") as (old,):
        over.wait_until_found("batch_unreadable", PARTITIONS)
        assert old.stop() == 0
    assert generations() == [[(0, True)]] * PARTITIONS
    over.append(batches[len(batches) // 2 :])
    over.mark()
    with over.workers("newer", updates=1) as (newer,):
        over.wait_until_found("batch_unreadable", 2 * PARTITIONS)
        assert judged() == day.replayed
        ids = [finding.finding_id for finding in kafka_findings(over.cluster, over.names)]
        assert len(ids) == len(set(ids))
        assert generations() == [[(0, True), (1, False)]] * PARTITIONS
        newer.kill()
    over.forget_the_dead()
    with over.workers("late") as (late,):
        assert late.wait() == 1
        assert "(generation 1) have taken over" in late.said()
    over.forget_the_dead()
    over.mark()
    with over.workers("refused", updates=2) as (refused,):
        assert refused.wait() == 1
        assert "(generation 1) have not drained" in refused.said()
        assert "start with --accept-cut" in refused.said()
    over.forget_the_dead()
    with over.workers("newest", arguments=["--accept-cut"], updates=2) as (newest,):
        over.wait_until_found("batch_unreadable", 3 * PARTITIONS)
        assert newest.stop() == 0
    assert judged() == day.replayed
    assert generations() == [[(0, True), (1, False), (2, True)]] * PARTITIONS
    cuts = {alarm.partition: alarm.detail for alarm in over.alarms() if alarm.alarm is DriverAlarm.CUT_ACCEPTED}
    assert sorted(cuts) == list(range(PARTITIONS))
    for partition, detail in cuts.items():
        assert f"to {over.end(partition) - 1} may be decided twice" in detail
