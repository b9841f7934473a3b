"""Every store that may name a reference, opened as the settings say where."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from app.settings.settings import Settings
from app.wiring.archives import open_archive
from app.wiring.district import is_district, log_partitions, open_cluster, topic_names
from app.wiring.reference_key import reference_key
from app.wiring.stores import inventory_url, open_incidents, open_inventory
from evidence.files import EvidenceFiles
from governance.erasure_stores import Stores
from ingest.shard.dead_letters import DeadLetters
from streams.checkpoints.sqlite import SqliteCheckpointStore

if TYPE_CHECKING:
    from governance.topic_erasure import TopicEraser

_ENGINE_FILE = "engine.db"


@contextmanager
def open_stores(settings: Settings, clock_ms: Callable[[], int]) -> Iterator[Stores]:
    """Yield every store, open while the block runs.

    Raises:
        ConfigurationError: one of them cannot be used as configured. Transient: a server does not answer.
    """
    folder = None if is_district(settings) else settings.log.folder()
    with ExitStack() as opened:
        archive = open_archive(settings)
        if archive is not None:
            opened.enter_context(closing(archive))
        engine_store = None
        if folder is not None and (folder / _ENGINE_FILE).exists():
            engine_store = opened.enter_context(closing(SqliteCheckpointStore(folder / _ENGINE_FILE)))
        yield Stores(
            store=opened.enter_context(closing(open_incidents(settings))),
            inventory=opened.enter_context(closing(open_inventory(settings))),
            dead_letters=opened.enter_context(closing(DeadLetters(settings.dead_letters.folder))),
            files=EvidenceFiles(settings.evidence.folder),
            log_folder=folder,
            topics=opened.enter_context(closing(open_topics(settings))) if folder is None else None,
            log_days=settings.log.retention_days,
            engine_store=engine_store,
            archive=archive,
            sqlite_files=_sqlite_files(settings, folder),
            reference_key=reference_key(settings),
            clock_ms=clock_ms,
        )


def open_topics(settings: Settings) -> TopicEraser:
    """Return the eraser of a district's topics.

    Raises:
        ConfigurationError: they are missing or others; says what to do. Transient: the brokers do not answer.
    """
    from governance.topic_erasure import (
        TopicEraser,  # one machine needs neither Kafka's client nor the time to import it
    )

    cluster = open_cluster(settings, "linli-erase")
    try:
        return TopicEraser(cluster, topic_names(settings), log_partitions(cluster, settings), reference_key(settings))
    except BaseException:
        cluster.close()
        raise


def _sqlite_files(settings: Settings, folder: Path | None) -> list[Path]:
    """Return where databases that are files lie, whether or not they are there yet."""
    paths = [settings.dead_letters.folder / "dead-letters.db"]
    if settings.archive.folder is not None:
        paths.append(settings.archive.folder / "archive.db")
    if folder is not None:
        paths.append(folder / _ENGINE_FILE)
    urls = (settings.incidents.url, inventory_url(settings))
    return paths + [Path(url.removeprefix("sqlite:///")) for url in urls if url.startswith("sqlite:///")]
