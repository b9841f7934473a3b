"""``linli console run``: the page, its API and the boxes' uploads over incidents that other processes make."""

from __future__ import annotations

import structlog

from app.settings.settings import Settings
from app.wiring.incident_figures import IncidentFigures
from app.wiring.incidents_process import open_stores
from app.wiring.metrics_server import Metrics
from app.wiring.ports import free_port
from app.wiring.process import Parts
from app.wiring.receivers import receivers_of
from app.wiring.sources import open_logs
from app.wiring.stores import boxes_file
from console.api.app import build_app
from console.api.server import serve
from evidence.files import EvidenceFiles
from evidence.uploads import Uploads
from identity.box_credentials import BoxTokens
from identity.users import Users
from incidents.alerts.actions import Actions
from incidents.store.store import wall_ms
from inventory.last_seen_log import LOOK_BACK_MS, HeardFollower

LOG = structlog.get_logger("linli")


def wire_console(settings: Settings, parts: Parts) -> None:
    """Start everything of this process.

    Raises:
        ConfigurationError: a setting cannot be used.
    """
    names = tuple(profile.name for profile, _ in receivers_of(settings))
    boxes = BoxTokens(boxes_file(settings))
    store, directory = open_stores(settings, parts)
    users = Users(store)
    password = parts.wait_for("users", users.first_run)
    if password is not None:
        LOG.warning("first_run", user="admin", password=password, note="shown once; change it with linli users")
    logs = parts.wait_for("log", lambda: open_logs(settings))
    parts.at_end(logs.close)
    heard = HeardFollower(logs.readers, wall_ms() - LOOK_BACK_MS)
    uploads = Uploads(store, EvidenceFiles(settings.evidence.folder))
    retention_ms = settings.evidence.retention_hours * 3_600_000
    app = build_app(
        store=store,
        actions=Actions(store, names),
        users=users,
        directory=directory,
        health=heard,
        uploads=uploads,
        boxes=boxes,
        language=settings.console.language,
    )
    parts.threads.keep("bell", store.follow)
    parts.threads.keep("heard", heard.run)
    parts.threads.keep("evidence", lambda stop: uploads.run(stop, retention_ms))
    host = settings.console.host
    server = serve(app, host, free_port(host, settings.console.port))
    parts.at_end(server.stop)
    metrics = Metrics("console")
    metrics.add(IncidentFigures(store))
    metrics.serve(settings)
    parts.at_end(metrics.close)
    LOG.info("ready", page=server.url)
