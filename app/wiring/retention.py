"""Who lets go of what, when its time is over: incidents and segments everywhere, days of the log on one machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from app.settings.settings import Settings
from app.wiring.reference_key import reference_key
from governance.digest_renewal import DigestRenewal
from governance.retention import IncidentRetention, InventoryRetention, LogRetention, SegmentRetention
from incidents.store.store import Store
from inventory.inventory import Inventory
from streams.archive.archive import Archive
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.log.sqlite.day_log import DayLog

GB = 10**9


def incident_keeper(settings: Settings, store: Store) -> IncidentRetention:
    """Return what deletes closed incidents."""
    return IncidentRetention(store, days=settings.incidents.retention_days)


def inventory_keeper(settings: Settings, inventory: Inventory, store: Store) -> InventoryRetention:
    """Return what deletes the inventory's history when the incidents that it explains are gone."""
    return InventoryRetention(inventory, store, days=settings.incidents.retention_days)


def digest_keeper(settings: Settings, inventory: Inventory, store: Store, archive: Archive | None) -> DigestRenewal:
    """Return what replaces digests that earlier versions made without the installation's key."""
    return DigestRenewal(store, inventory, archive, reference_key(settings))


def segment_keeper(settings: Settings, archive: Archive, store: Store) -> SegmentRetention:
    """Return what deletes segments of the archive."""
    table = settings.archive
    return SegmentRetention(archive, store, days=table.retention_days, site_days=table.site_days)


def log_keeper(
    settings: Settings,
    log: DayLog,
    engine_store: SqliteCheckpointStore,
    store: Store,
    *,
    digest: str,
    readers: Mapping[str, Callable[[], int]],
    taken: Callable[[], int],
) -> LogRetention:
    """Return what drops days of the log. Arguments as :class:`governance.retention.LogRetention`'s."""
    return LogRetention(
        log,
        engine_store,
        store,
        digest=digest,
        days=settings.log.retention_days,
        max_bytes=settings.log.retention_gb * GB,
        readers=readers,
        taken=taken,
    )
