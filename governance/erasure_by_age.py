"""What rests on the log: its records, what the rules have found in them and keep of them. Most of it goes by age."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from contracts.batch import decode_batch
from contracts.durations import DAY_MS, HOUR_MS
from contracts.erasure import Erasure
from contracts.errors import Rejected
from contracts.events import AnyEvent
from governance import audit
from governance.audit_retention import KEPT_MS as AUDIT_KEPT_MS
from governance.erasure_answers import ErasureOutcome, ErasureResult, counted
from governance.erasure_stores import Stores
from streams.engine.erasure_check import names_in_snapshot
from streams.log.sqlite.day_log import read_days
from streams.log.sqlite.days import day_begin_ms
from streams.topics import DEAD_RETENTION_HOURS

if TYPE_CHECKING:  # one machine needs neither Kafka's client nor the time to import it
    from governance.topic_erasure import TopicEraser, TopicMentions

SNAPSHOT_MS = 2 * HOUR_MS  # a site's row is written anew within half an hour of `linli run`
DEAD_MS = (DEAD_RETENTION_HOURS + 2) * HOUR_MS  # with the hour that a segment is open, and one to delete it
AUDIT_GRACE_MS = 30 * DAY_MS  # entries go by the hundred, and only under a seal
BOX_MS = 30 * DAY_MS  # a box's spool holds nothing older, and the platform refuses it


def find_in_log(stores: Stores, erasure: Erasure) -> tuple[ErasureResult, set[str]]:
    """Return by when the log lets go of it, and the hashes of the evidence that events about it name."""
    if stores.topics is not None:
        named = stores.topics.log(erasure)
        return _goes_with_its_segment(stores, "log", named, "records"), named.evidence
    assert stores.log_folder is not None
    eraser, evidence, records, newest = stores.eraser(erasure), set[str](), 0, ""
    for day, record in read_days(stores.log_folder):
        events = [event for event in events_of(record.data) if eraser.event(event) is not event]
        if events:
            records, newest = records + 1, day
            evidence |= {ref.sha256 for event in events for ref in event.evidence}
    if not records:
        return ErasureResult(store="log", outcome=ErasureOutcome.CLEAN), evidence
    due_ms = day_begin_ms(newest) + _kept_ms(stores)
    return ErasureResult(
        store="log", outcome=ErasureOutcome.AGES_OUT, detail=f"{records} records", due_ms=due_ms
    ), evidence


def _kept_ms(stores: Stores) -> int:
    """Return how long a day's beginning is in the log at most: a day is as long as it is open, and one is grace."""
    return (stores.log_days + 2) * DAY_MS


def _goes_with_its_segment(stores: Stores, store: str, named: TopicMentions, what: str) -> ErasureResult:
    if not named.records:
        return ErasureResult(store=store, outcome=ErasureOutcome.CLEAN)
    due_ms = named.newest_ms + _kept_ms(stores)
    return ErasureResult(store=store, outcome=ErasureOutcome.AGES_OUT, detail=f"{named.records} {what}", due_ms=due_ms)


def find_in_audit(stores: Stores, erasure: Erasure) -> ErasureResult:
    """Return by when the audit log lets go of entries that name it: earlier versions wrote reasons of people there."""
    eraser, newest_ms, count, after = stores.eraser(erasure), 0, 0, 0
    with stores.store.read() as connection:
        while found := audit.entries(connection, after):
            for entry, _ in found:
                said = f"{entry.subject} {entry.detail}"
                if eraser.text(erasure.site_id, said, entry.at_ms) != said:
                    newest_ms, count = max(newest_ms, entry.at_ms), count + 1
            after = found[-1][0].seq
    if not count:
        return ErasureResult(store="audit log", outcome=ErasureOutcome.CLEAN)
    due_ms = newest_ms + AUDIT_KEPT_MS + AUDIT_GRACE_MS
    said = f"{count} entries of an earlier version"
    return ErasureResult(store="audit log", outcome=ErasureOutcome.AGES_OUT, detail=said, due_ms=due_ms)


def erase_judged(stores: Stores, erasure: Erasure, *, dry: bool, asked_ms: int = 0) -> list[ErasureResult]:
    """Erase what the rules have found, and return by when what they keep lets go of it, wherever that lies."""
    asked_ms = asked_ms or stores.clock_ms()
    if stores.topics is not None:
        return _of_topics(stores, stores.topics, erasure, dry=dry, asked_ms=asked_ms)
    return _engine(stores, erasure, dry=dry, asked_ms=asked_ms)


def _of_topics(
    stores: Stores, topics: TopicEraser, erasure: Erasure, *, dry: bool, asked_ms: int
) -> list[ErasureResult]:
    """Return that findings go by age, as the log; of snapshots compaction drops what workers' new rows replaced."""
    if not dry:
        topics.take_back(erasure, stores.clock_ms())
    findings = _goes_with_its_segment(stores, "findings", topics.findings(erasure), "findings")
    snapshots, rows = ErasureResult(store="snapshots", outcome=ErasureOutcome.CLEAN), topics.snapshots(erasure).records
    if rows:
        said = f"{rows} rows, replaced by `linli streams run` and then compacted"
        due_ms = asked_ms + SNAPSHOT_MS
        snapshots = ErasureResult(store="snapshots", outcome=ErasureOutcome.AGES_OUT, detail=said, due_ms=due_ms)
    letters, oldest_ms = (
        ErasureResult(store="dead letters' topic", outcome=ErasureOutcome.CLEAN),
        topics.oldest_dead_ms(),
    )
    if oldest_ms is not None and oldest_ms <= erasure.before_ms:
        said, due_ms = "sealed, and scrubbed when they were written", erasure.before_ms + DEAD_MS
        letters = ErasureResult(store=letters.store, outcome=ErasureOutcome.AGES_OUT, detail=said, due_ms=due_ms)
    return [findings, snapshots, letters]


def events_of(data: bytes) -> Iterable[AnyEvent]:
    """Return the events of a record of the log; none of one that cannot be read."""
    try:
        return decode_batch(data).events
    except Rejected:  # the engine has reported it
        return ()


def _engine(stores: Stores, erasure: Erasure, *, dry: bool, asked_ms: int) -> list[ErasureResult]:
    """Put tombstones in findings; `linli run` writes a snapshot anew once the log has told it to forget."""
    engine = stores.engine_store
    if engine is None:
        return []
    eraser = stores.eraser(erasure)
    findings = engine.rewrite_findings(eraser.finding, dry=dry)
    rows = sum(names_in_snapshot(row, eraser, erasure.site_id) for row in engine.snapshots())
    due_ms = asked_ms + SNAPSHOT_MS
    snapshots = ErasureResult(store="snapshots", outcome=ErasureOutcome.CLEAN)
    if rows:
        said = f"{rows} rows, written anew by `linli run`"
        snapshots = ErasureResult(store="snapshots", outcome=ErasureOutcome.AGES_OUT, detail=said, due_ms=due_ms)
    return [counted("findings", findings, "findings", dry=dry), snapshots]
