"""What was erased is forgotten by views and states without a finding, the same after a restart; and by the archive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from contracts.batch import Batch
from contracts.erasure import Eraser, Erasure, digest_of, tombstone_of
from contracts.events import (
    CONFIG_SOURCE,
    AccessAttempted,
    AnyEvent,
    ConsentRecorded,
    Event,
    ReferenceErased,
    ReferenceKind,
    VehicleRegistered,
    VisitorRegistered,
)
from detectors.core.rule import Outcome
from detectors.core.site_view import SiteView, apply_record
from streams.archive.archive import Archive
from streams.archive.archiver import Archiver
from streams.archive.segment import BatchesPart, ConfigurationPart
from streams.engine.engine import Engine
from streams.engine.erasure_check import names_in_snapshot
from streams.engine.snapshot import decode_row
from streams.log.sqlite.day_log import DayLog
from tests.streams.archive.support import archive_all, next_day
from tests.streams.rules import Count, Denial
from tests.streams.support import T0, access, batch, engine_of, feed_all, findings, of
from tests.support.folders import fast_folder

REF, OTHER = "pr-1", "pr-2"
ERASURE = Erasure("s1", ReferenceKind.PERSON, digest_of("s1", ReferenceKind.PERSON, REF), T0 + 60_000)
ERASER = Eraser([ERASURE])


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """Who was seen, and until when it matters."""

    by: tuple[str, ...] = ()
    at_ms: int = 0


class Missing(Denial):
    """A person who was seen and is not seen again within a minute. Key: the person."""

    name: ClassVar[str] = "missing"
    instant: ClassVar[bool] = False

    def keys_of(self, event: Event, site: SiteView) -> tuple[str, ...]:
        return (event.person_ref,) if isinstance(event, AccessAttempted) and event.person_ref else ()

    def on_event(self, state: Count, event: Event, site: SiteView) -> Outcome[Count]:
        return Outcome(Count(at_ms=event.at_ms + 60_000))

    def deadline_ms(self, state: Count) -> int | None:
        return state.at_ms

    def on_deadline(self, state: Count, due_ms: int, site: SiteView) -> Outcome[Count]:
        raise ZeroDivisionError  # a finding that counts: rule_failed names the key


def erased(version: int, at_ms: int, kind: ReferenceKind = ReferenceKind.PERSON, ref: str = REF) -> ReferenceErased:
    """The record that orders an erasure."""
    fields: dict[str, Any] = {"version": version, "reference": kind, "digest": digest_of("s1", kind, ref)}
    return of(ReferenceErased, f"config-{version}", at_ms, CONFIG_SOURCE, **fields, before_ms=T0 + at_ms)


def consent(version: int, ref: str) -> ConsentRecorded:
    """A person's consent."""
    fields: dict[str, Any] = {"version": version, "subject_ref": ref, "purpose": "absence", "granted": True}
    return of(ConsentRecorded, f"config-{version}", 0, CONFIG_SOURCE, **fields)


def test_a_view_forgets_registrations_consents_and_owners_and_keeps_those_of_others() -> None:
    view = SiteView(site_id="s1")
    party: dict[str, Any] = {"registration_id": REF, "host_place_id": "r1"}
    bike: dict[str, Any] = {"vehicle_id": "bike", "tag_id": "tag-1", "owner_refs": (REF, OTHER)}
    records: list[AnyEvent] = [
        consent(1, REF),
        consent(2, OTHER),
        of(VisitorRegistered, "config-3", 0, CONFIG_SOURCE, version=3, **party),
        of(VehicleRegistered, "config-4", 0, CONFIG_SOURCE, version=4, **bike),
    ]
    for record in records:
        apply_record(view, record)
    apply_record(view, erased(5, 10))
    assert [row.subject_ref for row in view.consents.values()] == [OTHER]
    assert view.vehicles["bike"].owner_refs == (OTHER,)
    assert (list(view.visitors), view.tags, view.config_version) == ([REF], {"tag-1": "bike"}, 5)
    apply_record(view, erased(6, 20, ReferenceKind.VISITOR))
    apply_record(view, erased(7, 30, ReferenceKind.TAG, "tag-1"))
    assert (view.visitors, view.tags, view.vehicles["bike"].tag_id) == ({}, {}, None)
    apply_record(view, erased(8, 40, ReferenceKind.VEHICLE, "bike"))
    assert view.vehicles == {}


LIFE = [
    batch(100, consent(1, REF), access("a", 50, person_ref=REF), access("b", 50, person_ref=OTHER)),
    batch(30_000, erased(2, 20_000)),
    batch(200_000),
]


@pytest.mark.parametrize("restart", [None, 0, 1])
def test_a_state_that_names_it_ends_without_a_word_and_others_go_on(restart: int | None) -> None:
    engine: Engine = engine_of([Missing()])
    outputs = []
    for number, record in enumerate(LIFE):
        outputs += feed_all(engine, [record])
        if number == restart:
            rows, manifest = [engine.snapshot("s1")], engine.manifest()
            engine = engine_of([Missing()])
            engine.restore(rows, manifest)
    assert [finding.key for finding in findings(outputs)] == [f"missing/{OTHER}"]


class LastSeen(Missing):
    """Who was seen last at a place. Key: the place."""

    name: ClassVar[str] = "last_seen"
    state_type: type[Any] = Seen

    def keys_of(self, event: Event, site: SiteView) -> tuple[str, ...]:
        return (event.place_id,) if isinstance(event, AccessAttempted) else ()

    def initial(self, key: str) -> Any:
        return Seen()

    def on_event(self, state: Any, event: Event, site: SiteView) -> Outcome[Any]:
        assert isinstance(event, AccessAttempted)
        return Outcome(Seen((*state.by, f"person/{event.person_ref}"), event.at_ms + 7 * 60_000))


def test_what_another_state_remembers_of_it_is_a_tombstone() -> None:
    engine = engine_of([LastSeen()])
    feed_all(engine, LIFE)
    row = engine.snapshot("s1")
    assert not names_in_snapshot(row, ERASER, "s1")
    (state,) = decode_row(row).states["last_seen"]
    assert msgspec.msgpack.decode(state.state, type=Seen).by == (
        f"person/{tombstone_of(ERASURE.digest)}",
        f"person/{OTHER}",
    )


def test_a_snapshot_names_it_until_the_engine_has_forgotten_it() -> None:
    engine = engine_of([Missing()])
    feed_all(engine, LIFE[:1])
    before = engine.snapshot("s1")
    feed_all(engine, LIFE[1:])
    after = engine.snapshot("s1")
    assert names_in_snapshot(before, ERASER, "s1")
    assert not names_in_snapshot(before, ERASER, "s2")
    assert not names_in_snapshot(after, ERASER, "s1")
    old = msgspec.structs.replace(before, data=before.data, position=before.position + 1)  # one that cannot be read
    assert names_in_snapshot(old, ERASER, "s1")


# --- the archive ------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder() -> Iterator[Path]:
    with fast_folder() as path:
        yield path


def _held(archive: Archive) -> bytes:
    """Everything in the archive, opened."""
    parts = [part for segment in archive.catalogue.segments() for part in archive.read(segment)]
    parts += [part for head in archive.catalogue.open_heads() for part in archive.read_open(head)]
    assert all(isinstance(part, ConfigurationPart | BatchesPart) for part in parts)
    return msgspec.json.encode([parts, archive.catalogue.all_rows("s1")])


@pytest.mark.parametrize("days", [0, 1])
@pytest.mark.parametrize("through_the_log", [True, False])
def test_what_is_archived_and_what_will_be_names_it_no_more(folder: Path, days: int, *, through_the_log: bool) -> None:
    log, archive = DayLog(folder / "log"), Archive(folder / "archive")
    later: list[AnyEvent] = [access("late", 70_000, person_ref=REF)]  # lives on: what came after is not erased
    log.append(LIFE[:1])
    if days:
        next_day(log)
    archive_all(archive, log)
    assert REF.encode() in _held(archive)
    archiver = Archiver(archive, log)
    log.append([Batch(partition=0, watermark_ms=0, events=(access("seen", 10_000, person_ref=REF),))])
    archiver.step()  # taken, and not kept yet
    if through_the_log:
        log.append([Batch(partition=0, watermark_ms=0, events=(erased(2, 60_000),))])
    else:
        archive.erase(ERASURE)
    while archiver.step():
        pass
    archiver.flush()
    assert REF.encode() not in _held(archive)
    assert OTHER.encode() in _held(archive)
    log.append([Batch(partition=0, watermark_ms=0, events=tuple(later))])
    next_day(log, days=2)
    archive_all(archive, log)
    assert _held(archive).count(f'"{REF}"'.encode()) == 1
    for segment in archive.catalogue.segments():
        archive.verify(segment)
    assert archive.erase(ERASURE) == (0, 0)
    archive.close()
    log.close()
