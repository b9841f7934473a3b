"""``linli console run``: the page, its API and the boxes' uploads over incidents that other processes make."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import structlog

from app.settings.settings import Settings
from app.wiring.console import ConsoleService, first_run
from app.wiring.incident_figures import IncidentFigures
from app.wiring.incidents_process import open_stores
from app.wiring.judging import district_judging
from app.wiring.metrics_server import Metrics
from app.wiring.private_stores import close_stores
from app.wiring.process import ProcessContext
from app.wiring.receivers import receiver_names
from app.wiring.sources import open_logs
from app.wiring.stores import boxes_file
from evidence.uploads import EVIDENCE
from identity.box_credentials import BoxTokens
from incidents.monitor.store_monitor import StoreMonitor
from inventory.inventory import Inventory
from inventory.last_seen_keeper import LastSeenKeeper
from inventory.last_seen_log import LOOK_BACK_MS, LastSeenFollower
from streams.log.port import LogReader
from system.clock import wall_ms

LOG = structlog.get_logger("linli")


def recalled(logs: Sequence[LogReader], inventory: Inventory) -> tuple[LastSeenFollower, LastSeenKeeper]:
    """Return who knows when devices were last heard, from what was kept and the log since, and who keeps it.

    Raises:
        Transient: the database of the inventory is away.
    """
    through_ms = inventory.last_seen().through_ms
    heard = LastSeenFollower(logs, through_ms or wall_ms() - LOOK_BACK_MS)
    keeper = LastSeenKeeper(heard, inventory, heard.heard_through_ms)
    keeper.load()
    return heard, keeper


def wire_console(settings: Settings, context: ProcessContext) -> None:
    """Start everything of this process.

    Raises:
        ConfigurationError: a setting cannot be used.
    """
    close_stores(settings)
    names = receiver_names(settings)
    boxes = BoxTokens(boxes_file(settings))
    store, inventory, directory = open_stores(settings, context)
    context.wait_for("users", partial(first_run, store, settings))
    logs = context.wait_for("log", lambda: open_logs(settings))
    context.on_exit(logs.close)
    heard, last_seen = context.wait_for("inventory", partial(recalled, logs.readers, inventory))
    judging, close = district_judging(settings)
    context.on_exit(close)
    if judging is not None:
        context.threads.start("judging", judging.run)
    alarm = None if judging is None else judging.alarm
    console = ConsoleService(settings, boxes, store, directory, heard, names, judging=alarm)
    context.threads.keep("bell", store.follow)
    context.threads.keep("heard", heard.run)
    context.threads.keep("last_seen", last_seen.run)
    console.start(context.threads)
    context.threads.keep("stores", StoreMonitor(store, list, {EVIDENCE: console.check_evidence}).run)
    server = console.serve()
    context.on_exit(server.stop)
    context.threads.keep("page", partial(console.watch, server))
    metrics = Metrics("console")
    metrics.add(IncidentFigures(store))
    metrics.serve(settings)
    context.on_exit(metrics.close)
    LOG.info("ready", page=server.url)
