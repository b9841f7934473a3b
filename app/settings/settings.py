"""The settings of a deployment: one struct, a table of ``linli.toml`` a struct in it, every value typed.

Secrets are given as files (``…_file``) and read where they are needed, so that printing this shows none.
"""

from __future__ import annotations

from functools import cache
from typing import Any, get_type_hints

import msgspec

from app.settings.about import About
from app.settings.kinds import Kind
from app.settings.receivers import WebhookTable
from app.settings.servers import (
    ConsoleSettings,
    IngestSettings,
    KafkaSettings,
    MetricsSettings,
    MqttSettings,
)
from app.settings.stores import (
    ArchiveSettings,
    DeadLettersSettings,
    ErasureSettings,
    EvidenceSettings,
    IncidentsSettings,
    InventorySettings,
    LogSettings,
    ResultsSettings,
)
from delivery.receivers.tables import ReceiverSettings


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force. Without arguments: every default."""

    mqtt: MqttSettings = MqttSettings()
    log: LogSettings = LogSettings()
    archive: ArchiveSettings = ArchiveSettings()
    kafka: KafkaSettings = KafkaSettings()
    inventory: InventorySettings = InventorySettings()
    incidents: IncidentsSettings = IncidentsSettings()
    results: ResultsSettings = ResultsSettings()
    evidence: EvidenceSettings = EvidenceSettings()
    console: ConsoleSettings = ConsoleSettings()
    metrics: MetricsSettings = MetricsSettings()
    webhook: WebhookTable = WebhookTable()
    ingest: IngestSettings = IngestSettings()
    dead_letters: DeadLettersSettings = DeadLettersSettings()
    erasure: ErasureSettings = ErasureSettings()
    receiver: tuple[ReceiverSettings, ...] = ()


class Key(msgspec.Struct, frozen=True):
    """One value that may be set: ``[table] field``."""

    table: str
    field: str
    default: Any
    meaning: str
    kind: Kind[Any]
    beside_log: str
    when_empty: str

    @property
    def name(self) -> str:
        """As messages and documents name it: ``log.url``."""
        return f"{self.table}.{self.field}"

    @property
    def variable(self) -> str:
        """Of the environment: ``LINLI_LOG_URL``."""
        return f"LINLI_{self.table}_{self.field}".upper()

    def value(self, settings: Settings) -> Any:
        """Return what is in force."""
        return getattr(getattr(settings, self.table), self.field)


@cache
def keys() -> dict[str, Key]:
    """Return every key by its name, in the order of the structs."""
    found: dict[str, Key] = {}
    for table, kind in tables().items():
        abouts = get_type_hints(kind, include_extras=True)
        for field in msgspec.structs.fields(kind):
            about = _about(abouts[field.name], f"{table}.{field.name}")
            default = field.default_factory() if callable(field.default_factory) else field.default
            key = Key(table, field.name, default, about.meaning, about.kind, about.beside_log, about.when_empty)
            found[key.name] = key
    return found


def _about(hint: Any, name: str) -> About:
    """Return what a field says of itself. Raise TypeError where it says nothing."""
    for note in getattr(hint, "__metadata__", ()):
        if isinstance(note, About):
            return note
    raise TypeError(f"{name}: its field in app/settings needs Annotated[TYPE, About(meaning, kind)]")


@cache
def tables() -> dict[str, type[msgspec.Struct]]:
    """Return the struct of each table that has keys, in the order of :class:`Settings`."""
    hints = get_type_hints(Settings)
    return {field.name: hints[field.name] for field in msgspec.structs.fields(Settings) if field.name != "receiver"}
