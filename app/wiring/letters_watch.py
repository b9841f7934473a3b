"""The daily look at a shard's dead letters: they lie on its machine, the alarm goes to the district's incidents."""

from __future__ import annotations

import threading
from contextlib import closing

import structlog

from app.settings.settings import Settings
from app.wiring.stores import open_incidents
from app.wiring.threads import keep_trying
from contracts.errors import LinliError
from incidents.monitor.store_monitor import StoreMonitor
from ingest.shard.dead_letters import DeadLetters
from streams.sqlite_file import damaged
from system.sqlite_check import pages

LOG = structlog.get_logger("linli")


def watch_letters(settings: Settings, letters: DeadLetters, shard: str, stop: threading.Event) -> None:
    """Look soon after the start and then every day, until ``stop``. Devices are heard whatever becomes of this.

    Args:
        shard: which of how many, as in ``0/2``: each has a file, all of one name.
    """

    def look(ended: threading.Event) -> None:
        with closing(open_incidents(settings)) as incidents:
            name = f"{letters.path.name} of ingest {shard}"
            StoreMonitor(incidents, list, {name: lambda: _check(letters)}).run(ended)

    try:
        keep_trying("stores", look, stop)
    except LinliError as error:
        LOG.error("stores are not looked at", error=str(error))


def _check(letters: DeadLetters) -> None:
    if wrong := pages(letters.path):
        raise damaged(letters.path, wrong)
    letters.check_rows()
