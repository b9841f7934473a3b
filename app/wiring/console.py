"""The page, its API and the boxes' uploads, over stores that are open."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import structlog

from app.settings.settings import Settings
from app.wiring.console_tls import ConsoleTls
from app.wiring.open_files import connections_for, open_files_limit
from app.wiring.ports import free_port
from app.wiring.stores import boxes_file
from app.wiring.threads import Threads
from console.api.app import build_app
from console.api.context import Figures, Judging
from console.api.server import Server, serve
from contracts.durations import HOUR_MS
from contracts.errors import Permanent
from evidence.files import EvidenceFiles
from evidence.uploads import Uploads
from identity.box_credentials import BoxTokens
from identity.users import Users
from incidents.alerts.actions import Actions
from incidents.store.store import Store
from inventory.directory import MemoryDirectory
from inventory.last_seen import DeviceHealth
from system.durable_files import replace_durably
from system.private_files import make_folder

LOG = structlog.get_logger("linli")
FIRST_PASSWORD = "first-password"


class ConsoleService:
    """The console of one process.

    Args:
        settings: where it listens, and how long evidence is kept.
        boxes: whose token is which box's.
        store: the incidents.
        directory: where it looks up names.
        health: when devices were last heard.
        receivers: the names of those who are told.
        figures: of the process, for the page's health.
        judging: what this process itself knows of whether anything is judged.

    Raises:
        ConfigurationError: so few files may be open that connections would take those that others need, or the
            certificate and its key cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        boxes: BoxTokens,
        store: Store,
        directory: MemoryDirectory,
        health: DeviceHealth,
        receivers: Sequence[str],
        figures: Figures | None = None,
        *,
        judging: Judging | None = None,
    ) -> None:
        self._settings = settings
        self._tls = ConsoleTls(settings)
        self._connections = connections_for(open_files_limit())
        self._uploads = Uploads(store, EvidenceFiles(settings.evidence.folder))
        self._uploads.place(boxes)
        self._app = build_app(
            store=store,
            actions=Actions(store, tuple(receivers)),
            users=Users(store),
            directory=directory,
            health=health,
            uploads=self._uploads,
            boxes=boxes,
            figures=figures,
            judging=judging,
            language=settings.console.language,
            trusted_proxies=settings.console.trusted_proxies,
        )

    def start(self, threads: Threads) -> None:
        """Start what lets evidence go when its time is over."""
        retention_ms = self._settings.evidence.retention_hours * HOUR_MS
        threads.keep("evidence", lambda stop: self._uploads.run(stop, retention_ms))

    def check_evidence(self) -> None:
        """Read every still and clip once; raises Permanent when one is damaged, and names it."""
        self._uploads.files.check()

    def serve(self) -> Server:
        """Listen where the settings say, or on the next free port."""
        host = self._settings.console.host
        return self._serve(host, free_port(host, self._settings.console.port))

    def revive(self, server: Server) -> Server:
        """Return ``server``, or a new one at its address when it has died: nothing else ends with it.

        A certificate that was exchanged meanwhile is shown from now on.
        """
        self._tls.renew()
        if server.is_alive():
            return server
        LOG.error("console_died", page=server.url)
        try:
            return self._serve(server.host, server.port)
        except Permanent as error:
            LOG.error("console_does_not_start", page=server.url, error=str(error))
            return server

    def _serve(self, host: str, port: int) -> Server:
        return serve(self._app, host, port, self._connections, tls=self._tls.context)

    def watch(self, server: Server, stop: threading.Event) -> None:
        """Serve again whenever the page has died, until ``stop``."""
        while not stop.wait(1.0):
            server = self.revive(server)


def first_run(store: Store, settings: Settings) -> None:
    """Make the user ``admin`` where there is nobody yet. The password is in a file of its own, never in a log."""
    path = first_password_file(settings)
    make_folder(path.parent)
    if Users(store).first_run(lambda password: replace_durably(path, [f"{password}\n".encode()])) is not None:
        LOG.warning("first_run", user="admin", file=str(path), note="log in with what is in the file, then delete it")


def first_password_file(settings: Settings) -> Path:
    """Return where the first start puts the password of ``admin``."""
    return boxes_file(settings).with_name(FIRST_PASSWORD)
