"""Settings of what is kept: log, archive, inventory, incidents, results, evidence, dead letters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from app.settings.about import About
from app.settings.kinds import (
    DATABASE,
    OPTIONAL_PATH,
    PATH,
    SITE_DAYS,
    SQLITE,
    influx,
    optional,
    sqlite_or,
    whole,
)
from contracts.errors import ConfigurationError

LOG_FOLDER = "linli-data"
"""Where the log lies by default; with it lie the stores that follow it."""


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[log]``"""

    url: Annotated[
        str, About("the log of batches; sqlite:///FOLDER holds day files and engine.db", sqlite_or("kafka"))
    ] = f"{SQLITE}{LOG_FOLDER}"  # fmt: skip
    retention_days: Annotated[
        int, About("days that the log is kept, and on Kafka the findings", whole(1, 3650))
    ] = 7  # fmt: skip
    retention_gb: Annotated[
        int, About("size of all day files, GB, beyond which the oldest go (0: none)", whole(0, 100_000))
    ] = 20  # fmt: skip

    @property
    def on_kafka(self) -> bool:
        """Whether the log is a district's."""
        return self.url.startswith("kafka:")

    def folder(self) -> Path:
        """Return the folder of an embedded log.

        Raises:
            ConfigurationError: the log is on Kafka.
        """
        return sqlite_path("log.url", self.url)


class ArchiveSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[archive]``"""

    folder: Annotated[
        Path | None,
        About("site-day segments of the log, encrypted (empty: none)", OPTIONAL_PATH, beside_log="archive"),
    ] = Path(LOG_FOLDER, "archive")
    key_file: Annotated[
        Path | None, About("the sites' keys of the archive (empty: keys in archive.folder)", OPTIONAL_PATH)
    ] = None
    retention_days: Annotated[int, About("days that segments are kept", whole(1, 36_500))] = 30
    site_days: Annotated[Mapping[str, int], About("sites that differ: SITE=DAYS with commas", SITE_DAYS)] = {}


class InventorySettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[inventory]``; an empty ``url`` means the incidents' PostgreSQL."""

    url: Annotated[
        str,
        About(
            "the tables people edit (empty: with the incidents in PostgreSQL, else beside the log)",
            optional(DATABASE),
            beside_log="config.db",
        ),
    ] = f"{SQLITE}{LOG_FOLDER}/config.db"
    password_file: Annotated[
        Path | None, About("file with the password of the role in inventory.url", OPTIONAL_PATH)
    ] = None
    ca_file: Annotated[
        Path | None,
        About(
            "authority of the server of inventory.url, which is then verified in full (empty: as its URL says)",
            OPTIONAL_PATH,
        ),
    ] = None


class IncidentsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[incidents]``"""

    url: Annotated[
        str,
        About(
            "incidents, deliveries and users: sqlite:///FILE, or postgresql://USER@HOST/DATABASE",
            DATABASE,
            beside_log="incidents.db",
        ),
    ] = f"{SQLITE}{LOG_FOLDER}/incidents.db"
    password_file: Annotated[
        Path | None, About("file with the password of the role in incidents.url", OPTIONAL_PATH)
    ] = None
    ca_file: Annotated[
        Path | None,
        About(
            "authority of the server of incidents.url, which is then verified in full (empty: as its URL says)",
            OPTIONAL_PATH,
        ),
    ] = None
    retention_days: Annotated[int, About("days that closed incidents are kept", whole(30, 36_500))] = 365

    @property
    def on_postgresql(self) -> bool:
        """Whether several processes may share them."""
        return self.url.startswith("postgresql:")


class ResultsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[results]``"""

    url: Annotated[
        str,
        About(
            "results; influx://HOST:PORT/DATABASE?version=1|2|3&org=ORG for an InfluxDB",
            sqlite_or("influx", parse=influx),
            beside_log="results.db",
        ),
    ] = f"{SQLITE}{LOG_FOLDER}/results.db"
    token_file: Annotated[Path | None, About("file with the token for InfluxDB 2 or 3", OPTIONAL_PATH)] = None
    password_file: Annotated[Path | None, About("file with user:password for InfluxDB 1", OPTIONAL_PATH)] = None
    ca_file: Annotated[
        Path | None, About("certificates of a private authority for …&tls=true (empty: the system's)", OPTIONAL_PATH)
    ] = None
    retention_days: Annotated[int, About("days that results are kept in results.db", whole(1, 36_500))] = 400
    spool: Annotated[
        Path, About("where results wait for their store", PATH, beside_log="results-spool.db")
    ] = Path(LOG_FOLDER, "results-spool.db")  # fmt: skip
    spool_mb: Annotated[
        int, About("what waits at most, MiB; above it the oldest is dropped", whole(1, 1_048_576))
    ] = 4096  # fmt: skip
    backlog_hours: Annotated[
        int, About("how far back a log is read at the first start", whole(0, 87_600))
    ] = 168  # fmt: skip


class EvidenceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[evidence]``"""

    folder: Annotated[
        Path, About("stills and clips, encrypted, by SHA-256", PATH, beside_log="evidence")
    ] = Path(LOG_FOLDER, "evidence")  # fmt: skip
    retention_hours: Annotated[int, About("hours that evidence is kept", whole(1, 87_600))] = 720


class ErasureSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[erasure]``"""

    key_file: Annotated[
        Path,
        About("secret by which erased references are known; one for all processes", PATH, beside_log="erasure.key"),
    ] = Path(LOG_FOLDER, "erasure.key")  # fmt: skip


class DeadLettersSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[dead_letters]``"""

    folder: Annotated[
        Path, About("rejected input, scrubbed, encrypted, ≤ 72 h", PATH, beside_log="dead-letters")
    ] = Path(LOG_FOLDER, "dead-letters")  # fmt: skip


def sqlite_path(key: str, url: str) -> Path:
    """Return the path in the ``sqlite:///PATH`` that a setting holds.

    Raises:
        ConfigurationError: when it is another kind of URL.
    """
    if not url.startswith(SQLITE) or url == SQLITE:
        raise ConfigurationError(f"{key} = {url!r}: on one machine this must be sqlite:///PATH")
    return Path(url.removeprefix(SQLITE))
