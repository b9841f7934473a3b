"""The demo's audit says "nothing lost, nothing twice" only when it is so: each claim is broken once, and it shows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

from app.demo.audit import BOX_FILE, Published, Report, audit
from app.wiring.rule_facts import finding_facts
from contracts.errors import RejectReason
from contracts.events import AnyEvent, Lane, SpoolMark
from contracts.events.identity import IN_FLIGHT
from delivery.deliveries import DeliveryMessage, summary_of
from delivery.receivers.webhook.stand_in import StandIn
from edge.spool.box_db import BoxDb
from edge.spool.spool import Spool
from incidents.intake.intake import Intake
from incidents.store.records import DeliveryKind, Incident, incident_of
from incidents.store.schema import incidents
from incidents.store.store import Store
from ingest.shard.dead_letters import DeadLetters, dead_letter
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.log.sqlite.day_log import DayLog
from tests.incidents.builders import T0 as ONSET_MS
from tests.incidents.builders import ManualClock, make_directory, make_finding, make_store, still
from tests.streams.support import T0, batch, passage, reported
from tests.support.folders import fast_folder


class Stage:
    """What a demo leaves behind when everything went well: its folder, what was published, who was told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.receiver = StandIn(b"secret")
        self.published: dict[str, Published] = {}
        self.events: list[AnyEvent] = []
        for n in range(5):
            self.publish(passage(f"e{n}", n * 1_000), logged=True)
        self._write_incidents()

    def publish(self, event: AnyEvent, *, logged: bool) -> str:
        """Say that ``event`` was handed to the broker; its payload's SHA-256."""
        digest = hashlib.sha256(msgspec.json.encode(event)).hexdigest()
        self.published[digest] = Published(event.site_id, event.event_id, event.spool is not None)
        if logged:
            self.events.append(event)
        return digest

    def tell(self, incident: Incident, kind: DeliveryKind = DeliveryKind.OPENED, key: str = "") -> None:
        """The receiver accepts news of ``incident``."""
        message = DeliveryMessage(
            delivery_id=key or f"{kind}-{incident.incident_id}", kind=kind, incident=summary_of(incident)
        )
        self.receiver.accepted[message.delivery_id] = message

    def report(self) -> Report:
        """The audit of all this."""
        log = DayLog(self.folder)
        log.append([batch(100_000 + n, event) for n, event in enumerate(self.events)])
        log.close()
        return audit(self.folder, self.published, self.receiver, ONSET_MS)

    def _write_incidents(self) -> None:
        decided = [
            make_finding(key="door-1", evidence=(still(),)),
            make_finding(key="door-2"),
            make_finding(key="door-3", rule="smoke_or_heat", onset_ms=ONSET_MS - 60_000),
        ]
        engine_store = SqliteCheckpointStore(self.folder / "engine.db")
        engine_store.append_findings(decided)
        store = make_store(self.folder)
        clock = ManualClock(ONSET_MS + 700)
        Intake(store, make_directory("s1"), finding_facts(), ["hook"], clock_ms=clock).take(
            engine_store.findings_after(0, 10)
        )
        engine_store.close()
        self.incidents = _incidents(store)
        store.close()
        for incident in self.incidents:
            self.tell(incident)


def _incidents(store: Store) -> list[Incident]:
    with store.read() as connection:
        rows = connection.execute(select(incidents).order_by(incidents.c.incident_id)).mappings()
        return [incident_of(row) for row in rows]


@pytest.fixture
def stage() -> Iterator[Stage]:
    with fast_folder() as folder:
        stage = Stage(folder)
        stage.receiver.start()
        yield stage
        stage.receiver.stop()


def boxed(spool_id: str, lane: Lane, seq: int) -> AnyEvent:
    """Row ``seq`` of a lane of a box's spool."""
    event_id = f"{spool_id}-{lane}-{seq}"
    return passage(event_id, 1_000 + seq, "cam1", spool=SpoolMark("box1", spool_id, lane, seq))


def box_with(folder: Path, rows: int, got_through: int) -> str:
    """A box that numbered ``rows`` rows in its live lane and was told that the first ones are in the log; its spool."""
    (folder / BOX_FILE).parent.mkdir()
    db = BoxDb(folder / BOX_FILE)
    spool = Spool(db, box_id="box1", site_id="s1", place_id="p1", now_ms=0)
    for n in range(rows):
        spool.add(passage(f"row-{n}", 0, "cam1"))
    spool.number(Lane.LIVE, T0, rows)
    spool.got(Lane.LIVE, got_through, T0)
    db.close()
    return spool.spool_id


def test_when_all_went_well_nothing_is_lost_and_nothing_twice(stage: Stage) -> None:
    report = stage.report()
    assert msgspec.to_builtins(report) == {
        "events": 5,
        "findings": {"smoke_or_heat": 1, "stranger_entry": 2},
        "incidents": {"smoke_or_heat": 1, "stranger_entry": 2},
        "from_video": {"stranger_entry": 1},
        "lost": 0,
        "duplicates": 0,
        "rejected": 0,
        "latency_ms": {"p50": 500, "p99": 500},  # two findings were due 200 ms after their onset; one lies before
        "lost_from": {"devices": 0, "boxes": 0, "incidents": 0},
    }


def test_an_event_that_was_published_and_is_not_in_the_log_is_lost(stage: Stage) -> None:
    stage.publish(reported("gone", 9_000), logged=False)
    stage.publish(boxed("sp1", Lane.LIVE, 1), logged=False)
    report = stage.report()
    assert (report.lost, report.lost_from) == (2, {"devices": 1, "boxes": 1, "incidents": 0})


def test_the_same_id_at_another_site_is_another_event(stage: Stage) -> None:
    stage.publish(reported("e0", 9_000, site_id="s2"), logged=False)
    assert stage.report().lost == 1


def test_what_was_refused_with_a_reason_is_not_lost(stage: Stage) -> None:
    event = reported("refused", 9_000)
    stage.publish(event, logged=False)
    letters = DeadLetters(stage.folder / "dead-letters")
    payload = msgspec.json.encode(event)
    letters.add(dead_letter(RejectReason.WRONG_DEVICE, "x", ("s1", "d1"), "linli/v1/s1/gate/d1/evt", payload, T0))
    letters.flush(T0)
    letters.close()
    report = stage.report()
    assert (report.lost, report.rejected) == (0, 1)


def test_an_event_sent_again_is_applied_once_and_no_duplicate(stage: Stage) -> None:
    stage.events.append(stage.events[-1])
    report = stage.report()
    assert (report.events, report.duplicates) == (5, 0)


def test_an_event_that_the_engine_applies_twice_is_a_duplicate(stage: Stage) -> None:
    for n in range(IN_FLIGHT):  # the engine knows the last ids of a site
        stage.publish(passage(f"more{n}", 6_000 + n), logged=True)
    stage.events.append(stage.events[0])
    report = stage.report()
    assert (report.events, report.lost, report.duplicates) == (5 + IN_FLIGHT, 0, 1)


def test_a_rows_number_missing_in_a_lane_is_lost(stage: Stage) -> None:
    for seq in (1, 2, 4, 7):
        stage.publish(boxed("sp1", Lane.LIVE, seq), logged=True)
    stage.publish(boxed("sp1", Lane.BACKLOG, 3), logged=True)  # and 1 and 2 never came
    report = stage.report()
    assert (report.lost, report.lost_from["boxes"]) == (5, 5)


def test_a_row_the_box_dropped_and_the_log_lacks_is_lost_even_at_its_lanes_end(stage: Stage) -> None:
    spool_id = box_with(stage.folder, rows=5, got_through=4)
    for seq in (1, 2, 3):
        stage.publish(boxed(spool_id, Lane.LIVE, seq), logged=True)
    report = stage.report()
    assert (report.lost, report.lost_from["boxes"]) == (1, 1)  # 4; 5 is still held


def test_rows_that_the_box_still_holds_are_not_lost(stage: Stage) -> None:
    spool_id = box_with(stage.folder, rows=5, got_through=2)
    for seq in (1, 2, 3):
        stage.publish(boxed(spool_id, Lane.LIVE, seq), logged=True)
    assert stage.report().lost == 0


def test_a_reflashed_box_does_not_excuse_its_earlier_spool(stage: Stage) -> None:
    box_with(stage.folder, rows=2, got_through=0)
    for seq in (1, 3):
        stage.publish(boxed("earlier", Lane.LIVE, seq), logged=True)
    assert stage.report().lost_from["boxes"] == 1


def test_an_incident_that_nobody_was_told_of_is_lost(stage: Stage) -> None:
    stage.receiver.accepted.popitem()
    report = stage.report()
    assert (report.lost, report.lost_from["incidents"]) == (1, 1)


def test_the_same_news_accepted_under_two_keys_is_a_duplicate(stage: Stage) -> None:
    stage.tell(stage.incidents[0], key="another")
    assert stage.report().duplicates == 1


def test_other_news_of_an_incident_is_none(stage: Stage) -> None:
    stage.tell(stage.incidents[0], DeliveryKind.CONFIRMED)
    stage.tell(msgspec.structs.replace(stage.incidents[0], severity_rank=3), DeliveryKind.RAISED)
    assert stage.report().duplicates == 0
