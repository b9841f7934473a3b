"""``linli run`` over files that are damaged, missing, another's or new: named, loud, and nothing is lost silently."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

from app.settings.loading import load_settings
from app.wiring.community import CommunityProcess
from contracts.events import AnyEvent, EnvironmentSampled
from contracts.findings import Severity
from detectors.registry import all_rules
from incidents.store.operator_alarms import Alarm, AlarmCode, standing_alarms
from incidents.store.schema import incidents
from incidents.store.store import Store
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.engine.engine import Engine
from streams.log.sqlite.day_log import DayLog
from streams.runtime.partition_driver import PartitionDriver
from tests.streams.support import batch, device, of, passage
from tests.support.linli_run import ended, run_here, running, settings_over, wait_for

DAY_MS = 86_400_000


def write_days(folder: Path, days: range) -> None:
    """Append a day file each: a device's record first, then somebody passing."""
    log = DayLog(folder)
    for day in days:
        event: AnyEvent = passage(f"p{day}", day * DAY_MS) if day else device(1, 0, "d1")
        log.append([batch(day * DAY_MS + 1_000, event)])
    log.close()


def write_alarms(folder: Path, days: range) -> None:
    """Append a day file each, with a fire sensor's alarm."""
    log = DayLog(folder)
    for day in days:
        sensor = f"sensor-{day}"
        alarm = of(EnvironmentSampled, f"a{day}", day * DAY_MS, sensor, place_id=sensor, alarm=True)
        log.append([batch(day * DAY_MS + 1_000, alarm)])
    log.close()


def taken_over(folder: Path) -> set[str]:
    """The places with incidents, after everything in the log was judged and handed over."""
    community = CommunityProcess(load_settings())
    community.rules.partition.open()
    while community.intake.step():
        pass
    community.close()
    store = Store(f"sqlite:///{folder / 'incidents.db'}")
    with store.read() as connection:
        places = {str(place) for (place,) in connection.execute(select(incidents.c.place_id))}
    store.close()
    return places


def judge(folder: Path) -> None:
    """Judge the whole log and keep every snapshot, as ``linli run`` does when it ends."""
    log, store = DayLog(folder), SqliteCheckpointStore(folder / "engine.db")
    driver = PartitionDriver(log, store, Engine(all_rules(), partition=0, partitions=1, log_id=log.identity()))
    driver.open()
    driver.save()
    store.close()
    log.close()


def alarms_in(folder: Path) -> list[Alarm]:
    """Return what the page shows as wrong with Linli itself."""
    store = Store(f"sqlite:///{folder / 'incidents.db'}")
    with store.read() as connection:
        found = standing_alarms(connection)
    store.close()
    return found


@pytest.mark.parametrize("name", ["engine.db", "log-20270115.db", "config.db", "incidents.db"])
def test_a_file_that_is_no_database_is_named_with_what_to_do_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    rubbish = b"rubbish, not a database " * 400
    (tmp_path / name).write_bytes(rubbish)
    (tmp_path / name).chmod(0o600)  # what others may read is said too, before
    assert run_here(monkeypatch, tmp_path, settings_over(tmp_path)) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert name in err
    assert "restore it or move it away" in err
    assert (tmp_path / name).read_bytes() == rubbish


def test_a_missing_day_between_others_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_days(tmp_path, range(3))
    sorted(tmp_path.glob("log-????????.db"))[1].unlink()
    assert run_here(monkeypatch, tmp_path, settings_over(tmp_path)) == 1
    assert "does not continue" in capsys.readouterr().err


@pytest.mark.service
def test_another_log_under_its_snapshots_ends_it_with_log_replaced(tmp_path: Path) -> None:
    write_days(tmp_path, range(2))
    judge(tmp_path)
    for file in tmp_path.glob("log-*"):
        file.unlink()
    write_days(tmp_path, range(1, 3))
    with running(tmp_path, settings_over(tmp_path)) as child:
        assert ended(child) == 1
        assert "linli: log_replaced: snapshots are of log" in child.tail()
        assert "Traceback" not in child.tail()


@pytest.mark.service
def test_days_removed_before_they_were_judged_are_a_loud_gap_and_the_rest_is_judged(tmp_path: Path) -> None:
    write_days(tmp_path, range(1))
    judge(tmp_path)
    write_days(tmp_path, range(1, 4))
    for file in sorted(tmp_path.glob("log-????????.db"))[:3]:
        file.unlink()
    with running(tmp_path, settings_over(tmp_path)) as child:
        wait_for(child, lambda: "positions 1 to 2 are no longer in the log" in child.tail(), "alarm")
        assert "log_gap" in child.tail()
        wait_for(child, lambda: "first_run" in child.tail(), "start behind the gap")
        assert child.stop() == 0, child.tail()
    store = SqliteCheckpointStore(tmp_path / "engine.db")
    assert [alarm.code for alarm in alarms_in(tmp_path)] == [AlarmCode.LOG_GAP]
    assert len(store.load(Engine(all_rules(), partition=0, partitions=1, log_id="").digest)[0]) == 1
    store.close()


def test_a_new_engine_store_is_read_from_its_start_though_the_old_one_was_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings_over(tmp_path).items():
        monkeypatch.setenv(name, value)
    write_alarms(tmp_path, range(2))
    assert taken_over(tmp_path) == {"sensor-0", "sensor-1"}
    for file in [*tmp_path.glob("engine.db*"), *tmp_path.glob("log-20270115*")]:
        file.unlink()
    write_alarms(tmp_path, range(2, 3))
    assert taken_over(tmp_path) == {"sensor-0", "sensor-1", "sensor-2"}


def test_a_finding_decided_again_otherwise_is_an_alarm_on_the_page_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings_over(tmp_path).items():
        monkeypatch.setenv(name, value)
    write_alarms(tmp_path, range(2))
    judge(tmp_path)
    store = SqliteCheckpointStore(tmp_path / "engine.db")
    (first, second) = [found for _, found in store.findings_after(0, 9) if found.nth == 0]
    store.close()
    for file in tmp_path.glob("engine.db*"):
        file.unlink()
    store = SqliteCheckpointStore(tmp_path / "engine.db")  # as an older version left it, which said something else
    store.append_findings([msgspec.structs.replace(first, severity=Severity.MINOR, rule_version=0)])
    store.close()
    assert taken_over(tmp_path) == {"sensor-0", "sensor-1"}
    (alarm,) = alarms_in(tmp_path)
    assert (alarm.code, alarm.subject) == (AlarmCode.FINDING_CONTRADICTS, first.finding_id)
    assert "position 0 (rule version 0) and position 0 (rule version 2) differ in severity" in alarm.detail
    store = SqliteCheckpointStore(tmp_path / "engine.db")
    kept = {found.finding_id: found.severity for _, found in store.findings_after(0, 9)}
    assert (kept[first.finding_id], kept[second.finding_id]) == (Severity.MINOR, Severity.CRITICAL)
    store.close()


def test_rows_and_pictures_that_a_disk_changes_while_it_runs_are_told_daily(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings_over(tmp_path).items():
        monkeypatch.setenv(name, value)
    write_alarms(tmp_path, range(1))
    assert taken_over(tmp_path) == {"sensor-0"}
    settings = load_settings()
    community = CommunityProcess(settings)
    try:
        look = community._store_monitor().step
        assert look() == {}
        with (tmp_path / "incidents.db").open("r+b") as file:  # everywhere, also in the indexes: they agree
            changed = file.read().replace(b"sensor-0", b"sensor-7")
            file.seek(0)
            file.write(changed)
        with closing(sqlite3.connect(settings.dead_letters.folder / "dead-letters.db", isolation_level=None)) as db:
            db.execute("INSERT INTO letters VALUES (1, 2, 'too_old', 's1/g1', 3, '', x'00', 4)")
        picture = settings.evidence.folder / "present" / "aa" / ("a" * 64)
        picture.parent.mkdir()
        picture.write_bytes(b"LNS2 and rubbish")
        told = look()
        assert set(told) == {"incidents.db", "dead-letters.db", "evidence"}
        assert all("restore it" in detail for detail in told.values())
        with community._incidents.read() as connection:
            alarms = standing_alarms(connection)
        assert {alarm.subject for alarm in alarms if alarm.code is AlarmCode.STORE_DAMAGED} == set(told)
    finally:
        community.close()
