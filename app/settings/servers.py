"""Settings of the servers that Linli speaks to or shows: broker, Kafka, page, metrics."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec

from app.settings.about import About
from app.settings.kinds import (
    IDS,
    NETWORKS,
    OPTIONAL_PATH,
    PORT,
    PORT_OR_OFF,
    PREFIX,
    TEXT,
    TRUTH,
    choice,
    url,
    whole,
)
from streams.kafka_security import SaslMechanism

ONLY_SHARD = "linli-ingest-0"
"""The session at the broker of the only shard of ingest, unless ``mqtt.client_id`` names another."""


class BrokerChoice(StrEnum):
    """Which broker is started with ``linli run``."""

    AUTO = "auto"
    MOSQUITTO = "mosquitto"
    AMQTT = "amqtt"
    OFF = "off"


class Language(StrEnum):
    """Of the page."""

    CHINESE = "zh-CN"
    ENGLISH = "en"


class MqttSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[mqtt]``"""

    url: Annotated[str, About("the broker that devices publish to", url("mqtt", "mqtts"))] = "mqtt://127.0.0.1:1883"
    embedded: Annotated[
        BrokerChoice,
        About("start a broker here: auto (mosquitto, else built in), mosquitto, amqtt, off", choice(BrokerChoice)),
    ] = BrokerChoice.AUTO
    client_id: Annotated[
        str,
        About(
            f"the persistent session of this shard (empty: {ONLY_SHARD}; of several, -I-of-N)",
            TEXT,
            when_empty=ONLY_SHARD,
        ),
    ] = ""
    password_file: Annotated[Path | None, About("file with user:password for the broker", OPTIONAL_PATH)] = None
    ca_file: Annotated[
        Path | None, About("certificates of a private authority for mqtts (empty: the system's)", OPTIONAL_PATH)
    ] = None
    cert_file: Annotated[Path | None, About("our certificate for a broker that asks for one", OPTIONAL_PATH)] = None
    key_file: Annotated[Path | None, About("the key of mqtt.cert_file", OPTIONAL_PATH)] = None


class KafkaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[kafka]``"""

    partitions: Annotated[
        int, About("partitions of log, findings and snapshots; chosen once", whole(1, 1_000))
    ] = 24  # fmt: skip
    replication: Annotated[
        int, About("copies of each record (0: three, or as many as there are brokers)", whole(0, 15))
    ] = 0  # fmt: skip
    retention_bytes: Annotated[
        int, About("most bytes of the log in each partition (0: no bound)", whole(0, 2**62))
    ] = 0  # fmt: skip
    prefix: Annotated[
        str, About("what the topics' names begin with; one district, one prefix", PREFIX)
    ] = "linli."  # fmt: skip
    tls: Annotated[bool, About("speak TLS with the brokers: true or false", TRUTH)] = False
    ca_file: Annotated[
        Path | None, About("certificates of a private authority for kafka.tls (empty: the system's)", OPTIONAL_PATH)
    ] = None
    cert_file: Annotated[Path | None, About("our certificate for brokers that ask for one", OPTIONAL_PATH)] = None
    key_file: Annotated[Path | None, About("the key of kafka.cert_file", OPTIONAL_PATH)] = None
    password_file: Annotated[
        Path | None, About("file with user:password for SASL (empty: no account); needs kafka.tls", OPTIONAL_PATH)
    ] = None
    mechanism: Annotated[
        SaslMechanism, About("how the password is proven", choice(SaslMechanism))
    ] = SaslMechanism.SCRAM_SHA_512  # fmt: skip


class IngestSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[ingest]``"""

    sites: Annotated[tuple[str, ...], About("sites to accept (empty: all in the inventory)", IDS)] = ()


class ConsoleSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[console]``"""

    host: Annotated[str, About("address the page and API listen on", TEXT)] = "127.0.0.1"
    port: Annotated[int, About("port of the page and API; a taken one gives the next free one", PORT)] = 8080
    language: Annotated[
        Language, About("language of the page before a user chooses", choice(Language))
    ] = Language.CHINESE  # fmt: skip
    cert_file: Annotated[
        Path | None, About("certificate of the page, which is then https alone (empty: plain http)", OPTIONAL_PATH)
    ] = None
    key_file: Annotated[Path | None, About("the key of console.cert_file", OPTIONAL_PATH)] = None
    trusted_proxies: Annotated[
        tuple[str, ...],
        About("proxies before the page, whose X-Forwarded-For and X-Forwarded-Proto are believed", NETWORKS),
    ] = ()


class MetricsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[metrics]``; ``port`` None: no endpoint."""

    host: Annotated[str, About("address the Prometheus endpoint of each process listens on", TEXT)] = "127.0.0.1"
    port: Annotated[
        int | None,
        About("its port; 0: any free one, off: none; a taken one gives the next free one", PORT_OR_OFF),
    ] = 0
