"""``linli incidents run``: findings become incidents, receivers are told, an auditor looks over it. Any number of them.

Each source of findings, each receiver, the auditor, retention: one process's at a time; when that dies, another's.
"""

from __future__ import annotations

from functools import partial

import structlog

from app.settings.settings import Settings
from app.settings.stores import sqlite_path
from app.wiring.folder_lock import FolderLock
from app.wiring.incident_figures import IncidentFigures
from app.wiring.metrics_server import Metrics
from app.wiring.process import Parts
from app.wiring.receivers import receivers_of
from app.wiring.sources import open_findings
from app.wiring.stores import open_incidents, open_inventory
from contracts.hops import Hop
from delivery.outbox import Outbox
from governance.retention import IncidentKeeper, Retention
from incidents.intake.intake import Intake, IntakeTimes
from incidents.intake.relays import DirectoryRelay, SharedRelays
from incidents.monitor.stuck_work_monitor import Auditor
from incidents.store.store import Store
from inventory.directory import MemoryDirectory
from inventory.inventory import Inventory

LOG = structlog.get_logger("linli")


def wire_incidents(settings: Settings, parts: Parts) -> None:
    """Start everything of this process.

    Raises:
        ConfigurationError: a setting cannot be used.
    """
    receivers = receivers_of(settings)
    names = [profile.name for profile, _ in receivers]
    alone(settings, parts)
    store, directory = open_stores(settings, parts)
    metrics, times = Metrics("incidents"), IntakeTimes()
    metrics.add_hops([times.decided, times.due])
    metrics.add(IncidentFigures(store))
    metrics.serve(settings)
    parts.at_end(metrics.close)

    def intake(source: str) -> Intake:
        return Intake(store, directory, names, source=source, times=times)

    parts.threads.keep("bell", store.follow)
    findings = parts.wait_for("findings", lambda: open_findings(settings, intake))
    parts.at_end(findings.close)
    claims, threads = store.claims(), parts.threads
    threads.start("claims", claims.run)
    threads.keep("findings", SharedRelays(findings.relays, claims, store).run)
    threads.keep("topic", findings.watch)
    keep = Retention({"incidents": IncidentKeeper(store, days=settings.incidents.retention_days)})
    threads.keep("retention", partial(keep.run, mine=partial(claims.mine, "retention")))
    threads.keep("auditor", partial(Auditor(store, names).run, mine=partial(claims.mine, "auditor")))
    for profile, receiver in receivers:
        told = partial(claims.mine, f"receiver/{profile.name}")
        outbox = Outbox(store, receiver, profile, times=metrics.hop(Hop.INCIDENT_TO_DELIVERED))
        threads.keep(f"outbox-{profile.name}", partial(outbox.run, mine=told))
    LOG.info("ready", incidents=store.where, sources=len(findings.relays), receivers=names)


def alone(settings: Settings, parts: Parts) -> None:
    """Incidents in a file have one process that works on them.

    Raises:
        ConfigurationError: there is one already; says which.
    """
    if not settings.incidents.on_postgresql:
        lock = FolderLock(sqlite_path("incidents.url", settings.incidents.url).parent, "incidents.url")
        lock.__enter__()
        parts.at_end(lambda: lock.__exit__(None, None, None))


def open_stores(settings: Settings, parts: Parts) -> tuple[Store, MemoryDirectory]:
    """The incidents, and a directory that follows the inventory; waits for their servers, and until it is caught up."""
    store = parts.wait_for("incidents", lambda: open_incidents(settings))
    parts.at_end(store.close)
    inventory: Inventory = parts.wait_for("inventory", lambda: open_inventory(settings))
    parts.at_end(inventory.close)
    directory = MemoryDirectory()
    relay = DirectoryRelay(inventory, directory)
    parts.wait_for("inventory", relay.catch_up)
    parts.threads.keep("directory", relay.run)
    return store, directory
