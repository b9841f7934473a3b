"""A loaded file gives the findings of a replayed one, whatever the rate or the size of appends."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from app.main import linli
from app.wiring.log_loading import load_events
from contracts.batch import Batch, decode_batch
from contracts.errors import ConfigurationError, LogBroken
from ingest.pipeline.event_file import EventFile
from streams.engine.batching import batches_of
from streams.kafka import KafkaCluster
from streams.log.sqlite.day_log import DayLog
from streams.topics import TopicNames
from tests.streams.histories import SITES, configuration
from tests.streams.support import T0, passage
from tests.support.kafka import RunningKafka, make_topics

LINE = (
    '{"kind":"device_configured","event_id":"c1","site_id":"s1","source_id":"config","place_id":"s1","at_ms":1800000000000,'
    '"received_ms":%d,"version":1,"device_id":"d1","device_class":"gate"}\n'
)


def test_every_event_of_a_file_is_in_the_log_and_its_last_record_ends_the_slice(tmp_path: Path) -> None:
    events = [*configuration(), *(passage(f"e{n}", n * 700, "d1") for n in range(200))]
    log = DayLog(tmp_path)
    seen: list[int] = []
    assert load_events(log, events, on_progress=seen.append) == len(events)
    batches = [decode_batch(record.data) for record in log.read(0, 10_000)]
    assert [event for batch in batches for event in batch.events] == events
    assert batches[-1].watermark_ms == (events[-1].received_ms // 10_000 + 1) * 10_000
    assert seen[-1] == len(events)


def test_a_rate_is_kept_by_waiting_between_slices(tmp_path: Path) -> None:
    waits: list[float] = []
    events = [passage(f"e{n}", n * 700, "d1") for n in range(100)]
    load_events(DayLog(tmp_path), events, rate_per_s=1_000_000.0, sleep=waits.append)
    assert len(waits) == 7  # a slice of 10 s each
    assert all(wait >= 0 for wait in waits)


def _run(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> object:
    file = tmp_path / "events.jsonl"
    file.write_text(text, encoding="utf-8")
    monkeypatch.setenv("LINLI_LOG_URL", f"sqlite:///{tmp_path / 'data'}")
    return CliRunner().invoke(linli, ["log", "load", str(file)], catch_exceptions=False)


def test_the_command_loads_into_the_configured_log_and_counts_what_it_skips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = _run(tmp_path, LINE % T0 + "rubbish\n", monkeypatch)
    assert result.exit_code == 0  # type: ignore[attr-defined]
    assert "1 events are in" in result.stderr  # type: ignore[attr-defined]
    assert "skipped 1: not_json, first in line 2" in result.stderr  # type: ignore[attr-defined]
    assert DayLog(tmp_path / "data").end() == 1


def test_a_file_without_events_is_an_error_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="holds no event"):
        _run(tmp_path, "rubbish\n", monkeypatch)


def test_a_file_from_before_the_logs_time_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _run(tmp_path, LINE % (T0 + 60_000), monkeypatch)
    with pytest.raises(LogBroken, match="before the log's last watermark"):
        _run(tmp_path, LINE % T0, monkeypatch)


@pytest.fixture
def district(kafka: RunningKafka, monkeypatch: pytest.MonkeyPatch) -> TopicNames:
    """The topics of a district of three partitions, in force as the log."""
    names = make_topics(kafka.url, partitions=3)
    monkeypatch.setenv("LINLI_LOG_URL", kafka.url)
    monkeypatch.setenv("LINLI_KAFKA_PREFIX", names.prefix)
    monkeypatch.setenv("LINLI_KAFKA_PARTITIONS", "3")
    return names


@pytest.mark.service
@pytest.mark.patient
def test_a_file_on_kafka_lies_by_site_in_order_and_is_refused_once_more(
    kafka: RunningKafka, district: TopicNames, tmp_path: Path
) -> None:
    events = [*configuration(), *(passage(f"e{n}", n * 700, "d1", site_id=SITES[n % 3]) for n in range(600))]
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join(msgspec.json.encode(event) for event in events))
    result = CliRunner().invoke(linli, ["log", "load", str(file)], catch_exceptions=False)
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"{len(events)} events are in {district.log}" in result.stderr
    with KafkaCluster(kafka.url) as cluster:
        tails = cluster.tails()
        lying = {
            partition: [decode_batch(r.value or b"") for r in tails(district.log, partition).read(0, 10_000)]
            for partition in range(3)
        }
    expected: dict[int, list[Batch]] = {0: [], 1: [], 2: []}
    for batch in batches_of(EventFile().events(file.read_bytes().splitlines(keepends=True)), 3):
        expected[batch.partition].append(batch)
    assert lying == expected
    with pytest.raises(LogBroken, match=r"load it into another log \(kafka\.prefix\)"):
        CliRunner().invoke(linli, ["log", "load", str(file)], catch_exceptions=False)


@pytest.mark.service
@pytest.mark.patient
def test_a_log_of_another_number_of_partitions_is_not_loaded_into(
    district: TopicNames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINLI_KAFKA_PARTITIONS", "24")
    file = tmp_path / "events.jsonl"
    file.write_text(LINE % T0, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"has 3 partitions, kafka\.partitions is 24"):
        CliRunner().invoke(linli, ["log", "load", str(file)], catch_exceptions=False)
