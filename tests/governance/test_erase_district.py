"""A reference in a district: gone at once from PostgreSQL, from the topics by a date, and by whom retention is done."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from app.settings.loading import load_settings
from app.wiring.erasure import open_stores
from app.wiring.rule_facts import finding_facts
from app.wiring.run_child import run_settings
from contracts.batch import Batch
from contracts.durations import DAY_MS
from contracts.erasure import Eraser, Erasure, digest_of
from contracts.events import ConsentRecorded, ReferenceKind
from contracts.findings import Subject, SubjectKind
from contracts.names import partition_of
from governance.erasing import erase, verify
from governance.erasure_answers import ErasureOutcome
from governance.retention import Retention
from incidents.intake.intake import Intake
from incidents.store.store import Store
from streams.checkpoints.findings_topic import encode_findings_record
from system.clock import wall_ms
from tests.governance.planted import REF, tables_naming
from tests.incidents.builders import make_directory, make_finding
from tests.ingest.builders import site
from tests.streams.support import T0, access
from tests.support.district import district
from tests.support.district_run import district_settings
from tests.support.kafka import RunningKafka
from tests.support.stores import postgresql_url
from tests.support.waiting import until

pytestmark = [pytest.mark.service, pytest.mark.patient, pytest.mark.timeout(280)]

PARTITIONS = 2


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(postgresql_url(tmp_path))) as opened:
        yield opened


def test_a_reference_is_gone_from_postgresql_at_once_and_from_the_topics_by_a_date(
    kafka: RunningKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    now_ms, partition = wall_ms(), partition_of("s1", PARTITIONS)
    subject = Subject(SubjectKind.PERSON, REF)
    finding = make_finding(rule="presence", key=f"gate/{REF}", onset_ms=T0, subject=subject, place_id="door-1")
    erasure = Erasure("s1", ReferenceKind.PERSON, digest_of("s1", ReferenceKind.PERSON, REF), max(now_ms, T0 + DAY_MS))
    with ExitStack() as opened:
        lying = opened.enter_context(district(kafka.url, tmp_path, partitions=PARTITIONS))
        settings = run_settings(tmp_path, "mqtt://127.0.0.1:1", 0, "") | lying.settings
        settings |= district_settings(tmp_path, postgresql_url(tmp_path), kafka.url) | {"LINLI_INVENTORY_URL": ""}
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        lying.append([Batch(partition=partition, watermark_ms=T0, events=(access("e", 0, person_ref=REF),))])
        lying._sender.send(lying.names.findings, partition, encode_findings_record(finding)).wait(10.0)
        stores = opened.enter_context(open_stores(load_settings(), wall_ms))
        consent = ConsentRecorded(event_id="", site_id="s1", source_id="config", place_id="s1", at_ms=1, version=0,
                                  subject_ref=REF, purpose="absence", granted=True)  # fmt: skip
        stores.inventory.put([site(), consent], now_ms=1)
        Intake(store, make_directory("s1"), finding_facts(), ["hook"], source="a").take([(1, finding)])
        assert {"public.findings", "public.incidents", "inventory.changes"} <= tables_naming(store)
        answers = {answer.store: answer for answer in erase(stores, erasure)}
        assert tables_naming(store) == set()
        assert {answers[name].outcome for name in ("inventory", "incidents")} == {ErasureOutcome.ERASED}
        for name in ("log", "findings"):
            assert answers[name].outcome is ErasureOutcome.AGES_OUT
            assert abs((answers[name].due_ms or 0) - now_ms - 9 * DAY_MS) < DAY_MS
        again = Intake(store, make_directory("s1"), finding_facts(), ["hook"], source="b")
        taken = again.take([(1, finding), (2, Eraser([erasure]).finding(finding))])
        assert (taken.new, taken.known, taken.contradicting) == (0, 2, 0)
        assert tables_naming(store) == set()
        stores.clock_ms = lambda: now_ms + 11 * DAY_MS
        ((_, late),) = verify(stores)
        assert {a.store for a in late if a.outcome is ErasureOutcome.STILL_THERE} == {"log", "findings"}
        for topic in (lying.names.log, lying.names.findings):
            lying.delete_before(topic, partition, 1)
        ((_, gone),) = verify(stores)
        assert {answer.outcome for answer in gone} == {ErasureOutcome.CLEAN}


def test_of_several_processes_one_does_retention_and_another_when_it_ends(store: Store) -> None:
    turns: list[str] = []
    stops = [threading.Event(), threading.Event()]
    threads = []
    for name, stop in zip(("a", "b"), stops, strict=True):
        leases = store.leases()
        keep = Retention({"incidents": lambda _now_ms, name=name: turns.append(name)})  # type: ignore[misc]
        threads.append(threading.Thread(target=leases.run, args=(stop,)))
        mine = lambda leases=leases: leases.holds("retention")  # noqa: E731
        threads.append(threading.Thread(target=keep.run, args=(stop, 0.05), kwargs={"mine": mine}))
    try:
        for thread in threads:
            thread.start()
        until(lambda: len(turns) >= 10, "some turns")
        (holder,) = set(turns)
        stops[0 if holder == "a" else 1].set()
        until(lambda: turns[-1] != holder, "the other's turn")
    finally:
        for stop in stops:
            stop.set()
        for thread in threads:
            thread.join(30)
