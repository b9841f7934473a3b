"""The console's web application: API under ``/api/v1``, uploads of boxes under ``/edge/v1``, and the page."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from fastapi import FastAPI

from console import page_files
from console.api import routes_devices, routes_evidence, routes_incidents, routes_session, routes_stream
from console.api.context import ConsoleContext, Figures, Judging
from console.api.errors import handle_errors
from console.api.evidence_access_log import EvidenceAccessLog
from console.api.feed_places import FeedPlaces
from console.api.forwarded import Forwarded, networks_of
from console.api.security_headers import SecurityHeaders
from console.catalogue import DEFAULT_LANGUAGE
from evidence.uploads import Uploads
from identity.box_credentials import BoxTokens
from identity.users import Users
from incidents.alerts.actions import Actions
from incidents.store.store import Store
from inventory.directory import SiteDirectory
from inventory.last_seen import DeviceHealth
from system.clock import Clock, wall_ms

API_VERSION = "1.0.0"


def build_app(
    *,
    store: Store,
    actions: Actions,
    users: Users,
    directory: SiteDirectory,
    health: DeviceHealth,
    uploads: Uploads,
    boxes: BoxTokens,
    figures: Figures | None = None,
    judging: Judging | None = None,
    language: str = DEFAULT_LANGUAGE,
    secure_cookies: bool = False,
    trusted_proxies: Sequence[str] = (),
    heartbeat_s: float = 15.0,
    clock_ms: Clock = wall_ms,
) -> FastAPI:
    """Return the application.

    Args:
        figures: numbers for ``GET health``, such as frames a second or records behind.
        judging: what this process itself knows of whether anything is judged; else what is stored counts.
        language: of answers to readers who do not say which they want.
        secure_cookies: mark cookies as for HTTPS alone also where neither proxy nor browser says that they use it.
        trusted_proxies: addresses and networks of proxies, whose ``X-Forwarded-For`` and ``-Proto`` are believed.
        heartbeat_s: how often a quiet stream proves that it lives and that its session holds.
    """
    app = FastAPI(title="Linli console", version=API_VERSION, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.language = language
    app.state.context = ConsoleContext(
        store=store,
        actions=actions,
        users=users,
        directory=directory,
        health=health,
        uploads=uploads,
        boxes=boxes,
        figures=figures or _no_figures,
        judging=judging,
        clock_ms=clock_ms,
        secure_cookies=secure_cookies,
        evidence_access_log=EvidenceAccessLog(store, clock_ms),
        feeds=FeedPlaces(),
        trusted_proxies=networks_of(trusted_proxies),
        closing=threading.Event(),
        heartbeat_s=heartbeat_s,
    )
    for module in (routes_session, routes_incidents, routes_stream, routes_evidence, routes_devices):
        app.include_router(module.router)
    page_files.serve_page(app)
    handle_errors(app)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(Forwarded, proxies=networks_of(trusted_proxies))
    return app


def _no_figures() -> Mapping[str, float]:
    return {}
