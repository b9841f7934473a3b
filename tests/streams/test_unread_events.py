"""An event of an unknown kind takes nothing along: every reader of the log takes the rest, and no copy loses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.operations.migration.rehash import SourcePartition, rehashed
from contracts.batch import Batch, PartlyReadBatch, decode_batch, encode_batch, unread_in
from contracts.erasure import Eraser, Erasure, digest_of
from contracts.errors import Rejected
from contracts.events import ReferenceKind
from contracts.names import DeviceClass
from governance.erasure_by_age import events_of
from inventory.last_seen_log import LastSeenFollower
from streams.archive.archive import Archive
from streams.archive.cutter import Cutter
from streams.archive.segment import BatchesPart, ConfigurationPart, SegmentHead, open_part, seal_part
from streams.checkpoints.driver_alarms import DriverAlarm
from streams.checkpoints.findings_topic import PartitionAlarm, decode_findings_record, encode_findings_record
from streams.log.event_lookup import find_event, position_at
from streams.log.sqlite.day_log import DayLog
from streams.results.log_measures import LogMeasures
from streams.runtime.partition_driver import PartitionDriver
from tests.streams.archive.support import archive_all, next_day, replayed
from tests.streams.memory import MemoryCheckpointStore, MemoryLog
from tests.streams.newer import lift_moved, newer_record
from tests.streams.results.factories import meter_book
from tests.streams.rules import Denial
from tests.streams.support import T0, access, batch, device, engine_of, findings

DENIED = [access(f"a{n}", n * 100, granted=False) for n in range(3)]
MIXED = newer_record(5_000, DENIED[0], lift_moved("m1", 150), DENIED[1], lift_moved("m2", 160), DENIED[2])
REST = [event.event_id for event in DENIED]


def log_of(*records: bytes) -> MemoryLog:
    """A log that holds these."""
    log = MemoryLog([], visible=len(records))
    log.records = list(records)
    return log


# --- the record -------------------------------------------------------------------------------------------------------


def test_the_events_of_a_record_are_read_one_by_one_where_one_is_unknown() -> None:
    read = decode_batch(MIXED)
    assert (read.watermark_ms, read.partition) == (T0 + 5_000, 0)
    assert [event.event_id for event in read.events] == ["a0", "m1", "a1", "m2", "a2"]
    assert [read.events[n] for n in (0, 2, 4)] == DENIED
    (first, second) = unread_in(read)
    assert (first.said_kind, first.v, first.site_id, first.source_id) == ("lift_moved", 2, "s1", "lift1")
    assert (second.event_id, second.at_ms, second.received_ms) == ("m2", T0 + 160, T0 + 160)


@pytest.mark.parametrize("wrong", [{"granted": "perhaps"}, {"credential": "palm"}, {"at_ms": -5}])
def test_a_known_kind_with_what_only_a_newer_version_says_is_passed_over_too(wrong: dict[str, Any]) -> None:
    odd = msgspec.msgpack.decode(msgspec.msgpack.encode(DENIED[1])) | wrong
    read = decode_batch(newer_record(5_000, DENIED[0], odd))
    assert (read.events[0], [event.said_kind for event in unread_in(read)]) == (DENIED[0], ["access_attempted"])


def test_a_record_that_can_be_read_is_an_ordinary_batch() -> None:
    record = batch(5_000, *DENIED)
    assert type(decode_batch(encode_batch(record))) is Batch
    assert type(decode_batch(MIXED)) is PartlyReadBatch


@pytest.mark.parametrize("events", [[17], [{"kind": "lift_moved"}], ["text"], [{}], [None]])
def test_what_is_no_event_at_all_still_makes_its_record_unreadable(events: list[Any]) -> None:
    whole = msgspec.msgpack.decode(MIXED)
    with pytest.raises(Rejected, match="not a batch"):
        decode_batch(msgspec.msgpack.encode(whole | {"events": events}))


def test_a_record_of_a_newer_version_is_still_refused_as_a_whole() -> None:
    whole = msgspec.msgpack.decode(MIXED)
    with pytest.raises(Rejected, match="batch version 9"):
        decode_batch(msgspec.msgpack.encode(whole | {"v": 9}))


def test_what_was_not_read_is_written_down_again_to_the_byte() -> None:
    assert encode_batch(decode_batch(MIXED)) == MIXED
    with pytest.raises(TypeError):
        msgspec.msgpack.encode(decode_batch(MIXED))


# --- rules ------------------------------------------------------------------------------------------------------------


def test_rules_judge_the_rest_and_people_hear_of_each_kind_once() -> None:
    records = [MIXED, newer_record(6_000, lift_moved("m3", 5_100)), newer_record(7_000, lift_moved("n", 1, v=3))]
    alarms: list[tuple[DriverAlarm, str]] = []
    driver = PartitionDriver(
        log_of(*records), MemoryCheckpointStore(), engine_of([Denial()]), on_alarm=lambda *told: alarms.append(told)
    )
    driver.open()
    keep = driver._checkpoints
    assert isinstance(keep, MemoryCheckpointStore)
    assert [finding.onset_event_id for finding in findings(keep.outputs)] == REST
    assert (driver.position, driver.unread.count) == (3, 4)
    assert [alarm for alarm, _ in alarms] == [DriverAlarm.EVENTS_UNREAD] * 2
    assert "'lift_moved', version 2, of 'lift1' in 's1', from position 0" in alarms[0][1]
    assert "version 3" in alarms[1][1]


def test_rows_of_kinds_without_end_do_not_become_alarms_without_end() -> None:
    records = [newer_record(n, lift_moved("m", n, kind=f"kind{n}")) for n in range(100)]
    alarms: list[tuple[DriverAlarm, str]] = []
    driver = PartitionDriver(
        log_of(*records), MemoryCheckpointStore(), engine_of([Denial()]), on_alarm=lambda *told: alarms.append(told)
    )
    driver.open()
    assert (driver.unread.count, len(alarms)) == (100, 16)


def test_an_alarm_that_an_older_incidents_process_does_not_know_does_not_stop_it() -> None:
    said = encode_findings_record(PartitionAlarm(DriverAlarm.EVENTS_UNREAD, 0, "x", T0))
    assert decode_findings_record(said) == PartitionAlarm(DriverAlarm.EVENTS_UNREAD, 0, "x", T0)
    assert decode_findings_record(said.replace(b"events_unread", b"events_dreamt")) is None


# --- other readers ----------------------------------------------------------------------------------------------------


def test_results_count_the_rest_and_the_device_that_was_heard() -> None:
    measures = LogMeasures("log/0", meter_book(0, consented=True), lambda _key: None)
    measures.feed(decode_batch(MIXED))
    assert measures.time_ms == T0 + 5_000


def test_who_spoke_was_heard_whatever_it_said() -> None:
    follower = LastSeenFollower([log_of(MIXED)], since_ms=0)
    follower.step()
    assert set(follower.last_seen("s1")) == {"d1", "lift1"}


def test_events_are_found_beside_one_that_cannot_be_read_and_so_is_that_one() -> None:
    log = log_of(MIXED, newer_record(6_000, access("later", 5_500)))
    found = find_event(log, "a2")
    assert found is not None
    assert found.event == DENIED[2]
    unread = find_event(log, "m1")
    assert unread is not None
    assert (unread.position, unread.event.event_id) == (0, "m1")
    assert find_event(log, "m1~00000001") is None
    assert position_at(log, T0 + 5_500) == 1


def test_a_migration_copies_what_it_cannot_read() -> None:
    (copied,) = rehashed([SourcePartition(log_of(MIXED))], 1)
    assert encode_batch(copied) == MIXED


def erasure(ref: str, before_ms: int = T0 + 9_000) -> Erasure:
    """A person of the site is erased."""
    return Erasure("s1", ReferenceKind.PERSON, digest_of("s1", ReferenceKind.PERSON, ref), before_ms)


def test_an_erasure_takes_out_what_cannot_be_read_and_may_name_the_person() -> None:
    named = newer_record(5_000, DENIED[0], lift_moved("m1", 150, riders=["p-7"]), lift_moved("m2", 160))
    (known, naming, other) = events_of(named)
    eraser = Eraser([erasure("p-7")])
    assert (eraser.event(known), eraser.event(naming), eraser.event(other)) == (known, None, other)
    assert Eraser([erasure("p-7", T0 + 100)]).event(naming) is naming


def test_the_archive_keeps_what_the_archiver_cannot_read(tmp_path: Path) -> None:
    log, archive = DayLog(tmp_path / "log"), Archive(tmp_path / "archive")
    try:
        log.append([batch(0, device(1, 0, "d1")), decode_batch(MIXED)])
        next_day(log)
        archive_all(archive, log)
        found = findings(replayed(archive, [Denial()]))
        assert [finding.onset_event_id for finding in found] == REST
    finally:
        log.close()
        archive.close()


def test_a_sealed_part_gives_back_what_was_not_read_to_the_byte() -> None:
    head, key = SegmentHead(site_id="s1", day="20270115", log_id="log1", partition=0), bytes(32)
    cutter = Cutter(rows=())
    cutter.take(decode_batch(MIXED), Eraser([]))
    (_, cut) = cutter.drain()
    part = open_part(seal_part(cut.part, 1, head, key, bytes(12)), 1, head, key)
    assert isinstance(part, BatchesPart)
    assert [encode_batch(one) for one in part.batches] == [MIXED]


def test_rows_of_unknown_kinds_in_a_segment_do_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    head, key = SegmentHead(site_id="s1", day="20270115", log_id="log1", partition=0), bytes(32)
    row = device(1, 0, "d1", device_class=DeviceClass.GATE)
    newer = msgspec.msgpack.decode(msgspec.msgpack.encode(row)) | {"kind": "lease_configured", "lease": 5}
    content = msgspec.msgpack.encode(["configuration", [newer, msgspec.msgpack.decode(msgspec.msgpack.encode(row))]])
    monkeypatch.setattr("streams.archive.segment._encoded", lambda _part: content)
    sealed = seal_part(ConfigurationPart(()), 0, head, key, bytes(12))
    assert open_part(sealed, 0, head, key) == ConfigurationPart((row,))
