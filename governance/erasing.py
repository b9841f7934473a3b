"""Erasing a reference from every store, each in its own way, and looking again later (docs/retention.md).

What can be changed is changed at once. What is immutable ages out, and the answer says by when. What a legal hold
covers is left, and the answer says which hold. Looking again is the same walk without the changes.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from app.settings.settings import Settings
from app.wiring.archives import open_archive
from app.wiring.district import is_district
from app.wiring.stores import inventory_url, open_incidents, open_inventory
from contracts.batch import decode_batch
from contracts.erasure import Eraser, Erasure
from contracts.errors import Rejected
from contracts.events import CONFIG_SOURCE, AnyEvent, Configuration, ConfigurationRecord, ReferenceErased
from evidence.files import EvidenceFiles
from evidence.store import erase_evidence, erased_evidence
from governance import audit
from governance.erasure_register import ask_erasure, asked_erasures
from governance.holds import held_evidence, held_now
from governance.incident_erasure import Mentions, erase_mentions, find_mentions
from incidents.store.store import Store
from ingest.shard.dead_letters import IN_ALL, DeadLetters
from inventory.inventory import Inventory
from streams.archive.archive import Archive, without
from streams.checkpoints.sqlite import EngineStore
from streams.engine.erasure_check import names_in_snapshot
from streams.log.sqlite.day_log import read_days
from streams.log.sqlite.days import day_begin_ms
from streams.sqlite_file import empty_wal
from streams.topics import DEAD_RETENTION_HOURS

if TYPE_CHECKING:
    from governance.topic_erasure import Named, Topics

ACTOR = "cli"
DAY_MS = 86_400_000
SNAPSHOT_MS = 2 * 3_600_000  # a site's row is written anew within half an hour of `linli run`
DEAD_MS = (DEAD_RETENTION_HOURS + 2) * 3_600_000  # with the hour that a segment is open, and one to delete it
BOX_MS = 30 * DAY_MS  # a box's spool holds nothing older, and the platform refuses it


_UNDER_HOLD = frozenset({"inventory", "archive", "snapshots"})


class Outcome(enum.StrEnum):
    """What became of the reference in one store."""

    CLEAN = "clean"  # it is not there
    ERASED = "erased"
    AGES_OUT = "ages out"
    HELD = "held"
    STILL_THERE = "still there"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One store's answer. ``due_ms``: when what ages out is gone; ``detail``: counts, or the hold."""

    store: str
    outcome: Outcome
    detail: str = ""
    due_ms: int | None = None


class Stores:
    """Every store that may name a reference, as the settings say where.

    Args:
        clock_ms: what says now.
    """

    def __init__(self, settings: Settings, opened: ExitStack, clock_ms: Callable[[], int]) -> None:
        self.settings, self.clock_ms = settings, clock_ms
        self.store: Store = open_incidents(settings)
        opened.callback(self.store.close)
        self.inventory: Inventory = open_inventory(settings)
        opened.callback(self.inventory.close)
        self.archive: Archive | None = open_archive(settings)
        if self.archive is not None:
            opened.callback(self.archive.close)
        self.dead_letters = DeadLetters(settings.dead_letters.folder)
        opened.callback(self.dead_letters.close)
        self.files = EvidenceFiles(settings.evidence.folder)
        self.folder = None if is_district(settings) else settings.log.folder()
        self.topics: Topics | None = _open_topics(settings) if is_district(settings) else None
        if self.topics is not None:
            opened.callback(self.topics.close)
        self.engine_store: EngineStore | None = None
        if self.folder is not None and (self.folder / "engine.db").exists():
            self.engine_store = EngineStore(self.folder / "engine.db")
            opened.callback(self.engine_store.close)

    def files_of_sqlite(self) -> list[Path]:
        """The databases that are files here and now."""
        paths = [self.settings.dead_letters.folder / "dead-letters.db"]
        paths += [self.archive.folder / "archive.db"] if self.archive is not None else []
        paths += [self.folder / "engine.db"] if self.folder is not None else []
        urls = (self.settings.incidents.url, inventory_url(self.settings))
        paths += [Path(url.removeprefix("sqlite:///")) for url in urls if url.startswith("sqlite:///")]
        return [path for path in paths if path.exists()]


def _open_topics(settings: Settings) -> Topics:
    from governance.topic_erasure import Topics  # one machine needs neither Kafka's client nor the time to import it

    return Topics(settings)


def erase(stores: Stores, erasure: Erasure) -> list[Answer]:
    """Erase what can be erased, and say what became of the reference in each store. Safe to repeat."""
    now_ms = stores.clock_ms()
    with stores.store.write() as connection:
        ask_erasure(connection, erasure, ACTOR, now_ms)
    hold = _hold_on(stores, erasure)
    log, evidence = _log(stores, erasure)
    answers = [_inventory(stores, erasure, dry=bool(hold)), log, *_judged(stores, erasure, dry=False)]
    answers += [*_incidents(stores, erasure, evidence), *_archive(stores, erasure, dry=bool(hold))]
    answers = [_kept(answer, hold) for answer in answers] + _dead_letters(stores, erasure)
    answers.append(
        Answer(store="box spools", outcome=Outcome.AGES_OUT, detail="what boxes have not sent", due_ms=now_ms + BOX_MS)
    )
    with stores.store.write() as connection:
        detail = {answer.store: f"{answer.outcome} {answer.detail}".strip() for answer in answers}
        audit.record(connection, ACTOR, "erasure.done", erasure.digest, detail, now_ms)
    for path in stores.files_of_sqlite():
        empty_wal(path)
    return answers


def verify(stores: Stores) -> Iterator[tuple[Erasure, list[Answer]]]:
    """For every erasure ever asked for: what each store says now. Nothing is changed."""
    with stores.store.read() as connection:
        asked = asked_erasures(connection)
    for each in asked:
        hold = _hold_on(stores, each.erasure)
        answers = [_inventory(stores, each.erasure, dry=True), _log(stores, each.erasure)[0]]
        answers += _judged(stores, each.erasure, dry=True, asked_ms=each.asked_ms)
        answers += [*_incidents_now(stores, each.erasure), *_archive(stores, each.erasure, dry=True)]
        answers += _dead_letters(stores, each.erasure, dry=True)
        yield each.erasure, [_kept(_overdue(answer, stores.clock_ms()), hold) for answer in answers]


def _overdue(answer: Answer, now_ms: int) -> Answer:
    """What should have aged out by now and has not is still there."""
    if answer.outcome is Outcome.AGES_OUT and answer.due_ms is not None and answer.due_ms < now_ms:
        return msgspec.structs.replace(answer, outcome=Outcome.STILL_THERE)
    return answer


def _hold_on(stores: Stores, erasure: Erasure) -> str:
    """The hold that keeps what names the reference: one on the site, or on an incident that names it. "": none."""
    with stores.store.read() as connection:
        site = held_now(connection).sites.get(erasure.site_id)
        holds = {str(hold) for hold in find_mentions(connection, erasure).held.values()}
    return ", ".join(sorted(holds | ({str(site)} if site else set())))


def _kept(answer: Answer, hold: str) -> Answer:
    """Under a hold the tables and the archive stay whole: they are what the held incident rests on."""
    if hold and answer.store in _UNDER_HOLD and answer.outcome in {Outcome.STILL_THERE, Outcome.AGES_OUT}:
        return msgspec.structs.replace(answer, outcome=Outcome.HELD, detail=f"{answer.detail}, by {hold}")
    return answer


# --- one store each ---------------------------------------------------------------------------------------------------


def _inventory(stores: Stores, erasure: Erasure, *, dry: bool) -> Answer:
    """Rows that name it go; a record tells the engine, through the log, to forget it too."""
    eraser = Eraser([erasure])

    def rewrite(record: Configuration) -> Configuration | None:
        kept = eraser.event(record)
        return kept if isinstance(kept, ConfigurationRecord) else None

    count = stores.inventory.rewrite(erasure.site_id, rewrite, dry=dry)
    if not dry:
        stores.inventory.put([_record(erasure)], actor=ACTOR, now_ms=stores.clock_ms())
    return _counted("inventory", count, "rows", dry=dry)


def _record(erasure: Erasure) -> ReferenceErased:
    return ReferenceErased(
        event_id="config",
        site_id=erasure.site_id,
        source_id=CONFIG_SOURCE,
        place_id=erasure.site_id,
        at_ms=erasure.before_ms,
        version=0,
        reference=erasure.kind,
        digest=erasure.digest,
        before_ms=erasure.before_ms,
    )


def _log(stores: Stores, erasure: Erasure) -> tuple[Answer, set[str]]:
    """The log is immutable: it goes by age. Also the hashes of the evidence that events about it name."""
    if stores.topics is not None:
        named = stores.topics.log(erasure)
        return _goes_with_its_segment(stores, "log", named, "records"), named.evidence
    assert stores.folder is not None
    eraser, evidence, records, newest = Eraser([erasure]), set[str](), 0, ""
    for day, record in read_days(stores.folder):
        events = [event for event in _events_of(record.data) if eraser.event(event) is not event]
        if events:
            records, newest = records + 1, day
            evidence |= {ref.sha256 for event in events for ref in event.evidence}
    if not records:
        return Answer(store="log", outcome=Outcome.CLEAN), evidence
    due_ms = day_begin_ms(newest) + _kept_ms(stores)
    return Answer(store="log", outcome=Outcome.AGES_OUT, detail=f"{records} records", due_ms=due_ms), evidence


def _kept_ms(stores: Stores) -> int:
    """How long what a day of the log began with is there at most: a day is as long as it is open, and one is grace."""
    return (stores.settings.log.retention_days + 2) * DAY_MS


def _goes_with_its_segment(stores: Stores, store: str, named: Named, what: str) -> Answer:
    if not named.records:
        return Answer(store=store, outcome=Outcome.CLEAN)
    due_ms = named.newest_ms + _kept_ms(stores)
    return Answer(store=store, outcome=Outcome.AGES_OUT, detail=f"{named.records} {what}", due_ms=due_ms)


def _judged(stores: Stores, erasure: Erasure, *, dry: bool, asked_ms: int = 0) -> list[Answer]:
    """What the rules keep and have found, wherever that lies."""
    asked_ms = asked_ms or stores.clock_ms()
    if stores.topics is not None:
        return _of_topics(stores, stores.topics, erasure, dry=dry, asked_ms=asked_ms)
    return _engine(stores, erasure, dry=dry, asked_ms=asked_ms)


def _of_topics(stores: Stores, topics: Topics, erasure: Erasure, *, dry: bool, asked_ms: int) -> list[Answer]:
    """Findings go by age, as the log; of snapshots compaction drops what the workers' new rows have replaced."""
    if not dry:
        topics.take_back(erasure, stores.clock_ms())
    findings = _goes_with_its_segment(stores, "findings", topics.findings(erasure), "findings")
    snapshots, rows = Answer(store="snapshots", outcome=Outcome.CLEAN), topics.snapshots(erasure).records
    if rows:
        said = f"{rows} rows, replaced by `linli streams run` and then compacted"
        due_ms = asked_ms + SNAPSHOT_MS
        snapshots = Answer(store="snapshots", outcome=Outcome.AGES_OUT, detail=said, due_ms=due_ms)
    letters, oldest_ms = Answer(store="dead letters' topic", outcome=Outcome.CLEAN), topics.oldest_dead_ms()
    if oldest_ms is not None and oldest_ms <= erasure.before_ms:
        said, due_ms = "sealed, and scrubbed when they were written", erasure.before_ms + DEAD_MS
        letters = Answer(store=letters.store, outcome=Outcome.AGES_OUT, detail=said, due_ms=due_ms)
    return [findings, snapshots, letters]


def _events_of(data: bytes) -> Iterable[AnyEvent]:
    try:
        return decode_batch(data).events
    except Rejected:  # the engine has reported it
        return ()


def _engine(stores: Stores, erasure: Erasure, *, dry: bool, asked_ms: int) -> list[Answer]:
    """Findings get tombstones; a snapshot is written anew by `linli run` once the log has told it to forget."""
    engine = stores.engine_store
    if engine is None:
        return []
    eraser = Eraser([erasure])
    findings = engine.rewrite_findings(eraser.finding, dry=dry)
    rows = sum(names_in_snapshot(row, eraser, erasure.site_id) for row in engine.snapshots())
    due_ms = asked_ms + SNAPSHOT_MS
    snapshots = Answer(store="snapshots", outcome=Outcome.CLEAN)
    if rows:
        said = f"{rows} rows, written anew by `linli run`"
        snapshots = Answer(store="snapshots", outcome=Outcome.AGES_OUT, detail=said, due_ms=due_ms)
    return [_counted("findings", findings, "findings", dry=dry), snapshots]


def _incidents(stores: Stores, erasure: Erasure, of_events: set[str]) -> list[Answer]:
    now_ms = stores.clock_ms()
    with stores.store.write() as connection:
        found = find_mentions(connection, erasure)
        erase_mentions(connection, found, now_ms)
        more = of_events - held_evidence(connection)
        erase_evidence(connection, more, now_ms)
        gone = erased_evidence(connection)  # with what an erasure that was killed had marked and not deleted yet
    there = sum(stores.files.has(sha256) for sha256 in gone)
    for sha256 in gone:
        stores.files.remove(sha256)
    left = sum(stores.files.has(sha256) for sha256 in gone)
    return [_of_rows(found, dry=False), _counted("evidence", left or there, "files", dry=left > 0), *_holds(found)]


def _incidents_now(stores: Stores, erasure: Erasure) -> list[Answer]:
    with stores.store.read() as connection:
        found = find_mentions(connection, erasure)
        doomed = found.evidence | erased_evidence(connection)
    files = sum(stores.files.has(sha256) for sha256 in doomed)
    return [_of_rows(found, dry=True), _counted("evidence", files, "files", dry=True), *_holds(found)]


def _of_rows(found: Mentions, *, dry: bool) -> Answer:
    return _counted("incidents", found.rows, "rows", dry=dry)


def _holds(found: Mentions) -> list[Answer]:
    if not found.held:
        return []
    holds = sorted({str(hold) for hold in found.held.values()})
    said = f"{len(found.held)} incidents, by {', '.join(holds)}"
    return [Answer(store="incidents", outcome=Outcome.HELD, detail=said)]


def _archive(stores: Stores, erasure: Erasure, *, dry: bool) -> list[Answer]:
    """Segments and open days are written anew without it."""
    if stores.archive is None:
        return []
    if dry:
        return [_counted("archive", _parts_naming(stores.archive, erasure), "parts", dry=True)]
    segments, events = stores.archive.erase(erasure)
    return [_counted("archive", events, f"events in {segments} segments and open days", dry=False)]


def _parts_naming(archive: Archive, erasure: Erasure) -> int:
    eraser = Eraser([erasure])
    with archive.changing():
        parts = [archive.read(segment) for segment in archive.catalogue.segments(erasure.site_id)]
        parts += [archive.read_open(h) for h in archive.catalogue.open_heads() if h.site_id == erasure.site_id]
        count = sum(without(part, eraser) != part for some in parts for part in some)
        return count + sum(eraser.event(row) is not row for row in archive.catalogue.all_rows(erasure.site_id))


def _dead_letters(stores: Stores, erasure: Erasure, *, dry: bool = False) -> list[Answer]:
    """Scrubbed when they were written; a letter that names it all the same is deleted whole."""
    eraser = Eraser([erasure])
    named = [
        letter.letter
        for letter in stores.dead_letters.list(IN_ALL)
        for text in [f"{letter.topic} {letter.detail} {letter.excerpt}"]
        if eraser.text(erasure.site_id, text, letter.at_ms) != text
    ]
    if not dry:
        stores.dead_letters.delete(named)
    return [_counted("dead letters", len(named), "letters", dry=dry)]


def _counted(store: str, count: int, what: str, *, dry: bool) -> Answer:
    if not count:
        return Answer(store=store, outcome=Outcome.CLEAN)
    return Answer(store=store, outcome=Outcome.STILL_THERE if dry else Outcome.ERASED, detail=f"{count} {what}")
