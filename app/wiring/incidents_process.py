"""``linli incidents run``: findings become incidents, receivers are told, a stuck-work monitor looks over it. Any
number of them.

Each source of findings, each receiver, the stuck-work monitor, retention: one process's at a time; when that dies,
another's.
"""

from __future__ import annotations

from functools import partial

import structlog

from app.settings.settings import Settings
from app.settings.stores import sqlite_path
from app.wiring.folder_lock import FolderLock
from app.wiring.incidents import IncidentsService
from app.wiring.judging import district_judging
from app.wiring.metrics_server import Metrics
from app.wiring.process import ProcessContext
from app.wiring.receivers import receivers_of
from app.wiring.retention import digest_keeper, incident_keeper, inventory_keeper
from app.wiring.sources import open_findings
from app.wiring.stores import open_incidents, open_inventory
from governance.retention import Keeper, Retention
from incidents.intake.relays import SharedRelays
from incidents.monitor.inventory_monitor import InventoryMonitor
from incidents.monitor.judging_monitor import JudgingMonitor
from incidents.store.leases import Leases
from incidents.store.store import Store
from inventory.directory import MemoryDirectory
from inventory.directory_relay import DirectoryRelay
from inventory.inventory import Inventory

LOG = structlog.get_logger("linli")


def wire_incidents(settings: Settings, context: ProcessContext) -> None:
    """Start everything of this process.

    Raises:
        ConfigurationError: a setting cannot be used.
    """
    receivers = receivers_of(settings)
    lock_exclusively(settings, context)
    store, inventory, directory = open_stores(settings, context)
    metrics = Metrics("incidents")
    service = IncidentsService(store, directory, receivers, metrics, inventory)
    metrics.serve(settings)
    context.on_exit(metrics.close)
    context.threads.keep("bell", store.follow)
    leases = store.leases()
    context.threads.start("claims", leases.run)
    watch_judging(settings, context, store, leases)
    findings = context.wait_for("findings", lambda: open_findings(settings, service.intake))
    context.on_exit(findings.close)
    threads = context.threads
    threads.keep("findings", SharedRelays(findings.relays, leases, store).run)
    threads.keep("topic", findings.watch)
    keepers: dict[str, Keeper] = {
        "incidents": incident_keeper(settings, store),
        "inventory": inventory_keeper(settings, inventory, store),
        "digests": digest_keeper(settings, inventory, store, None),
    }
    keep = Retention(keepers)
    threads.keep("retention", partial(keep.run, mine=partial(leases.holds, "retention")))
    watch = InventoryMonitor(inventory, store)
    threads.keep("inventory", partial(watch.run, mine=partial(leases.holds, "auditor")))
    service.start(threads, leases)
    LOG.info("ready", incidents=store.where, sources=len(findings.relays), receivers=service.names)


def watch_judging(settings: Settings, context: ProcessContext, store: Store, leases: Leases) -> None:
    """Have one process of a district raise the alarm while nothing is judged; also while Kafka is away at the start."""
    judging, close = district_judging(settings)
    context.on_exit(close)
    if judging is not None:
        context.threads.start("judging", judging.run)
        monitor = JudgingMonitor(store, judging.alarm)
        context.threads.keep("judged", partial(monitor.run, mine=partial(leases.holds, "judged")))


def lock_exclusively(settings: Settings, context: ProcessContext) -> None:
    """Hold the lock of incidents in a file: one process works on them.

    Raises:
        ConfigurationError: there is one already; says which.
    """
    if not settings.incidents.on_postgresql:
        lock = FolderLock(sqlite_path("incidents.url", settings.incidents.url).parent, "incidents.url")
        lock.__enter__()
        context.on_exit(lambda: lock.__exit__(None, None, None))


def open_stores(settings: Settings, context: ProcessContext) -> tuple[Store, Inventory, MemoryDirectory]:
    """Open incidents, inventory and a directory that follows it; wait for servers, and until it is caught up."""
    store = context.wait_for("incidents", lambda: open_incidents(settings))
    context.on_exit(store.close)
    inventory: Inventory = context.wait_for("inventory", lambda: open_inventory(settings))
    context.on_exit(inventory.close)
    directory = MemoryDirectory()
    relay = DirectoryRelay(inventory, directory)
    context.wait_for("inventory", relay.catch_up)
    context.threads.keep("directory", relay.run)
    return store, inventory, directory
