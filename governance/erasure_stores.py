"""Every store that may name a reference, opened by whoever knows the settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from contracts.erasure import Eraser, Erasure, ReferenceKey
from evidence.files import EvidenceFiles
from incidents.store.store import Store
from ingest.shard.dead_letters import DeadLetters
from inventory.inventory import Inventory
from streams.archive.archive import Archive
from streams.checkpoints.sqlite import SqliteCheckpointStore

if TYPE_CHECKING:  # one machine needs neither Kafka's client nor the time to import it
    from governance.topic_erasure import TopicEraser

ACTOR = "cli"
"""Who erases, in the audit log and in the inventory's history."""


@dataclass(kw_only=True)
class Stores:
    """Open stores; whoever opened them closes them.

    Args:
        log_folder: of one machine's log; None in a district.
        topics: a district's; None on one machine.
        log_days: for how many days the log is kept.
        engine_store: one machine's, once the rules have run there.
        archive: None when none is wanted.
        sqlite_files: databases that are files here; one that is not there yet may be named.
        reference_key: by which references are recognised.
        clock_ms: returns now, epoch ms UTC.
    """

    store: Store
    inventory: Inventory
    dead_letters: DeadLetters
    files: EvidenceFiles
    log_folder: Path | None
    topics: TopicEraser | None
    log_days: int
    engine_store: SqliteCheckpointStore | None
    archive: Archive | None
    sqlite_files: Sequence[Path]
    reference_key: ReferenceKey
    clock_ms: Callable[[], int]

    def eraser(self, erasure: Erasure) -> Eraser:
        """Return what takes the reference out of whatever it is given."""
        return Eraser([erasure], self.reference_key)
