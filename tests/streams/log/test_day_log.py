"""The day log keeps what it accepted, in order, across files, restarts and torn writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.batch import Batch, decode_batch
from contracts.errors import ConfigurationError, LogBroken, Permanent
from contracts.events import ClockStepped, DeviceReported, event_header
from streams.log.sqlite.day_file import DayFile
from streams.log.sqlite.day_log import DayLog, read_days
from streams.log.sqlite.days import DayPlan, LogDay, plan_days

DAY_MS = 86_400_000


def _batch(watermark_ms: int, *ids: str) -> Batch:
    events = tuple(
        DeviceReported(event_id=i, site_id="s1", source_id="d1", place_id="p1", at_ms=watermark_ms) for i in ids
    )
    return Batch(partition=0, watermark_ms=watermark_ms, events=events)


def test_records_come_back_in_order_with_contiguous_positions(tmp_path: Path) -> None:
    log = DayLog(tmp_path)
    assert log.append([_batch(1, "a"), _batch(2)]) == [0, 1]
    assert log.append([_batch(3, "b", "c")]) == [2]
    records = log.read(0, 10)
    assert [r.position for r in records] == [0, 1, 2]
    assert [decode_batch(r.data).watermark_ms for r in records] == [1, 2, 3]
    assert (log.begin(), log.end(), log.last_watermark_ms()) == (0, 3, 3)


def test_a_reopened_log_goes_on_where_it_ended_and_is_the_same_log(tmp_path: Path) -> None:
    first = DayLog(tmp_path)
    first.append([_batch(5, "a"), _batch(0)])
    first.close()
    second = DayLog(tmp_path)
    assert (second.identity(), second.end(), second.last_watermark_ms()) == (first.identity(), 2, 5)
    assert second.append([_batch(6)]) == [2]


def test_each_day_has_its_file_and_retention_unlinks_whole_days(tmp_path: Path) -> None:
    log = DayLog(tmp_path)
    for day in range(3):
        log.append([_batch(day * DAY_MS, "a")])
    assert [p.name for p in sorted(tmp_path.glob("*.db"))] == [
        "log-19700101.db",
        "log-19700102.db",
        "log-19700103.db",
    ]
    assert [(day.day, day.end) for day in log.days()] == [("19700101", 1), ("19700102", 2), ("19700103", 3)]
    assert min(day.size_bytes for day in log.days()) > 0
    assert [day.name for day in log.drop_before(1)] == ["log-19700101.db"]
    assert log.drop_before(1) == []
    assert (log.begin(), log.end()) == (1, 3)
    with pytest.raises(LogBroken, match="position 0 is gone, the first one held is 1"):
        log.read(0, 1)
    assert [r.position for r in log.read(1, 9)] == [1]
    assert [r.position for r in log.read(2, 9)] == [2]


def test_an_older_time_never_opens_an_older_file(tmp_path: Path) -> None:
    log = DayLog(tmp_path)
    log.append([_batch(2 * DAY_MS, "a")])
    log.append([_batch(0, "b"), _batch(DAY_MS, "c")])
    assert [p.name for p in tmp_path.glob("*.db")] == ["log-19700103.db"]
    assert log.end() == 3


def test_a_missing_day_between_two_others_is_loud(tmp_path: Path) -> None:
    log = DayLog(tmp_path)
    for day in range(3):
        log.append([_batch(day * DAY_MS, "a")])
    log.close()
    (tmp_path / "log-19700102.db").unlink()
    with pytest.raises(LogBroken, match="does not continue"):
        DayLog(tmp_path)


def test_a_day_file_that_a_kill_left_unfinished_is_begun_anew(tmp_path: Path) -> None:
    log = DayLog(tmp_path)
    log.append([_batch(1, "a")])
    log.close()
    (tmp_path / "log-19700102.db").touch()  # created, and its first transaction never committed
    again = DayLog(tmp_path)
    assert (again.identity(), again.end()) == (log.identity(), 1)
    assert again.append([_batch(DAY_MS, "b")]) == [1]
    again.close()
    last = DayLog(tmp_path)
    assert [r.position for r in [*last.read(0, 9), *last.read(1, 9)]] == [0, 1]
    last.close()


def test_a_first_file_left_unfinished_is_begun_anew_too(tmp_path: Path) -> None:
    (tmp_path / "log-19700101.db").touch()
    log = DayLog(tmp_path)
    assert (log.end(), len(log.identity())) == (0, 16)
    assert log.append([_batch(1, "a")]) == [0]
    log.close()
    assert DayLog(tmp_path).identity() == log.identity()


def test_an_emptied_file_between_two_others_is_loud_and_stays_as_it_is(tmp_path: Path) -> None:
    log = DayLog(tmp_path)
    for day in range(3):
        log.append([_batch(day * DAY_MS, "a")])
    log.close()
    (tmp_path / "log-19700102.db").write_bytes(b"")
    with pytest.raises(LogBroken, match="does not continue"):
        DayLog(tmp_path)
    assert (tmp_path / "log-19700102.db").exists()


def test_a_damaged_day_is_an_error_that_names_its_file(tmp_path: Path) -> None:
    log = DayLog(tmp_path)
    log.append([_batch(1, *(f"e{n}" for n in range(400))) for _ in range(20)])
    log.close()
    file = tmp_path / "log-19700101.db"
    whole = file.read_bytes()
    file.write_bytes(whole[:4096] + b"\xee" * (len(whole) - 4096))
    with pytest.raises(Permanent, match=r"log-19700101\.db is damaged.*restore it or move it away"):
        DayLog(tmp_path)


def test_another_partition_than_0_is_refused_and_nothing_is_kept(tmp_path: Path) -> None:
    log = DayLog(tmp_path)
    with pytest.raises(ConfigurationError):
        log.append([_batch(1), Batch(partition=3, watermark_ms=1)])
    assert log.end() == 0
    assert log.append([_batch(1)]) == [0]


def test_what_was_appended_survives_a_wal_torn_anywhere_after_the_commit(tmp_path: Path) -> None:
    log = DayLog(tmp_path / "live")
    log.append([_batch(1, "a")])
    wal = tmp_path / "live" / "log-19700101.db-wal"
    committed = wal.stat().st_size
    log.append([_batch(2, "b")])
    whole = wal.read_bytes()
    main = (tmp_path / "live" / "log-19700101.db").read_bytes()
    for cut in range(committed, len(whole), 509):
        folder = tmp_path / f"torn{cut}"
        folder.mkdir()
        (folder / "log-19700101.db").write_bytes(main)
        (folder / "log-19700101.db-wal").write_bytes(whole[:cut])
        torn = DayLog(folder)
        assert torn.end() in {1, 2}
        assert decode_batch(torn.read(0, 1)[0].data).events[0].event_id == "a"
        torn.close()


# --- which days may go ------------------------------------------------------------------------------------------------


def _plan(*, oldest: str = "0", max_bytes: int = 0, **needed: int) -> DayPlan:
    days = [LogDay(f"log-{n}.db", str(n), 10 * n, 100) for n in range(1, 5)]
    return plan_days(days, oldest_day=oldest, max_bytes=max_bytes, needed_from=needed)


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (_plan(), DayPlan(0)),
        (_plan(oldest="3", rules=40), DayPlan(20)),
        (_plan(oldest="9", rules=40), DayPlan(30)),  # never the newest
        (_plan(max_bytes=250, rules=40), DayPlan(20)),
        (_plan(max_bytes=400, rules=40), DayPlan(0)),
        (_plan(max_bytes=1), DayPlan(30)),
        (_plan(oldest="3", rules=40, archive=15), DayPlan(10, "archive", 1)),
        (_plan(max_bytes=250, rules=9), DayPlan(0, "rules", 2)),
    ],
)
def test_days_go_by_age_and_by_size_unless_somebody_still_reads_them(plan: DayPlan, expected: DayPlan) -> None:
    assert plan == expected


# --- steps of the log's time ------------------------------------------------------------------------------------------


def _step(at_ms: int, shift_ms: int) -> Batch:
    header = event_header("s1", "ingest", "s1", at_ms, f"shift-{at_ms}")
    step = ClockStepped(**header, received_ms=at_ms, step_ms=shift_ms, shift_ms=shift_ms)
    return Batch(partition=0, watermark_ms=at_ms, events=(step,))


def test_a_log_whose_time_went_back_goes_on_in_another_file(tmp_path: Path) -> None:
    log = DayLog(tmp_path)
    for day in (1, 2, 62):  # a start with the clock sixty days ahead
        log.append([_batch(day * DAY_MS, "a")])
    log.append([_step(2 * DAY_MS + 5, -60 * DAY_MS)])
    log.append([_batch(2 * DAY_MS + 10, "b")])
    log.append([_batch(3 * DAY_MS, "c")])
    names = ["log-19700102.db", "log-19700103.db", "log-19700304.db", "log-19700103-2.db", "log-19700104.db"]
    for _ in range(2):
        assert [(day.name, day.end) for day in log.days()] == list(zip(names, (1, 2, 3, 5, 6), strict=True))
        assert [day.day for day in log.days()] == ["19700102", "19700103", "19700103", "19700103", "19700104"]
        assert log.last_watermark_ms() == 3 * DAY_MS
        records = [record for position in (0, 1, 2, 3, 5) for record in log.read(position, 9)]
        assert [record.position for record in records] == list(range(6))
        log.close()
        log = DayLog(tmp_path)
    log.close()
    assert [record.position for _, record in read_days(tmp_path)] == list(range(6))


def test_a_clock_that_was_behind_does_not_shorten_how_long_its_days_are_kept(tmp_path: Path) -> None:
    log = DayLog(tmp_path)
    log.append([_batch(100 * DAY_MS, "a")])
    log.append([_step(40 * DAY_MS, -60 * DAY_MS)])
    log.append([_step(100 * DAY_MS + 5, 60 * DAY_MS)])
    assert [day.day for day in log.days()] == ["19700411"] * 3


def test_an_emptied_first_file_is_loud_and_stays_as_it_is(tmp_path: Path) -> None:
    log = DayLog(tmp_path)
    for day in range(3):
        log.append([_batch(day * DAY_MS, "a")])
    log.close()
    (tmp_path / "log-19700101.db").write_bytes(b"")
    with pytest.raises(LogBroken, match=r"log-19700101\.db is empty"):
        DayLog(tmp_path)
    assert (tmp_path / "log-19700101.db").exists()


@pytest.mark.parametrize("readonly", [True, False])
def test_a_file_of_an_earlier_day_that_was_never_finished_is_made_again(tmp_path: Path, *, readonly: bool) -> None:
    log = DayLog(tmp_path)
    log.append([_batch(62 * DAY_MS, "a")])
    log._files[-1].announce("log-19700103.db")
    log.close()
    DayFile(tmp_path / "log-19700103.db").close()  # killed before its first transaction
    opened = DayLog(tmp_path, readonly=readonly)
    assert [day.name for day in opened.days()] == ["log-19700304.db"]
    if not readonly:
        opened.append([_step(2 * DAY_MS, -60 * DAY_MS)])
        assert [day.name for day in opened.days()] == ["log-19700304.db", "log-19700103.db"]
    opened.close()
