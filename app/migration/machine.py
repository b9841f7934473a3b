"""One machine's stores into a district's: inventory, log, the rules' state where it must come along, incidents last.

The incidents' database is marked when all is done, so a migration started again does nothing, or goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import msgspec

from app.district import log_partitions, open_cluster, topic_names
from app.folder_lock import FolderLock
from app.migration.carry import End, carried, check_drained
from app.migration.database_copy import copy_incidents, copy_inventory, is_done
from app.migration.log_copy import PartitionCopy, Target, copy_log, rehashed
from app.settings import Settings, sqlite_path
from app.stores import INVENTORY_FILE, inventory_url, open_incidents, open_inventory_tables
from contracts.errors import ConfigurationError
from contracts.names import partition_of
from incidents.store import Store
from ingest.inventory_tables import SqliteTables
from streams.daylog import DayLog
from streams.drivers.partition import hash_of
from streams.engine_store import EngineStore
from streams.kafka import KafkaCluster
from streams.kafka_keep import KafkaKeep
from streams.kafka_log import KafkaLogReader, KafkaLogWriter
from streams.manifest import decode_manifest, encode_manifest
from streams.snapshot import SnapshotRow


class Done(msgspec.Struct, frozen=True):
    """What a migration came to. ``before``: it had been done already, and nothing was looked at."""

    before: bool = False
    inventory_changes: int = 0
    log: Mapping[int, PartitionCopy] = {}
    tables: Mapping[str, int] = {}
    carried_sites: int = 0


def migrate_machine(
    machine: Settings, district: Settings, on_progress: Callable[[str], None] = lambda _line: None
) -> Done:
    """Copy everything; safe to repeat after a kill.

    Args:
        machine: of the single machine: its process must not run.
        district: where to; its topics must have been made, and none of its processes may have run.

    Raises:
        ConfigurationError: something runs, is missing, or the target holds something else.
        LogBroken: what was written could not be read back.
        Transient: a server does not answer; start again.
    """
    if not district["incidents.url"].startswith("postgresql:"):
        raise ConfigurationError(f"incidents.url = {district['incidents.url']!r}: a district's is postgresql://…")
    folder = _existing(machine.folder(), "log.url")
    with ExitStack() as opened:
        opened.enter_context(FolderLock(folder))
        log = DayLog(folder)
        opened.callback(log.close)
        target = open_incidents(district)
        opened.callback(target.close)
        if is_done(target, log.identity()):
            return Done(before=True)
        changes = _inventory(machine, district, opened)
        on_progress(f"inventory: {changes} changes")
        cluster = opened.enter_context(open_cluster(district, "linli-migrate"))
        copies, sites = _log(log, folder, cluster, district, on_progress)
        source = Store(f"sqlite:///{_existing(sqlite_path(machine, 'incidents.url'), 'incidents.url')}")
        opened.callback(source.close)
        tables = copy_incidents(source, target, log.identity())
        return Done(
            inventory_changes=changes,
            log=copies,
            tables={name: copy.rows for name, copy in tables.items()},
            carried_sites=sites,
        )


def _inventory(machine: Settings, district: Settings, opened: ExitStack) -> int:
    url = inventory_url(machine)
    source = SqliteTables(_existing(sqlite_path(machine, "inventory.url", url or INVENTORY_FILE), "inventory.url"))
    opened.callback(source.close)
    target = open_inventory_tables(district)
    opened.callback(target.close)
    return copy_inventory(source, target)


def _log(
    log: DayLog, folder: Path, cluster: KafkaCluster, district: Settings, on_progress: Callable[[str], None]
) -> tuple[dict[int, PartitionCopy], int]:
    partitions, names = log_partitions(cluster, district), topic_names(district)
    store = EngineStore(_existing(folder / "engine.db", "log.url"))
    try:
        rows, manifest = _state(store, log)
    finally:
        store.close()
    tails = cluster.tails()
    writer = KafkaLogWriter(cluster, names.log, range(partitions))
    try:
        target = Target(partitions, lambda p: KafkaLogReader(cluster, names.log, p, tails), writer)
        batches = rehashed(log, partitions, [row.site_id for row in rows])
        copies = copy_log(batches, target, lambda records: on_progress(f"log: {records} records"))
    finally:
        writer.close()
    on_progress(f"log: {sum(copy.records for copy in copies.values())} records in {len(copies)} partitions, read back")
    if manifest is not None:
        _carry(rows, manifest, cluster, district, partitions)
    tails.close()
    return copies, len(rows)


def _state(store: EngineStore, log: DayLog) -> tuple[list[SnapshotRow], bytes | None]:
    """The rules' state at the log's end, where the log does not begin at its beginning."""
    if not log.begin():
        return [], None
    newest = max(
        (decode_manifest(body) for body in store.manifests().values()),
        key=lambda manifest: (manifest.generation, manifest.position),
        default=None,
    )
    manifest = check_drained(newest, log.end())
    rows, body = store.load(manifest.digest)
    return rows, body


def _carry(
    rows: list[SnapshotRow], manifest: bytes, cluster: KafkaCluster, district: Settings, partitions: int
) -> None:
    names, old = topic_names(district), decode_manifest(manifest)
    tails, sender = cluster.tails(), cluster.producer()
    ends = {}
    for partition in {partition_of(row.site_id, partitions) for row in rows}:
        log = KafkaLogReader(cluster, names.log, partition, tails)
        last = log.end() - 1
        ends[partition] = End(last, hash_of(log.read(last, 1)[0]))
    moved = carried(rows, old, log_id=cluster.topic_id(names.log), partitions=partitions, ends=ends)
    for partition, (mine, theirs) in moved.items():
        keep = KafkaKeep(cluster, names, partition, sender=sender, tails=tails)
        if old.digest not in keep.manifests():
            keep.save(mine, encode_manifest(theirs), old.digest)
    sender.close()
    tails.close()


def _existing(path: Path, key: str) -> Path:
    if not path.exists():
        raise ConfigurationError(f"{path} is not there; {key} of the single machine names it")
    return path
