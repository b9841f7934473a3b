"""Stores that an erasure changes at once: inventory, incidents and their evidence, archive, dead letters.

``dry`` changes nothing: it counts what is still there.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from contracts.durations import DAY_MS
from contracts.erasure import Erasure
from contracts.events import CONFIG_SOURCE, Configuration, ConfigurationRecord, ReferenceErased
from contracts.names import is_sha256
from evidence.files import EvidenceFiles
from evidence.store import SiteFile, bytes_of_nobody, erase_evidence, erased_evidence
from governance.erasure_answers import ErasureOutcome, ErasureResult, counted
from governance.erasure_stores import ACTOR, Stores
from governance.holds import held_evidence
from governance.incident_erasure import Mentions, erase_mentions, find_mentions
from ingest.shard.dead_letters import IN_ALL
from inventory.kept_pending import PENDING_KEPT_MS
from streams.archive.archive import Archive, without


def erase_inventory(stores: Stores, erasure: Erasure, *, dry: bool) -> ErasureResult:
    """Let rows that name it go; a record tells the engine, through the log, to forget it too."""
    eraser = stores.eraser(erasure)

    def rewrite(record: Configuration) -> Configuration | None:
        kept = eraser.event(record)
        return kept if isinstance(kept, ConfigurationRecord) else None

    count = stores.inventory.rewrite(erasure.site_id, rewrite, dry=dry)
    if not dry:
        stores.inventory.put([_record(erasure)], actor=ACTOR, now_ms=stores.clock_ms())
    return counted("inventory", count, "rows", dry=dry)


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


def erase_incidents(stores: Stores, erasure: Erasure, of_events: set[str]) -> list[ErasureResult]:
    """Put tombstones into rows, and delete the evidence of who it was about, with what ``of_events`` names."""
    now_ms = stores.clock_ms()
    with stores.store.write() as connection:
        found = find_mentions(connection, erasure, stores.reference_key)
        erase_mentions(connection, found, now_ms)
        more = {SiteFile(erasure.site_id, sha256) for sha256 in of_events} - held_evidence(connection)
        erase_evidence(connection, more, now_ms)
        gone = bytes_of_nobody(connection, erased_evidence(connection))  # also of an erasure that was killed here
    there = _files_here(stores.files, gone)
    for sha256 in there:
        stores.files.remove(sha256)
    left = _files_here(stores.files, gone)
    answer = counted("evidence", len(left or there), "files", dry=bool(left))
    return [_of_rows(found, dry=False), answer, *_holds(found)]


def find_incidents(stores: Stores, erasure: Erasure) -> list[ErasureResult]:
    """Count the rows that name it, and what is left of its evidence."""
    with stores.store.read() as connection:
        found = find_mentions(connection, erasure, stores.reference_key)
        doomed = {file.sha256 for file in found.evidence} | bytes_of_nobody(connection, erased_evidence(connection))
    files = _files_here(stores.files, doomed)
    return [_of_rows(found, dry=True), counted("evidence", len(files), "files", dry=True), *_holds(found)]


def _files_here(files: EvidenceFiles, hashes: Iterable[str]) -> list[str]:
    """Return the hashes whose bytes are here. What is no hash was taken by an earlier version and names no file."""
    return [sha256 for sha256 in sorted(hashes) if is_sha256(sha256) and files.has(sha256)]


def _of_rows(found: Mentions, *, dry: bool) -> ErasureResult:
    return counted("incidents", found.rows, "rows", dry=dry)


def _holds(found: Mentions) -> list[ErasureResult]:
    if not found.held:
        return []
    holds = sorted({str(hold) for hold in found.held.values()})
    said = f"{len(found.held)} incidents, by {', '.join(holds)}"
    return [ErasureResult(store="incidents", outcome=ErasureOutcome.HELD, detail=said)]


def erase_archive(stores: Stores, erasure: Erasure, *, dry: bool) -> list[ErasureResult]:
    """Write segments and open days anew without it."""
    if stores.archive is None:
        return []
    if dry:
        return [counted("archive", _parts_naming(stores.archive, erasure), "parts", dry=True)]
    segments, events = stores.archive.erase(erasure)
    return [counted("archive", events, f"events in {segments} segments and open days", dry=False)]


def _parts_naming(archive: Archive, erasure: Erasure) -> int:
    eraser = archive.eraser_of([erasure])
    with archive.changing():
        parts = [archive.read(segment) for segment in archive.catalogue.segments(erasure.site_id)]
        parts += [archive.read_open(h) for h in archive.catalogue.open_heads() if h.site_id == erasure.site_id]
        count = sum(without(part, eraser) != part for some in parts for part in some)
        return count + sum(eraser.event(row) is not row for row in archive.catalogue.all_rows(erasure.site_id))


def erase_heard(stores: Stores, erasure: Erasure, *, dry: bool = False) -> ErasureResult:
    """Delete what was heard of those whom nobody configured; a shard that runs may write it again until it ends."""
    eraser, at_ms = stores.eraser(erasure), erasure.before_ms

    def names(text: str) -> bool:
        return eraser.text(erasure.site_id, text, at_ms) != text

    count = stores.inventory.heard.forget(names, dry=dry)
    answer = counted("pending", count, "rows", dry=dry)
    if not (dry and count):
        return answer
    due_ms = erasure.before_ms + PENDING_KEPT_MS + DAY_MS
    return msgspec.structs.replace(answer, outcome=ErasureOutcome.AGES_OUT, due_ms=due_ms)


def erase_dead_letters(stores: Stores, erasure: Erasure, *, dry: bool = False) -> list[ErasureResult]:
    """Delete letters that name it though they were scrubbed when they were written."""
    eraser = stores.eraser(erasure)
    named = [
        letter.letter
        for letter in stores.dead_letters.list(IN_ALL)
        for text in [f"{letter.source} {letter.topic} {letter.detail} {letter.excerpt}"]
        if eraser.text(erasure.site_id, text, letter.at_ms) != text
    ]
    if not dry:
        stores.dead_letters.delete(named)
    return [counted("dead letters", len(named), "letters", dry=dry)]
