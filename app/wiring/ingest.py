"""A shard of ingest as the settings describe it: one machine's only one, or one of a district's."""

from __future__ import annotations

from app.settings.secret_files import read_secret_if_named
from app.settings.servers import ONLY_SHARD
from app.settings.settings import Settings
from app.wiring.metrics_server import Metrics
from ingest.counters import Counters
from ingest.settings import ShardSettings
from system.tls import TlsFiles


def client_id_of(settings: Settings, index: int = 0, shards: int = 1) -> str:
    """Return the name of the shard's session at the broker.

    With several shards their number is in it: what a session of another division holds is for other partitions, and
    whoever resumed it would pass that over.
    """
    given = settings.mqtt.client_id
    if shards == 1:
        return given or ONLY_SHARD
    return f"{given or 'linli-ingest'}-{index}-of-{shards}"


def broker_tls(settings: Settings) -> TlsFiles:
    """Return whom an ``mqtts`` broker must be certified by, and what it is shown of us."""
    mqtt = settings.mqtt
    return TlsFiles(table="mqtt", ca_file=mqtt.ca_file, cert_file=mqtt.cert_file, key_file=mqtt.key_file)


def shard_settings(
    settings: Settings,
    index: int = 0,
    shards: int = 1,
    *,
    log_id: str,
    partitions: int = 1,
    protocol: str = "auto",
) -> ShardSettings:
    """Return what shard ``index`` of ``shards`` is wired with.

    Raises:
        ConfigurationError: the file of the broker's password cannot be read.
    """
    return ShardSettings(
        mqtt_url=settings.mqtt.url,
        client_id=client_id_of(settings, index, shards),
        password=read_secret_if_named(settings.mqtt.password_file, "mqtt.password_file"),
        tls=broker_tls(settings),
        protocol=protocol,
        partitions=partitions,
        shards=shards,
        index=index,
        sites=settings.ingest.sites,
        listen_all=shards == 1,
        log_id=log_id,
    )


def show_ingest(metrics: Metrics, counters: Counters) -> None:
    """Show what a shard counts among what its process counts."""
    metrics.add(counters.registry)
    metrics.add_hops([counters.device_accepted, counters.accepted_durable])
