"""A district's log on a real broker, archived by a process that is killed: its segments give the log's findings."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from app.main import linli
from app.wiring.run_child import start_child
from contracts.batch import Batch
from contracts.durations import DAY_MS
from contracts.events import AnyEvent
from contracts.findings import Finding, Output
from contracts.names import partition_of
from detectors.registry import all_rules
from incidents.store.operator_alarms import AlarmCode, standing_alarms
from incidents.store.store import Store
from ingest.pipeline.event_file import EventFile
from streams.archive.archive import Archive
from streams.engine.in_memory_run import run_file
from streams.log.sqlite.days import utc_day
from tests.streams.support import T0, access
from tests.support.district import District, district
from tests.support.district_run import folders_in
from tests.support.kafka import RunningKafka
from tests.support.waiting import until

pytestmark = [pytest.mark.service, pytest.mark.patient, pytest.mark.timeout(280)]

PARTITIONS = 2
HOUR_MS = 3_600_000


@contextmanager
def _district(kafka: RunningKafka, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[District]:
    """A district whose databases are files; its segments are kept, whenever it was that they tell of."""
    with district(kafka.url, folder, partitions=PARTITIONS) as opened:
        databases = {
            "LINLI_INCIDENTS_URL": f"sqlite:///{folder / 'incidents.db'}",
            "LINLI_INVENTORY_URL": f"sqlite:///{folder / 'config.db'}",
        }
        opened.settings |= databases | folders_in(folder)
        opened.settings["LINLI_ARCHIVE_RETENTION_DAYS"] = "36500"
        for name, value in opened.settings.items():
            monkeypatch.setenv(name, value)
        yield opened


def _run(*arguments: str) -> Result:
    result = CliRunner().invoke(linli, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def _history(folder: Path) -> list[AnyEvent]:
    """Nine hours of three sites, across midnight UTC."""
    file = folder / "events.jsonl"
    _run("simulate", "--seed", "7", "--sites", "3", "--start", "2026-03-16T20:00Z", "--out", str(file))
    with file.open("rb") as lines:
        events = list(EventFile().events(lines))
    return [event for event in events if event.received_ms < events[0].received_ms + 9 * HOUR_MS]


def _by_site(findings: Iterable[Output]) -> dict[str, list[Finding]]:
    sites: dict[str, list[Finding]] = {}
    for finding in findings:
        if isinstance(finding, Finding):
            bare = msgspec.structs.replace(finding, position=0, number=0)
            sites.setdefault(finding.site_id, []).append(bare)
    return sites


def _segments(folder: Path) -> list[Path]:
    return sorted((folder / "archive").glob("*/*.seg"))


def test_killed_and_restarted_its_segments_give_the_findings_of_the_log(
    kafka: RunningKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = _history(tmp_path)
    midnight_ms = events[-1].received_ms // DAY_MS * DAY_MS
    cut = next(n for n, event in enumerate(events) if event.received_ms >= midnight_ms + HOUR_MS)
    first = tmp_path / "first.jsonl"
    first.write_bytes(b"\n".join(msgspec.json.encode(event) for event in events[:cut]))
    with _district(kafka, tmp_path, monkeypatch) as opened:
        _run("log", "load", str(first))
        child = start_child("archive-1", tmp_path, "archive", "run", settings=opened.settings)
        try:
            until(lambda: bool(_segments(tmp_path)), "the first segment")
            os.killpg(child.pid, signal.SIGKILL)
        finally:
            child.stop()
        opened.load(events[cut:])
        over_ms = midnight_ms + 2 * DAY_MS
        opened.append([Batch(partition=p, watermark_ms=over_ms) for p in range(PARTITIONS)])
        child = start_child("archive-2", tmp_path, "archive", "run", settings=opened.settings)
        try:
            until(lambda: len(_segments(tmp_path)) == 6, "every site's two days")
        finally:
            assert child.stop() == 0, child.tail()
        assert "0 segments sealed" in _run("archive", "once").stderr
    _run("archive", "verify")
    listed = [line.split("\t") for line in _run("archive", "list").stdout.splitlines()]
    assert sum(int(count) for _, count, *_ in listed) == sum(event.received_ms < over_ms for event in events)
    names = [str(path) for path in _segments(tmp_path)]
    said = _run("replay", "--json", "--key-file", str(tmp_path / "archive" / "keys"), *names).stdout
    replayed = [msgspec.json.decode(line, type=Finding) for line in said.splitlines()]
    expected = _by_site(run_file(iter(events), all_rules()))
    assert _by_site(replayed) == expected
    assert len(expected) == 3


def test_records_lost_before_archiving_raise_an_alarm_and_the_rest_is_archived(
    kafka: RunningKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _district(kafka, tmp_path, monkeypatch) as opened:
        partition = partition_of("s1", PARTITIONS)

        def append(*numbers: int) -> None:
            for n in numbers:
                at_ms = T0 + n * HOUR_MS
                event = access(f"e{n}", n * HOUR_MS)
                opened.append([Batch(partition=partition, watermark_ms=at_ms, events=(event,))])

        append(0, 1)
        _run("archive", "once")
        append(2, 3, 4)
        opened.delete_before(opened.names.log, partition, 4)
        append(72)
        assert f"s1/{utc_day(T0)}-" in _run("archive", "once").stdout
        with closing(Store(opened.settings["LINLI_INCIDENTS_URL"])) as store, store.read() as connection:
            (alarm,) = standing_alarms(connection)
        assert (alarm.code, alarm.subject) == (AlarmCode.ARCHIVE_GAP, "archive")
        assert alarm.detail == "positions 2 to 3 were gone before they were archived"
    with closing(Archive(tmp_path / "archive")) as archive:
        (segment,) = archive.catalogue.segments("s1")
        assert segment.events == 3
