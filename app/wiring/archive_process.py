"""``linli archive run`` and ``once``: the district's log into segments, and segments away when their time is over."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

import structlog

from app.settings.settings import Settings
from app.wiring.archives import archivers_of, follow, log_sealed, need_archive
from app.wiring.metrics_server import Metrics
from app.wiring.process import ProcessContext
from app.wiring.retention import segment_keeper
from app.wiring.sources import LogReaders, open_logs
from app.wiring.stores import open_incidents, open_inventory
from contracts.errors import ConfigurationError
from governance import audit
from governance.holds import held_now
from governance.retention import Keeper, Retention
from incidents.monitor.store_monitor import StoreMonitor
from streams.archive.archive import CATALOGUE
from streams.archive.catalogue import Segment
from streams.log.sqlite.day_log import DayLog
from system.clock import wall_ms

LOG = structlog.get_logger("linli")


def wire_archive(settings: Settings, context: ProcessContext) -> None:
    """Start everything of this process.

    Raises:
        ConfigurationError: a setting cannot be used, or the log is one machine's.
    """
    if not settings.log.on_kafka:
        raise ConfigurationError(
            "log.url is one machine's: `linli run` archives it, or `linli archive once` beside none"
        )
    archive = need_archive(settings)
    context.on_exit(archive.close)
    store = context.wait_for("incidents", lambda: open_incidents(settings))
    context.on_exit(store.close)
    inventory = context.wait_for("inventory", lambda: open_inventory(settings))
    context.on_exit(inventory.close)
    logs = context.wait_for("log", lambda: open_logs(settings))
    context.on_exit(logs.close)
    archivers = archivers_of(archive, logs.readers, inventory, store, on_sealed=log_sealed)
    metrics = Metrics("archive")
    metrics.serve(settings)
    context.on_exit(metrics.close)
    context.threads.keep("archive", partial(follow, archivers))
    keepers: dict[str, Keeper] = {
        "archive": segment_keeper(settings, archive, store),
        "digests": lambda _now_ms: archive.renew_digests(),
    }
    context.threads.keep("retention", Retention(keepers).run)
    catalogue = archive.folder / CATALOGUE
    stores = StoreMonitor(store, lambda: [catalogue], {CATALOGUE: archive.catalogue.check_rows})
    context.threads.keep("stores", stores.run)
    LOG.info("ready", archive=str(archive.folder), partitions=len(archivers))


def archive_once(settings: Settings) -> tuple[list[str], int]:
    """Archive to the log's end at this moment; the names of the segments made, and how many were deleted."""
    with ExitStack() as opened:
        archive = need_archive(settings)
        opened.callback(archive.close)
        store = open_incidents(settings)
        opened.callback(store.close)
        inventory = open_inventory(settings)
        opened.callback(inventory.close)
        logs = _logs(settings)
        opened.callback(logs.close)
        made: list[Segment] = []
        for archiver in archivers_of(archive, logs.readers, inventory, store, on_sealed=made.append):
            while archiver.step():
                pass
            archiver.flush()
        before = len(archive.catalogue.segments())
        segment_keeper(settings, archive, store)(wall_ms())
        deleted = before - len(archive.catalogue.segments())
    return sorted(segment.name for segment in made), deleted


def erase_site(settings: Settings, site_id: str) -> int:
    """Delete a site's key and segments, with an audit entry; how many segments there were.

    Raises:
        ConfigurationError: the site has no key, or a legal hold covers it.
    """
    with ExitStack() as opened:
        archive = need_archive(settings)
        opened.callback(archive.close)
        store = open_incidents(settings)
        opened.callback(store.close)
        with store.read() as connection:
            held = held_now(connection)
        holds = [hold for hold in (*held.sites.values(), *held.incidents.values()) if hold.site_id == site_id]
        if holds:
            raise ConfigurationError(f"site {site_id} is under hold {holds[0]}; `linli hold remove` ends it")
        if site_id not in archive.keys.sites():
            raise ConfigurationError(f"the archive has no key for site {site_id}; it has: {archive.keys.sites()}")
        count = archive.erase_site(site_id)
        with store.write() as connection:
            audit.record(connection, "cli", "archive.erase_site", site_id, {"segments": count}, wall_ms())
    return count


def _logs(settings: Settings) -> LogReaders:
    if settings.log.on_kafka:
        return open_logs(settings)
    log = DayLog(settings.log.folder())
    return LogReaders([log], log.close)
