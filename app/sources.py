"""Where this process reads findings and the log from, as ``log.url`` says: Kafka's partitions, or a folder's files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from app.relays import FindingsSource
from app.settings import Settings
from streams.engine_store import EngineStore
from streams.log import LogReader

T = TypeVar("T")


class Opened(Generic[T]):
    """Some sources, and what closes them together."""

    def __init__(self, each: Sequence[T], close: Callable[[], object]) -> None:
        self.each = each
        self.close = close


def open_findings(settings: Settings) -> Opened[FindingsSource]:
    """Every source of findings.

    Raises:
        ConfigurationError: there is none as ``log.url`` names it. Transient: it does not answer.
    """
    store = EngineStore(settings.folder() / "engine.db")
    return Opened([store], store.close)


def open_log(settings: Settings) -> Opened[LogReader]:
    """Every partition of a log that other processes write; none of a folder's, which is its one process's own."""
    return Opened([], lambda: None)
