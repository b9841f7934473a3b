"""What code wires a shard of ingest with. Durations in ms, sizes in bytes; every number has its reason beside it."""

from __future__ import annotations

import ssl
from urllib.parse import unquote, urlsplit

import msgspec

from contracts.errors import ConfigurationError
from contracts.secrets import Secret
from system.certificates import said_of
from system.tls import TlsFileError, TlsFiles, client_context

MAX_PAYLOAD_BYTES = 256 * 1024
"""A message larger than a whole batch is no event."""
NO_PASSWORD = Secret("")
TLS = TlsFiles(table="mqtt")
"""The system's authorities, and nothing of ours."""


class ShardSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One shard: ``index`` of ``shards`` owns the partitions p with p mod shards = index."""

    mqtt_url: str
    client_id: str = "linli-ingest-0"
    password: Secret = NO_PASSWORD  # user:password
    tls: TlsFiles = TLS  # for mqtts
    protocol: str = "auto"  # "5", "3.1.1", or ask the broker
    partitions: int = 1
    shards: int = 1
    index: int = 0
    sites: tuple[str, ...] = ()  # empty: all in the inventory
    listen_all: bool = True  # subscribe to "#", so that unknown topics show up as pending; one shard only
    log_id: str = ""  # identity of the log: a new log gets the whole configuration again
    probe_interval_ms: int = 250
    prove_interval_ms: int = 100  # while there is an event that time has not passed: a rule is waiting for it
    silence_ms: int = 10_000  # connected and not even a probe comes back: the session is dead, connect again
    inventory_poll_ms: int = 1_000
    inbox_messages: int = 20_000  # beyond it the MQTT thread waits and TCP slows the broker down
    events_per_s: float = 50.0  # per device, averaged; a gate at rush hour does 2
    events_burst: float = 500.0
    alarms_per_s: float = 200.0  # life safety, per device, beside the rest; a detector at its worst says ten
    alarms_burst: float = 2_000.0
    readings_per_s: float = 10.0  # telemetry per device
    readings_burst: float = 100.0


class BrokerAddress(msgspec.Struct, frozen=True):
    """Where a broker is and who we are there."""

    host: str
    port: int
    user: str = ""
    password: Secret = NO_PASSWORD
    tls: TlsFiles | None = None

    def tls_context(self) -> ssl.SSLContext | None:
        """Return what TLS is spoken with, None in clear.

        Raises:
            ConfigurationError: a file cannot be used.
        """
        try:
            return None if self.tls is None else client_context(self.tls)
        except TlsFileError as error:
            raise ConfigurationError(str(error)) from None

    def said_of(self, error: OSError) -> str:
        """Return what an error of connecting is to people."""
        return said_of(error, TLS.setting("ca_file")) or str(error)


def broker_address(url: str, password: Secret = NO_PASSWORD, tls: TlsFiles = TLS) -> BrokerAddress:
    """Parse ``mqtt[s]://[user[:password]@]host[:port]``; ``password`` (``user:password``) wins over the URL's.

    ``tls`` says whom to trust, and what we show, where the URL asks for it.

    >>> broker_address("mqtt://127.0.0.1").port
    1883

    Raises:
        ConfigurationError: when it is no such URL; says what was expected.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigurationError("mqtt.url: no number as port; expected mqtt://[user:password@]host[:port]") from None
    if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname:
        raise ConfigurationError("mqtt.url has no host or is not mqtt(s): expected mqtt://[user:password@]host[:port]")
    secure = parts.scheme == "mqtts"
    user, secret = unquote(parts.username or ""), unquote(parts.password or "")
    if password:
        user, _, secret = password.reveal().strip().partition(":")
    port = port or (8883 if secure else 1883)
    return BrokerAddress(parts.hostname, port, user, Secret(secret), tls if secure else None)


def owned_partitions(settings: ShardSettings) -> tuple[int, ...]:
    """Return the partitions this shard alone writes.

    Raises:
        ConfigurationError: when the shard's numbers contradict each other.
    """
    if not 0 <= settings.index < settings.shards <= settings.partitions:
        raise ConfigurationError(
            f"shard {settings.index}/{settings.shards} of {settings.partitions} partitions: "
            "expected 0 ≤ index < shards ≤ partitions"
        )
    if settings.shards > 1 and settings.listen_all:
        raise ConfigurationError("listen_all is for a single shard: two would both write every event")
    return tuple(p for p in range(settings.partitions) if p % settings.shards == settings.index)
