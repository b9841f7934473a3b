"""``linli doctor`` finds what is wrong, says what to do, and says nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from app.cli.doctor import command
from app.operations.doctor import machine
from app.operations.doctor.district import partitions
from app.operations.doctor.everywhere import clock_line
from app.operations.doctor.report import Check, CheckResult, Level, fail, ok
from app.operations.doctor.side_by_side import lines_of
from app.settings.loading import load_settings
from app.wiring.folder_lock import FolderLock
from contracts.batch import Batch
from contracts.errors import Transient
from contracts.events import ConfigurationRecord, ThresholdConfigured
from detectors.registry import all_rules
from incidents.monitor.inventory_monitor import InventoryMonitor
from incidents.store.operator_alarms import AlarmCode, raise_alarm
from incidents.store.store import Store
from ingest.session.broker import free_port
from ingest.session.broker_check import kept_while_away
from ingest.settings import BrokerAddress
from inventory.inventory import Inventory
from inventory.last_seen import LastSeen
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.engine.engine import Engine
from streams.engine.manifest import PartitionManifest
from streams.log.port import LogRecord
from streams.log.sqlite.day_log import DayLog
from streams.runtime.partition_driver import PartitionDriver
from system.clock import wall_ms
from tests.streams.histories import configuration
from tests.support.broker import mosquitto
from tests.support.district import district
from tests.support.kafka import RunningKafka


def settings_of(folder: Path, port: int = 0) -> dict[str, str]:
    return {
        "LINLI_MQTT_URL": f"mqtt://127.0.0.1:{port or free_port()}",
        "LINLI_LOG_URL": f"sqlite:///{folder}",
        "LINLI_INVENTORY_URL": f"sqlite:///{folder / 'config.db'}",
        "LINLI_INCIDENTS_URL": f"sqlite:///{folder / 'incidents.db'}",
        "LINLI_RESULTS_URL": f"sqlite:///{folder / 'results.db'}",
        "LINLI_EVIDENCE_FOLDER": str(folder / "evidence"),
    }


def doctor(settings: dict[str, str]) -> tuple[int, dict[str, list[CheckResult]]]:
    """The exit code, and the lines by what they are about."""
    result = CliRunner().invoke(command, ["--json"], env=settings)
    found: dict[str, list[CheckResult]] = {}
    for text in result.stdout.splitlines():
        line = msgspec.json.decode(text, type=CheckResult)
        found.setdefault(line.what, []).append(line)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, found


@pytest.fixture
def lived(tmp_path: Path) -> Path:
    """A folder in which a community has run, and drained a moment ago."""
    inventory = Inventory(tmp_path / "config.db")
    records = [record for record in configuration() if isinstance(record, ConfigurationRecord)]
    inventory.put([record for record in records if not isinstance(record, ThresholdConfigured)])  # of the tests' rules
    inventory.close()
    Store(f"sqlite:///{tmp_path / 'incidents.db'}").close()
    log, store = DayLog(tmp_path), SqliteCheckpointStore(tmp_path / "engine.db")
    now_ms = wall_ms()
    log.append([Batch(partition=0, watermark_ms=now_ms, events=tuple(configuration()))])
    driver = PartitionDriver(log, store, Engine(all_rules(), partition=0, partitions=1, log_id=log.identity()))
    driver.open()
    driver.save()
    log.close()
    store.close()
    return tmp_path


@pytest.mark.service
def test_a_machine_on_which_all_is_well_has_no_line_that_fails(lived: Path) -> None:
    with mosquitto(lived / "broker") as broker, FolderLock(lived):
        code, lines = doctor(settings_of(lived, broker.port))
    bad = {what: told for what, told in lines.items() if any(line.level is Level.FAIL for line in told)}
    assert bad == {}
    assert code == 0
    assert lines["mqtt"][0].level is lines["rules"][0].level is lines["process"][0].level is Level.OK
    assert "holds" not in lines["process"][0].detail


@pytest.mark.service
def test_a_broker_that_forgets_what_comes_while_ingest_is_away_is_found_by_trying(tmp_path: Path) -> None:
    def forgetful(text: str) -> str:
        return text.replace("max_queued_messages 0", "max_queued_messages 1000")

    with mosquitto(tmp_path / "good") as good:
        assert kept_while_away(BrokerAddress("127.0.0.1", good.port)) == 1_500
    with mosquitto(tmp_path / "bad", change=forgetful) as bad:
        code, lines = doctor(settings_of(tmp_path, bad.port))
    assert code == 1
    assert "max_queued_messages 0" in lines["mqtt"][0].remedy


def test_what_is_away_or_was_never_there_fails_by_itself_and_the_rest_is_looked_at(tmp_path: Path) -> None:
    code, lines = doctor(settings_of(tmp_path / "none"))
    assert code == 1
    assert {what: told[0].level for what, told in lines.items()} == {
        "settings": Level.OK,
        "secrets": Level.OK,
        "private": Level.OK,
        "receivers": Level.OK,
        "mqtt": Level.FAIL,
        "incidents": Level.FAIL,
        "inventory": Level.FAIL,
        "evidence": Level.OK,
        "erasure": Level.OK,
        "results": Level.WARN,
        "folder": Level.OK,
        "process": Level.FAIL,
        "log": Level.WARN,
        "rules": Level.WARN,
    }
    assert all(line.remedy for told in lines.values() for line in told if line.level is not Level.OK)


def test_standing_alarms_and_a_machine_that_does_not_run_are_said(lived: Path) -> None:
    store = Store(f"sqlite:///{lived / 'incidents.db'}")
    with store.write() as connection:
        raise_alarm(connection, AlarmCode.LOG_GAP, "log", "positions 3 to 9", 1)
    store.close()
    _code, lines = doctor(settings_of(lived))
    assert lines["alarms"][0].detail == "log_gap log: positions 3 to 9"
    assert "linli run" in lines["process"][0].remedy


def test_a_row_that_a_disk_changed_is_named_with_its_file(lived: Path) -> None:
    path = lived / "incidents.db"
    with closing(Store(f"sqlite:///{path}")) as store, store.write() as connection:
        raise_alarm(connection, AlarmCode.LOG_GAP, "log", "positions 3 to 9", 1)
    assert "stores" not in doctor(settings_of(lived))[1]
    path.write_bytes(path.read_bytes().replace(b"positions 3 to 9", b"positions 3 to 7"))
    (told,) = doctor(settings_of(lived))[1]["stores"]
    assert told.level is Level.FAIL
    assert told.detail.endswith("incidents.db is damaged: the rows of its table alarms are not what was written")
    assert told.remedy.startswith("restore it or move it away")


def test_a_secret_that_everybody_may_read_is_said_and_one_that_is_missing_fails(lived: Path) -> None:
    secret = lived / "mqtt"
    secret.write_text("user:password", encoding="utf-8")
    secret.chmod(0o644)
    settings = settings_of(lived) | {"LINLI_MQTT_PASSWORD_FILE": str(secret)}
    assert doctor(settings)[1]["secrets"][0].level is Level.WARN
    secret.unlink()
    assert doctor(settings)[1]["secrets"][0].level is Level.FAIL


def test_a_secret_whose_exchange_is_not_finished_is_said(lived: Path) -> None:
    secret = lived / "secret"
    secret.write_text("0123456789abcdef", encoding="utf-8")
    given = settings_of(lived) | {"LINLI_WEBHOOK_URL": "https://x.example/a", "LINLI_WEBHOOK_SECRET_FILE": str(secret)}
    for waits in (False, True):
        _code, found = doctor(given)
        said = [line for line in found["secrets"] if "is being exchanged" in line.detail]
        assert [(line.level, line.detail) for line in said] == (
            [(Level.WARN, f"webhook.secret_file is being exchanged: {secret}.next waits")] if waits else []
        )
        secret.with_name("secret.next").write_text("another secret, also long", encoding="utf-8")


@pytest.mark.parametrize(
    ("webhook", "level", "said"),
    [
        ({}, Level.OK, "0 can be told"),
        ({"URL": "https://h"}, Level.FAIL, "webhook.secret_file is empty"),
        ({"URL": "http://h", "SECRET_FILE": "hook"}, Level.FAIL, "webhook.url 'http://h' is not encrypted"),
        ({"URL": "https://h", "SECRET_FILE": "none"}, Level.FAIL, "webhook.secret_file = 'LIVED/none' cannot be read"),
        ({"URL": "https://h", "SECRET_FILE": "short"}, Level.FAIL, "secret of 5 bytes, at least 16"),
        ({"URL": "https://h", "SECRET_FILE": "hook"}, Level.OK, "1 can be told: webhook"),
    ],
)
def test_a_receiver_that_no_process_could_tell_fails(
    lived: Path, webhook: dict[str, str], level: Level, said: str
) -> None:
    for name, secret in {"hook": "0123456789abcdef", "short": "tulip"}.items():
        (lived / name).write_text(secret, encoding="utf-8")
    given = {name: str(lived / value) if name == "SECRET_FILE" else value for name, value in webhook.items()}
    _code, lines = doctor(settings_of(lived) | {f"LINLI_WEBHOOK_{name}": value for name, value in given.items()})
    (line,) = lines["receivers"]
    assert line.level is level
    assert said.replace("LIVED", str(lived)) in line.detail


MANIFEST = PartitionManifest(
    log_id="l", partition=2, partitions=24, digest="d", versions={}, through=90, position=99, sites={}
)


@pytest.mark.parametrize(
    ("changes", "begin", "end", "level", "said"),
    [
        ({}, 0, 100, Level.OK, "0 records behind"),
        ({}, 50, 1_500, Level.WARN, "1400 records behind"),
        ({}, 95, 120, Level.FAIL, "log_gap"),
        ({}, 0, 60, Level.FAIL, "log_replaced"),
        ({"log_id": "other"}, 0, 100, Level.FAIL, "log_replaced"),
        ({"partitions": 12}, 0, 100, Level.FAIL, "partition 2 of 12"),
    ],
)
def test_snapshots_are_held_against_their_log(
    changes: dict[str, object], begin: int, end: int, level: Level, said: str
) -> None:
    manifest = msgspec.structs.replace(MANIFEST, **changes)
    (line,) = machine.standing("p", manifest, begin, end, log_id="l", partition=2, partitions=24)
    assert line.level is level
    assert said in line.detail


class OneLog:
    """A log that holds records ``begin`` to ``end``, all written at the same time."""

    def __init__(self, begin: int, end: int, at_ms: int) -> None:
        self._begin, self._end, self._at_ms = begin, end, at_ms

    def identity(self) -> str:
        return "l"

    def begin(self) -> int:
        return self._begin

    def end(self) -> int:
        return self._end

    def read(self, position: int, limit: int) -> list[LogRecord]:
        return [LogRecord(n, b"", self._at_ms) for n in range(position, min(position + limit, self._end))]


NOW_MS = 1_800_000_000_000


@pytest.mark.parametrize(
    ("begin", "end", "age_ms", "level", "said"),
    [
        (0, 5, 0, Level.OK, "5 records, nothing saved yet: the first snapshot comes within 30 s"),
        (0, 5, 30_000, Level.OK, "nothing saved yet"),
        (0, 5, -2_000, Level.OK, "nothing saved yet"),  # its writer's clock is ahead of ours
        (0, 5, 30_001, Level.WARN, "no snapshot after 30 s, 5 records to judge"),
        (0, 5, NOW_MS, Level.WARN, "no snapshot"),  # from before the log said when its records were written
        (2, 5, 0, Level.WARN, "3 records to judge"),
        (5, 5, 0, Level.WARN, "0 records to judge"),
    ],
)
def test_a_partition_without_a_snapshot_is_a_warning_only_when_one_was_due(
    begin: int, end: int, age_ms: int, level: Level, said: str
) -> None:
    (line,) = machine.unsaved("p", OneLog(begin, end, NOW_MS - age_ms), NOW_MS)
    assert (line.level, line.remedy) == (level, "" if level is Level.OK else "see that the rules run")
    assert said in line.detail


def test_a_partition_without_records_needs_no_snapshot() -> None:
    assert list(machine.unsaved("p", OneLog(0, 0, 0), NOW_MS)) == []


def test_rules_that_have_just_begun_are_well_before_they_saved_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "FIRST_SNAPSHOT_S", 86_400)  # however slow this machine is
    log, store = DayLog(tmp_path), SqliteCheckpointStore(tmp_path / "engine.db")
    log.append([Batch(partition=0, watermark_ms=wall_ms(), events=())])
    log.close()
    store.close()
    (line,) = machine.rules(tmp_path)
    assert line.level is Level.OK
    assert "1 records, nothing saved yet" in line.detail


@pytest.mark.service
@pytest.mark.patient
def test_new_partitions_of_a_district_are_counted_and_late_ones_named(
    kafka: RunningKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with district(kafka.url, tmp_path, partitions=2) as over:
        settings = load_settings(None, over.settings)
        assert [line.detail for line in partitions(settings)] == ["2 partitions judged, none far behind"]
        over.append_bytes(1, b"a record")
        monkeypatch.setattr(machine, "FIRST_SNAPSHOT_S", 86_400)  # however slow this machine is
        (line,) = partitions(settings)
        assert (line.level, line.what) == (Level.OK, "partitions")
        assert "none far behind, 1 of them new" in line.detail
        monkeypatch.setattr(machine, "FIRST_SNAPSHOT_S", -1)
        (line,) = partitions(settings)
        assert (line.level, line.what) == (Level.WARN, "partition 1")


def test_clocks_that_disagree_are_told_by_how_much() -> None:
    assert [clock_line("x", ms).level for ms in (0, -499, 600, -2_500)] == [Level.OK, Level.OK, Level.WARN, Level.FAIL]
    assert "-2500 ms" in clock_line("x", -2_500).detail


def test_a_check_that_cannot_be_made_is_a_line_and_the_next_one_is_made() -> None:
    def broken() -> Iterator[CheckResult]:
        yield ok("a", "first")
        raise Transient("nobody answers")

    checks = [Check("a", broken, "start it"), Check("b", lambda: [ok("b", "fine")], "")]
    assert list(lines_of(checks)) == [ok("a", "first"), fail("a", "nobody answers", "start it"), ok("b", "fine")]


def test_a_damaged_file_and_an_inventory_that_went_back_are_named(tmp_path: Path) -> None:
    path, settings = tmp_path / "config.db", settings_of(tmp_path)
    store = Store(settings["LINLI_INCIDENTS_URL"])
    for _ in range(2):
        inventory = Inventory(path)
        records = [record for record in configuration() if isinstance(record, ConfigurationRecord)]
        inventory.put([record for record in records if not isinstance(record, ThresholdConfigured)])
        InventoryMonitor(inventory, store, clock_ms=lambda: 1).step()
        inventory.close()
    assert "stores" not in doctor(settings)[1]
    path.unlink()
    Inventory(path).close()
    store.close()
    assert "another store" in doctor(settings)[1]["inventory"][0].detail
    path.write_bytes(path.read_bytes()[:-100])
    (told,) = doctor(settings)[1]["stores"]
    assert (told.level, "config.db is damaged" in told.detail) == (Level.FAIL, True)


def test_a_camera_that_says_that_it_sees_nothing_is_named(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    inventory = Inventory(tmp_path / "config.db")
    records = [record for record in configuration() if isinstance(record, ConfigurationRecord)]
    inventory.put([record for record in records if not isinstance(record, ThresholdConfigured)])
    well, unwell = [(one.site_id, one.device_id) for one in inventory.devices()][:2]
    inventory.keep_last_seen({well: LastSeen(5, online=True, healthy=True)}, 5)
    assert "devices" not in doctor(settings)[1]
    inventory.keep_last_seen({unwell: LastSeen(6, True, False), ("gone", "gone"): LastSeen(6, True, False)}, 6)
    inventory.close()
    (told,) = doctor(settings)[1]["devices"]
    assert (told.level, "/".join(unwell) in told.detail, "--check" in told.remedy) == (Level.WARN, True, True)
