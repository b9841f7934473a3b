"""The broker that ``linli run`` starts unless one answers already."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import structlog

from app.settings.servers import BrokerChoice
from app.settings.settings import Settings
from app.wiring.ports import listens
from contracts.errors import ConfigurationError
from ingest.session.broker import Broker, start_broker

LOG = structlog.get_logger("linli")
DEFAULT_PORT = 1883


class OwnBroker:
    """A broker of our own, or none where another is used. :meth:`start` it; it keeps its files in ``folder``."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings, self._folder = settings, folder
        self._broker: Broker | None = None

    @property
    def protocol(self) -> str:
        """Return the MQTT that clients should speak; ``auto``: the broker is another's and must be asked."""
        return self._broker.protocol if self._broker is not None else "auto"

    def start(self) -> None:
        """Start it where ``mqtt.url`` and ``mqtt.embedded`` ask for it.

        Raises:
            ConfigurationError: nothing answers at an address that is not this machine's.
        """
        kind = self._settings.mqtt.embedded
        parts = urlsplit(self._settings.mqtt.url)
        host, port = parts.hostname or "", parts.port or DEFAULT_PORT
        if kind is BrokerChoice.OFF or (kind is BrokerChoice.AUTO and listens(host, port)):
            return
        if host not in {"127.0.0.1", "localhost"}:
            shown = str(self._settings.mqtt.url)
            raise ConfigurationError(f"mqtt.url {shown!r} does not answer, and a broker is only started on 127.0.0.1")
        self._broker = start_broker(self._folder, port, kind)
        LOG.info("broker_started", broker=self._broker.name, url=self._broker.url)

    def keep(self) -> None:
        """Start it again when it has died; what is connected comes back by itself."""
        broker = self._broker
        if broker is not None and not broker.running():
            LOG.error("broker_died", broker=broker.name)
            self._broker = start_broker(self._folder, broker.port, broker.name)

    def stop(self) -> None:
        """End it."""
        if self._broker is not None:
            self._broker.stop()
