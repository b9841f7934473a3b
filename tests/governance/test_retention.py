"""Time travels: each class of data is there until its time is over, then gone and accounted for. A hold keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import func, insert, select

from app.main import linli
from app.settings.loading import load_settings
from app.wiring.erasure import open_stores
from app.wiring.rule_facts import finding_facts
from app.wiring.run_child import run_settings
from app.wiring.stores import open_inventory
from contracts.batch import Batch
from contracts.durations import DAY_MS
from contracts.erasure import Eraser, Erasure, digest_of
from contracts.errors import ConfigurationError, LinliError, RejectReason
from contracts.events import ReferenceKind
from contracts.findings import Subject, SubjectKind
from contracts.incidents import AlertAction
from evidence.files import EvidenceFiles
from evidence.store import SiteFile, settle_evidence
from evidence.uploads import Uploads
from governance import audit
from governance.erasing import erase
from governance.erasure_answers import ErasureOutcome, ErasureResult
from governance.erasure_stores import Stores
from governance.holds import add_hold, end_hold
from governance.incident_retention import totals
from governance.retention import IncidentRetention, LogRetention, Retention, SegmentRetention
from incidents.alerts.actions import Actions, Command
from incidents.intake.intake import Intake
from incidents.store.operator_alarms import AlarmCode, clear_alarm, raise_alarm, standing_alarms
from incidents.store.records import EvidenceState
from incidents.store.schema import alarms, attempts, deliveries, findings, incidents, sessions
from incidents.store.store import Store
from ingest.shard.dead_letters import DeadLetters, dead_letter
from streams.archive.archive import Archive
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.log.sqlite.day_log import DayLog
from streams.log.sqlite.days import utc_day
from system.clock import wall_ms
from tests.edge.factories import new_spool, reported
from tests.incidents.builders import SHA_A, ManualClock, make_directory, make_finding, make_store, still
from tests.ingest.builders import site
from tests.streams.archive.support import archive_all
from tests.streams.support import T0, access
from tests.support.stores import on_both, store_settings, stores_closed

__all__ = ["on_both", "stores_closed"]

pytestmark = pytest.mark.usefixtures("on_both")

TODAY_MS = T0 // DAY_MS * DAY_MS
HOUR_MS = 3_600_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(make_store(tmp_path)) as opened:
        yield opened


def _told(store: Store, action: str) -> list[dict[str, object]]:
    """Return what the audit log says was deleted."""
    with store.read() as connection:
        entries = [entry for entry, _ in audit.entries(connection) if entry.action == action]
        assert audit.first_broken(connection) is None
    return [{"of": entry.subject} | msgspec.json.decode(entry.detail) for entry in entries]


def _hold(store: Store, site: str, incident: str | None = None) -> str:
    with store.write() as connection:
        return add_hold(connection, site, incident, "file 12/2027", "op", 1).hold_id


def _end(store: Store, hold: str) -> None:
    with store.write() as connection:
        end_hold(connection, hold, "op", 2)


# --- the log, and what rests on it ------------------------------------------------------------------------------------


class _Days:
    """A log of a record a day, with a finding each, and what keeps it."""

    def __init__(self, folder: Path, store: Store, *, max_bytes: int = 0) -> None:
        self.log, self.engine_store, self.store = (
            DayLog(folder / "log"),
            SqliteCheckpointStore(folder / "engine.db"),
            store,
        )
        self.needed, self.taken = {"rules": 100, "archive": 100}, 100
        for day in range(10):
            at_ms = TODAY_MS + day * DAY_MS
            event = access(f"e{day}", at_ms - T0)
            self.log.append([Batch(partition=0, watermark_ms=at_ms, events=(event,))])
            self.engine_store.append_findings([make_finding(onset_ms=at_ms, position=day)])
        self.keeper = LogRetention(
            self.log,
            self.engine_store,
            store,
            digest="d",
            days=7,
            max_bytes=max_bytes,
            readers={"rules": lambda: self.needed["rules"], "archive": lambda: self.needed["archive"]},
            taken=lambda: self.taken,
        )

    def kept(self) -> tuple[int, int]:
        """The first position of the log, and of the findings."""
        return self.log.begin(), self.engine_store.findings_after(0, 1)[0][1].position

    def close(self) -> None:
        self.log.close()
        self.engine_store.close()


def test_days_of_the_log_go_after_their_time_and_findings_with_them(tmp_path: Path, store: Store) -> None:
    with closing(_Days(tmp_path, store)) as days:
        days.keeper(TODAY_MS + 8 * DAY_MS - 1)
        assert days.kept() == (0, 0)
        days.keeper(TODAY_MS + 8 * DAY_MS)
        assert days.kept() == (1, 1)
        days.taken = 3
        days.keeper(TODAY_MS + 12 * DAY_MS)
        assert days.kept() == (5, 3)  # a finding that nobody has taken yet stays
        days.keeper(TODAY_MS + 99 * DAY_MS)
        assert days.log.days()[0].end == 10  # the newest file is never deleted
        told = _told(store, "retention.log")
        assert [row["end"] for row in told] == list(range(1, 10))
        assert all(row["verified"] for row in told)
        assert not any((tmp_path / "log" / str(row["of"])).exists() for row in told)


def test_the_log_is_bounded_by_size_and_a_slow_reader_raises_an_alarm(tmp_path: Path, store: Store) -> None:
    with closing(_Days(tmp_path, store, max_bytes=1)) as days:
        days.needed["archive"] = 4
        days.keeper(TODAY_MS)
        assert days.log.begin() == 4
        with store.read() as connection:
            (alarm,) = standing_alarms(connection)
        assert (alarm.code, alarm.detail) == (AlarmCode.LOG_HELD, "5 days, read by archive")
        days.needed["archive"] = 100
        days.keeper(TODAY_MS)
        assert days.log.begin() == 9
        with store.read() as connection:
            assert standing_alarms(connection) == []


# --- segments ---------------------------------------------------------------------------------------------------------


def test_segments_go_by_their_sites_days_unless_the_site_is_held(tmp_path: Path, store: Store) -> None:
    with closing(Archive(tmp_path / "archive")) as archive, closing(DayLog(tmp_path / "log")) as log:
        events = tuple(access(f"e-{site}", 0, site_id=site) for site in ("s1", "s2", "s3"))
        log.append([Batch(partition=0, watermark_ms=T0, events=events)])
        log.append([Batch(partition=0, watermark_ms=T0 + DAY_MS)])
        archive_all(archive, log)
        keeper, hold = SegmentRetention(archive, store, days=30, site_days={"s2": 2}), _hold(store, "s3")

        def sites() -> list[str]:
            return [segment.head.site_id for segment in archive.catalogue.segments()]

        keeper(TODAY_MS + 3 * DAY_MS - 1)
        assert sites() == ["s1", "s2", "s3"]
        keeper(TODAY_MS + 3 * DAY_MS)
        assert sites() == ["s1", "s3"]
        keeper(TODAY_MS + 31 * DAY_MS)
        assert sites() == ["s3"]
        _end(store, hold)
        keeper(TODAY_MS + 31 * DAY_MS)
        assert sites() == []
        told = _told(store, "retention.segment")
        assert [str(row["of"])[:2] for row in told] == ["s2", "s1", "s3"]
        assert all(row["events"] == 1 and len(str(row["sha256"])) == 64 for row in told)
        assert list((tmp_path / "archive").rglob("*.seg")) == []


# --- incidents --------------------------------------------------------------------------------------------------------


def _incident(store: Store, door: str, clock: ManualClock, *, handled: bool = True) -> str:
    """An incident with evidence, told to a receiver, and closed by a person."""
    finding = make_finding(key=door, onset_ms=clock(), evidence=(still(),))
    taken = Intake(store, make_directory("s1"), finding_facts(), ["hook"], clock_ms=clock, source=door).take(
        [(1, finding)]
    )
    (incident_id,) = taken.opened
    if handled:
        command = Command(incident_id=incident_id, action=AlertAction.HANDLE, version=1)
        Actions(store, ("hook",), clock_ms=clock).act("op", command)
    return incident_id


def _ids(store: Store) -> set[str]:
    with store.read() as connection:
        return set(connection.execute(select(incidents.c.incident_id)).scalars())


def test_closed_incidents_go_whole_after_their_time_and_leave_their_number_and_count(
    tmp_path: Path, store: Store
) -> None:
    clock = ManualClock(TODAY_MS)
    old, live, kept = (_incident(store, door, clock, handled=door != "live") for door in ("old", "live", "kept"))
    with store.write() as connection:
        delivery = connection.execute(select(deliveries.c.delivery_id).where(deliveries.c.incident_id == old)).scalar()
        row = {"delivery_id": delivery, "nth": 1, "at_ms": 1, "took_ms": 1, "outcome": "retry", "detail": ""}
        connection.execute(insert(attempts).values(row))
    hold, keeper = _hold(store, "s1", kept), IncidentRetention(store, days=365)
    keeper(TODAY_MS + 365 * DAY_MS)
    assert _ids(store) == {old, live, kept}
    keeper(TODAY_MS + 365 * DAY_MS + 1)
    assert _ids(store) == {live, kept}
    with store.read() as connection:
        for table in (findings, deliveries):
            query = select(func.count()).select_from(table).where(table.c.incident_id == old)
            assert connection.execute(query).scalar() == 0
        assert connection.execute(select(func.count()).select_from(attempts)).scalar() == 0
        assert totals(connection, "s1") == {("202701", "stranger_entry", "handled"): 1}
    (told,) = _told(store, "retention.incidents")
    assert (told["incidents"], told["findings"], told["verified"]) == (1, 1, True)
    _end(store, hold)
    keeper(TODAY_MS + 366 * DAY_MS)
    assert _ids(store) == {live}
    clock.now_ms = TODAY_MS + 1
    again = _incident(store, "again", clock)
    with store.read() as connection:
        number = connection.execute(select(incidents.c.number).where(incidents.c.incident_id == again)).scalar()
    assert number == "20270115-0004"


def test_sessions_end_and_cleared_alarms_are_forgotten(tmp_path: Path, store: Store) -> None:
    with store.write() as connection:
        row = {"token_sha256": "t", "name": "op", "created_ms": 1, "used_ms": 1, "expires_ms": TODAY_MS}
        connection.execute(insert(sessions).values(row))
        raise_alarm(connection, AlarmCode.LOG_GAP, "x", "", TODAY_MS)
        raise_alarm(connection, AlarmCode.LOG_GAP, "stands", "", TODAY_MS)
        clear_alarm(connection, AlarmCode.LOG_GAP, "x", TODAY_MS)

    def rows() -> tuple[object, object]:
        with store.read() as connection:
            count = [connection.execute(select(func.count()).select_from(t)).scalar() for t in (sessions, alarms)]
        return count[0], count[1]

    keeper = IncidentRetention(store, days=365)
    keeper(TODAY_MS)
    assert rows() == (1, 2)
    keeper(TODAY_MS + 1)
    assert rows() == (0, 2)
    keeper(TODAY_MS + 90 * DAY_MS + 1)
    assert rows() == (0, 1)


def test_evidence_goes_after_its_time_unless_an_incident_that_names_it_is_held(tmp_path: Path, store: Store) -> None:
    clock, files = ManualClock(TODAY_MS), EvidenceFiles(tmp_path / "evidence")
    incident_id = _incident(store, "door", clock)
    files._path(SHA_A).parent.mkdir()
    files._path(SHA_A).write_bytes(b"sealed")
    with store.write() as connection:
        settle_evidence(
            connection, SiteFile("s1", SHA_A), EvidenceState.PRESENT, TODAY_MS, box_id="b1", size_bytes=6, reason=""
        )
    uploads, hold = Uploads(store, files, clock_ms=clock), _hold(store, "s1", incident_id)
    clock.advance(720 * HOUR_MS + 1)
    uploads.keep_house(720 * HOUR_MS)
    assert files.has(SHA_A)
    _end(store, hold)
    clock.now_ms = TODAY_MS + 720 * HOUR_MS
    uploads.keep_house(720 * HOUR_MS)
    assert files.has(SHA_A)
    clock.advance(1)
    uploads.keep_house(720 * HOUR_MS)
    assert not files.has(SHA_A)
    assert _told(store, "retention.evidence") == [{"of": "evidence", "files": 1, "verified": True}]


# --- what boxes and the pipeline keep ---------------------------------------------------------------------------------


def test_a_dead_letter_lasts_72_hours(tmp_path: Path) -> None:
    with closing(DeadLetters(tmp_path)) as letters:
        letters.add(dead_letter(RejectReason.NOT_JSON, "x", ("s1", "g1"), "t", b"x", TODAY_MS))
        letters.flush(TODAY_MS)
        letters.flush(TODAY_MS + 72 * HOUR_MS)
        assert len(letters.list(10)) == 1
        letters.flush(TODAY_MS + 72 * HOUR_MS + 60_000)
        assert letters.list(10) == []


def test_a_box_drops_rows_that_are_too_old_once_and_declares_it(tmp_path: Path) -> None:
    spool = new_spool(tmp_path)
    for at_ms in (1_000, 2_000, 5_000):
        spool.add(reported(at_ms))
    assert spool.drop_older(3_000) == 2
    assert spool.drop_older(3_000) == 0
    assert spool.drop_older(9_000) == 1
    assert spool.drop_older(9_000) == 0
    assert spool.counts(0).rows == 2
    assert spool.counts(0).dropped == 3
    spool._db.close()


def test_one_class_that_fails_does_not_keep_the_others_from_their_turn() -> None:
    turns: list[int] = []

    def fails(_now_ms: int) -> None:
        raise ConfigurationError("no key")

    Retention({"a": fails, "b": turns.append}, clock_ms=lambda: 7).step()
    assert turns == [7]


# --- holds and erasure ------------------------------------------------------------------------------------------------

REF = "pr-held"


def _set(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of one machine over ``folder``, its incidents in the database that is under stores now."""
    for name, value in (run_settings(folder, "mqtt://127.0.0.1:1", 0, "") | store_settings(folder)).items():
        monkeypatch.setenv(name, value)


def _stores(folder: Path, opened: ExitStack, monkeypatch: pytest.MonkeyPatch) -> Stores:
    _set(folder, monkeypatch)
    return opened.enter_context(open_stores(load_settings(), lambda: TODAY_MS + DAY_MS))


def _erased(stores: Stores) -> dict[str, ErasureResult]:
    kind = ReferenceKind.PERSON
    return {
        answer.store if answer.outcome is not ErasureOutcome.HELD else f"{answer.store}, held": answer
        for answer in erase(stores, Erasure("s1", kind, digest_of("s1", kind, REF), TODAY_MS + DAY_MS))
    }


def test_a_held_incident_keeps_the_reference_until_the_hold_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as opened:
        stores = _stores(tmp_path, opened, monkeypatch)
        clock, subject = ManualClock(TODAY_MS), Subject(SubjectKind.PERSON, REF)
        found = [
            make_finding(rule="presence", key=k, onset_ms=TODAY_MS + n * HOUR_MS, subject=subject)
            for n, k in enumerate(("a", "b"))
        ]
        opened_ids = (
            Intake(stores.store, make_directory("s1"), finding_facts(), clock_ms=clock)
            .take(list(enumerate(found, 1)))
            .opened
        )
        with closing(DayLog(tmp_path)) as log:
            event = access("e", 0, person_ref=REF)
            log.append([Batch(partition=0, watermark_ms=T0, events=(event,))])
            assert stores.archive is not None
            archive_all(stores.archive, log)
        hold = _hold(stores.store, "s1", opened_ids[0])
        first = _erased(stores)
        assert hold in first["incidents, held"].detail
        assert hold in first["archive, held"].detail
        assert first["incidents"].outcome is ErasureOutcome.ERASED
        assert _refs(stores.store) == [REF, "erased"]
        _end(stores.store, hold)
        second = _erased(stores)
        assert {name for name in second if name.endswith("held")} == set()
        assert second["archive"].outcome is ErasureOutcome.ERASED
        assert second["log"].outcome is ErasureOutcome.AGES_OUT
        assert _refs(stores.store) == ["erased", "erased"]
        again = Intake(stores.store, make_directory("s1"), finding_facts(), clock_ms=clock, source="again")
        kind = ReferenceKind.PERSON
        eraser = Eraser([Erasure("s1", kind, digest_of("s1", kind, REF), TODAY_MS + DAY_MS)])
        taken = again.take(list(enumerate([*found, *map(eraser.finding, found)], 1)))
        assert (taken.new, taken.known, taken.contradicting) == (0, 4, 0)
        assert _refs(stores.store) == ["erased", "erased"]


def _refs(store: Store) -> list[str]:
    with store.read() as connection:
        refs = connection.execute(select(incidents.c.subject_ref).order_by(incidents.c.ordinal)).scalars()
        return [ref.partition("-")[0] if ref.startswith("erased-") else ref for ref in refs]


# --- commands ---------------------------------------------------------------------------------------------------------


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(linli, list(arguments))


def test_the_commands_say_what_they_did_and_what_was_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _set(tmp_path, monkeypatch)
    with closing(open_inventory(load_settings())) as inventory:
        inventory.put([site("s1")])
    assert "no holds" in _run("hold", "list").stderr
    hold = _run("hold", "add", "--site", "s1", "--reason", "file 7").stdout.strip()
    assert _run("hold", "list").stdout.startswith(f"{hold}\ts1\t-\t")
    refused = _run("archive", "erase-site", "s1", "--yes").exception
    assert isinstance(refused, ConfigurationError)
    assert f"under hold {hold} (file 7)" in str(refused)
    assert _run("hold", "remove", hold).exit_code == 0
    assert isinstance(_run("hold", "remove", hold).exception, LinliError)
    assert "give --site SITE and one of" in _run("erase", "--site", "s1").stderr

    at_ms = wall_ms() - 3 * DAY_MS
    with closing(DayLog(tmp_path)) as log:
        log.append([Batch(partition=0, watermark_ms=at_ms, events=(access("a", at_ms - T0, person_ref="pr-1"),))])
        log.append([Batch(partition=0, watermark_ms=at_ms + DAY_MS)])
    sealed = _run("archive", "once")
    assert (sealed.exit_code, sealed.stdout.startswith(f"s1/{utc_day(at_ms)}-")) == (0, True)
    name = sealed.stdout.strip()
    assert _run("archive", "list", "--site", "s1").stdout.startswith(f"{name}\t1\t")
    assert '"person_ref":"pr-1"' in _run("archive", "show", name).stdout
    assert _run("archive", "verify").exit_code == 0
    said = _run("erase", "--site", "s1", "--person", "pr-1").stdout
    assert "archive: erased (1 events in 1 segments and open days)" in said
    assert "pr-1" not in _run("archive", "show", name).stdout
    assert _run("archive", "verify").exit_code == 0
    assert (
        _run("replay", str(tmp_path / "archive" / name), "--key-file", str(tmp_path / "archive" / "keys")).exit_code
        == 0
    )
    assert "--key-file" in str(_run("replay", str(tmp_path / "archive" / name)).exception)
    assert _run("erase", "verify").exit_code == 0
    (tmp_path / "archive" / name).write_bytes(b"damaged")
    assert isinstance(_run("archive", "verify").exception, LinliError)
    assert _run("archive", "erase-site", "s1", "--yes").exit_code == 0
    assert "no segments" in _run("archive", "list").stderr
