"""One machine's stores into a district's: inventory, log, the rules' state where it must come along, incidents last.

The incidents' database is marked when all is done, so a migration started again does nothing, or goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import msgspec

from app.operations.migration.carry import PartitionState, check_drained, newest_of
from app.operations.migration.database_copy import (
    DONE,
    TAKEN_OVER,
    copy_incidents,
    copy_inventory,
    progress,
    taken_over,
)
from app.operations.migration.leftovers import take_leftovers
from app.operations.migration.log_copy import PartitionCopy
from app.operations.migration.new_log import NewLog
from app.operations.migration.rehash import SourcePartition, rehashed
from app.settings.settings import Settings
from app.settings.stores import sqlite_path
from app.wiring.district import open_cluster
from app.wiring.folder_lock import FolderLock
from app.wiring.stores import inventory_url, open_incidents, open_inventory_tables
from contracts.errors import ConfigurationError
from incidents.store.store import Store
from inventory.tables import SqliteTables
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.kafka import KafkaCluster
from streams.log.sqlite.day_log import DayLog


class MigrationResult(msgspec.Struct, frozen=True):
    """The result of a migration. ``before``: all was copied already."""

    before: bool = False
    inventory_changes: int = 0
    log: Mapping[int, PartitionCopy] = {}
    tables: Mapping[str, int] = {}
    carried_sites: int = 0


def migrate_machine(
    machine: Settings, district: Settings, shards: int, on_progress: Callable[[str], None] = lambda _line: None
) -> MigrationResult:
    """Copy everything, and take what waits at the broker; safe to repeat after a kill.

    Args:
        machine: of the single machine: its process must not run.
        district: where to; its topics must have been made, and none of its processes may have run.
        shards: how many shards of ingest it will have.

    Raises:
        ConfigurationError: something runs, is missing, or the target holds something else.
        LogBroken: what was written could not be read back.
        Transient: a server does not answer; start again.
    """
    if not district.incidents.on_postgresql:
        raise ConfigurationError(f"incidents.url = {district.incidents.url!r}: a district's is postgresql://…")
    folder = _existing(machine.log.folder(), "log.url")
    with ExitStack() as opened:
        opened.enter_context(FolderLock(folder))
        log = DayLog(folder)
        opened.callback(log.close)
        target = open_incidents(district)
        opened.callback(target.close)
        done = _copied(machine, district, log, target, on_progress)
        if progress(target, log.identity()) < TAKEN_OVER:
            take_leftovers(machine, district, shards, on_progress)
            taken_over(target, log.identity())
        return done


def _copied(
    machine: Settings, district: Settings, log: DayLog, target: Store, on_progress: Callable[[str], None]
) -> MigrationResult:
    if progress(target, log.identity()) >= DONE:
        return MigrationResult(before=True)
    folder = machine.log.folder()
    with ExitStack() as opened:
        changes = _inventory(machine, district, opened)
        on_progress(f"inventory: {changes} changes")
        cluster = opened.enter_context(open_cluster(district, "linli-migrate"))
        copies, sites = _log(log, folder, cluster, district, on_progress)
        source = Store(f"sqlite:///{_existing(sqlite_path('incidents.url', machine.incidents.url), 'incidents.url')}")
        opened.callback(source.close)
        tables = copy_incidents(source, target, log.identity())
        return MigrationResult(
            inventory_changes=changes,
            log=copies,
            tables={name: copy.rows for name, copy in tables.items()},
            carried_sites=sites,
        )


def _inventory(machine: Settings, district: Settings, opened: ExitStack) -> int:
    source = SqliteTables(_existing(sqlite_path("inventory.url", inventory_url(machine)), "inventory.url"))
    opened.callback(source.close)
    target = open_inventory_tables(district)
    opened.callback(target.close)
    return copy_inventory(source, target)


def _log(
    log: DayLog, folder: Path, cluster: KafkaCluster, district: Settings, on_progress: Callable[[str], None]
) -> tuple[Mapping[int, PartitionCopy], int]:
    new = NewLog(cluster, district)
    store = SqliteCheckpointStore(_existing(folder / "engine.db", "log.url"))
    try:
        states, skipped = _states(store, log), store.skipped()
    finally:
        store.close()
    sites = [row.site_id for state in states for row in state.rows]
    copies = new.fill(rehashed([SourcePartition(log, skipped)], new.partitions, sites), on_progress)
    return copies, new.carry(states)


def _states(store: SqliteCheckpointStore, log: DayLog) -> list[PartitionState]:
    """Return the rules' state at the log's end, where the log does not begin at its beginning."""
    if not log.begin():
        return []
    manifest = check_drained(newest_of(store.manifests().values()), log.end(), "`linli run`")
    rows, _ = store.load(manifest.digest)
    return [PartitionState(rows, manifest)]


def _existing(path: Path, key: str) -> Path:
    if not path.exists():
        raise ConfigurationError(f"{path} is not there; {key} of the single machine names it")
    return path
