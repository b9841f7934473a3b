"""The tables people edit (``config.db``): every change a versioned row that stays, so that they are their own audit.

The partition's writer follows the changes into the log. What knocked in vain (pending devices and topics) is kept here
too, for ``linli inventory pending``.
"""

from __future__ import annotations

import sqlite3
import threading
import zoneinfo
from collections.abc import Sequence
from pathlib import Path

import msgspec

from contracts.errors import ConfigurationError, Rejected
from contracts.events import (
    CONFIG_SOURCE,
    Configuration,
    ConfigurationRecord,
    ConsentRecorded,
    DeviceConfigured,
    PlaceConfigured,
    SiteConfigured,
    ThresholdConfigured,
    VehicleRegistered,
    VisitorRegistered,
)
from contracts.names import check_id
from contracts.rows import row_key
from ingest.admission import PendingDevice, PendingTopic
from streams.sqlite import connect, transaction

SCHEMA = """
CREATE TABLE IF NOT EXISTS changes (
  change INTEGER PRIMARY KEY AUTOINCREMENT, site_id TEXT NOT NULL, kind TEXT NOT NULL, row_key TEXT NOT NULL,
  version INTEGER NOT NULL, removed INTEGER NOT NULL, actor TEXT NOT NULL, at_ms INTEGER NOT NULL, body BLOB NOT NULL,
  UNIQUE (site_id, version));
CREATE TABLE IF NOT EXISTS rows (
  site_id TEXT NOT NULL, kind TEXT NOT NULL, row_key TEXT NOT NULL, change INTEGER NOT NULL, content BLOB NOT NULL,
  PRIMARY KEY (site_id, kind, row_key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS followers (name TEXT PRIMARY KEY, change INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pending_devices (
  site_id TEXT NOT NULL, device_id TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (site_id, device_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pending_topics (topic TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
"""
MAX_RECORD_BYTES = 4096
MAX_DEVICES = 5_000
_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Configuration] = msgspec.msgpack.Decoder(Configuration)


class Inventory:
    """One ``config.db``. Thread-safe; several processes may use it."""

    def __init__(self, path: Path) -> None:
        self._db = connect(path, SCHEMA)
        self._lock = threading.Lock()

    def put(self, records: Sequence[ConfigurationRecord], *, actor: str = "cli", now_ms: int = 0) -> int:
        """Write ``records`` in order, all or none; a record that says what is already there changes nothing.

        Args:
            records: their ``version`` and ``event_id`` are allotted here, whatever they say.
            actor: who did it.
            now_ms: when; 0 takes each record's own ``at_ms``.

        Returns:
            the last change number.

        Raises:
            ConfigurationError: naming the record that is wrong and what was expected.
        """
        for record in records:
            check_record(record)
        with self._lock, transaction(self._db) as db:
            for record in records:
                _put(db, record, actor, now_ms or record.at_ms)
            _check_sizes(db, {record.site_id for record in records})
            return _last_change(db)

    def last_change(self) -> int:
        """The number of the newest change, 0 when there is none."""
        with self._lock:
            return _last_change(self._db)

    def changes_after(self, change: int, limit: int) -> list[tuple[int, Configuration]]:
        """At most ``limit`` changes beyond ``change``, oldest first, each with its number."""
        with self._lock:
            found = self._db.execute(
                "SELECT change, body FROM changes WHERE change > ? ORDER BY change LIMIT ?", (change, limit)
            ).fetchall()
        return [(int(number), _DECODER.decode(body)) for number, body in found]

    def devices(self, site_id: str | None = None) -> list[DeviceConfigured]:
        """The devices in force, of one site or of all, by site and id."""
        found = self._in_force("device_configured", site_id)
        return [record for record in found if isinstance(record, DeviceConfigured)]

    def sites(self) -> list[SiteConfigured]:
        """The sites in force."""
        return [record for record in self._in_force("site_configured", None) if isinstance(record, SiteConfigured)]

    def history(self, limit: int = 100) -> list[tuple[int, str, int, Configuration]]:
        """(change, actor, when, record), newest first."""
        with self._lock:
            found = self._db.execute(
                "SELECT change, actor, at_ms, body FROM changes ORDER BY change DESC LIMIT ?", (limit,)
            ).fetchall()
        return [(int(n), str(actor), int(at_ms), _DECODER.decode(body)) for n, actor, at_ms, body in found]

    def followed(self, follower: str) -> int:
        """The last change that ``follower`` (a log's partitions) has appended; 0 for a new one."""
        with self._lock:
            row = self._db.execute("SELECT change FROM followers WHERE name = ?", (follower,)).fetchone()
        return int(row[0]) if row else 0

    def set_followed(self, follower: str, change: int) -> None:
        """Everything up to ``change`` is durable in ``follower``'s log."""
        with self._lock, transaction(self._db) as db:
            db.execute("INSERT OR REPLACE INTO followers VALUES (?, ?)", (follower, change))

    def set_pending(self, devices: Sequence[PendingDevice], topics: Sequence[PendingTopic]) -> None:
        """Replace what is known of devices and topics that wait."""
        with self._lock, transaction(self._db) as db:
            db.execute("DELETE FROM pending_devices")
            db.execute("DELETE FROM pending_topics")
            db.executemany(
                "INSERT INTO pending_devices VALUES (?, ?, ?)",
                [(d.site_id, d.device_id, msgspec.json.encode(d)) for d in devices],
            )
            db.executemany(
                "INSERT INTO pending_topics VALUES (?, ?)", [(t.topic, msgspec.json.encode(t)) for t in topics]
            )

    def pending(self) -> tuple[list[PendingDevice], list[PendingTopic]]:
        """Devices and topics that wait, the ones heard most often first."""
        with self._lock:
            devices = self._db.execute("SELECT body FROM pending_devices").fetchall()
            topics = self._db.execute("SELECT body FROM pending_topics").fetchall()
        return (
            sorted((msgspec.json.decode(b, type=PendingDevice) for (b,) in devices), key=lambda d: -d.count),
            sorted((msgspec.json.decode(b, type=PendingTopic) for (b,) in topics), key=lambda t: -t.count),
        )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _in_force(self, kind: str, site_id: str | None) -> list[Configuration]:
        with self._lock:
            found = self._db.execute(
                "SELECT c.body FROM rows r JOIN changes c ON c.change = r.change WHERE r.kind = ? AND c.removed = 0"
                " AND (? IS NULL OR r.site_id = ?) ORDER BY r.site_id, r.row_key",
                (kind, site_id, site_id),
            ).fetchall()
        return [_DECODER.decode(body) for (body,) in found]


def check_record(record: ConfigurationRecord) -> None:
    """Nothing, when the record may be written.

    Raises:
        ConfigurationError: saying which record, which value, and what was expected.
    """
    key = row_key(record)
    where = f"{type(record).__name__} {key!r} of site {record.site_id!r}"
    try:
        for what, value in _ids_of(record):
            check_id(value, what)
    except Rejected as error:
        raise ConfigurationError(f"{where}: {error.detail}") from None
    size = len(_ENCODER.encode(record))
    if size > MAX_RECORD_BYTES:
        raise ConfigurationError(f"{where}: {size} bytes, expected at most {MAX_RECORD_BYTES}")
    if isinstance(record, SiteConfigured) and record.time_zone not in zoneinfo.available_timezones():
        raise ConfigurationError(f"{where}: time zone {record.time_zone!r} is unknown; expected one like Asia/Shanghai")


def _ids_of(record: ConfigurationRecord) -> list[tuple[str, str]]:
    ids = [("site_id", record.site_id), ("place_id", record.place_id)]
    match record:
        case PlaceConfigured(place=place):
            parts = {"place_id": place.place_id, "parent_id": place.parent_id, "building": place.building}
            parts |= {"unit": place.unit, "room": place.room}
            ids += [(name, value) for name, value in parts.items() if value is not None]
        case DeviceConfigured():
            ids += [("device_id", record.device_id)] + [("box_id", b) for b in (record.box_id,) if b is not None]
        case ThresholdConfigured():
            ids += [("rule", record.rule)]
        case VisitorRegistered():
            ids += [("host_place_id", record.host_place_id)] + [("door_ids", d) for d in record.door_ids]
        case VehicleRegistered():
            ids += [("vehicle_id", record.vehicle_id)]
            ids += [(n, v) for n, v in (("tag_id", record.tag_id), ("home", record.home_place_id)) if v is not None]
        case ConsentRecorded():
            ids += [("purpose", record.purpose)]
        case _:
            pass
    return ids


def _put(db: sqlite3.Connection, record: ConfigurationRecord, actor: str, at_ms: int) -> None:
    kind, key = str(type(record).__struct_config__.tag), row_key(record)
    plain = msgspec.structs.replace(
        record, event_id="config", source_id=CONFIG_SOURCE, at_ms=0, received_ms=0, device_at_ms=None, version=0
    )
    content = _ENCODER.encode(plain)
    there = db.execute(
        "SELECT content FROM rows WHERE site_id = ? AND kind = ? AND row_key = ?", (record.site_id, kind, key)
    ).fetchone()
    if there is not None and bytes(there[0]) == content:
        return
    version = 1 + int(
        db.execute("SELECT coalesce(max(version), 0) FROM changes WHERE site_id = ?", (record.site_id,)).fetchone()[0]
    )
    named = msgspec.structs.replace(plain, event_id=f"config-{version}", version=version, at_ms=at_ms)
    change = db.execute(
        "INSERT INTO changes (site_id, kind, row_key, version, removed, actor, at_ms, body) VALUES (?,?,?,?,?,?,?,?)",
        (record.site_id, kind, key, version, int(record.removed), actor, at_ms, _ENCODER.encode(named)),
    ).lastrowid
    db.execute("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?)", (record.site_id, kind, key, change, content))


def _check_sizes(db: sqlite3.Connection, sites: set[str]) -> None:
    for site_id in sites:
        count = int(
            db.execute(
                "SELECT count(*) FROM rows r JOIN changes c ON c.change = r.change"
                " WHERE r.site_id = ? AND r.kind = 'device_configured' AND c.removed = 0",
                (site_id,),
            ).fetchone()[0]
        )
        if count > MAX_DEVICES:
            raise ConfigurationError(f"site {site_id!r} would have {count} devices, expected at most {MAX_DEVICES}")


def _last_change(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT coalesce(max(change), 0) FROM changes").fetchone()[0])
