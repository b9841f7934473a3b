"""The tables people edit (``config.db`` or PostgreSQL): every change a versioned row that stays, their own audit.

The partition's writer follows the changes into the log. What knocked in vain (pending devices and topics) is kept here
too, for ``linli inventory pending``.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from contracts.configuration_rows import row_key
from contracts.errors import ConfigurationError
from contracts.events import (
    CONFIG_SOURCE,
    Configuration,
    ConfigurationRecord,
    DeviceConfigured,
    SiteConfigured,
    VisitorRegistered,
)
from inventory import numbers, row_sums
from inventory.kept_clocks import KeptClocks
from inventory.kept_heard import KeptHeard
from inventory.kept_notices import KeptNotices
from inventory.kept_pending import KeptPending
from inventory.last_seen import LastSeen
from inventory.last_seen_rows import DeviceKey, KeptLastSeen, read_last_seen, write_last_seen
from inventory.numbers import StoreState
from inventory.record_check import check_record
from inventory.row_sums import damaged
from inventory.tables import STATEMENTS, Row, Rows, SqliteTables, Tables
from streams.row_checksum import Value

MAX_DEVICES = 5_000
_CHECKED_AT_ONCE = 1_000
_ENCODER = msgspec.msgpack.Encoder()
_CHANGES = "SELECT change, site_id, kind, row_key, version, removed, actor, at_ms, body FROM changes"
_DECODER: msgspec.msgpack.Decoder[Configuration] = msgspec.msgpack.Decoder(Configuration)

C = TypeVar("C", bound=ConfigurationRecord)


class Inventory:
    """The inventory in ``config.db``, or in other tables that are handed over. Any thread and process may use it."""

    def __init__(self, tables: Path | Tables) -> None:
        self._tables = SqliteTables(tables) if isinstance(tables, Path) else tables
        try:
            self._tables.make([*STATEMENTS, *numbers.STATEMENTS, *row_sums.STATEMENTS])
            with self._tables.write() as rows:
                numbers.make_identity(rows)
        except BaseException:
            self._tables.close()
            raise
        self.clocks = KeptClocks(self._tables, self.devices)
        self.notices = KeptNotices(self._tables)
        self.waiting = KeptPending(self._tables, self.devices)
        self.heard = KeptHeard(self._tables)

    def put(self, records: Sequence[ConfigurationRecord], *, actor: str = "cli", now_ms: int = 0) -> int:
        """Write ``records`` in order, all or none; a record that says what is already there changes nothing.

        Args:
            records: their ``version``, ``event_id``, ``store`` and ``transaction`` are allotted here, whatever they
                say.
            actor: who did it.
            now_ms: when; 0 takes each record's own ``at_ms``.

        Returns:
            the last change number.

        Raises:
            ConfigurationError: naming the record that is wrong and what was expected.
        """
        for record in records:
            check_record(record)
        with self._tables.write() as rows:
            writing = _Writing(rows, actor)
            for record in records:
                writing.put(record, now_ms or record.at_ms)
            writing.note_numbers()
            _check_sizes(rows, {record.site_id for record in records})
            return writing.change

    def last_change(self) -> int:
        """Return the number of the newest change, 0 when there is none."""
        with self._tables.read() as rows:
            return numbers.last_change(rows)

    def state(self) -> StoreState:
        """Return which store this is, and how far it has come."""
        with self._tables.read() as rows:
            name, change, body = numbers.glance(rows)
        try:
            return StoreState(name, change, "" if body is None else _DECODER.decode(body).transaction)
        except msgspec.MsgspecError:
            raise damaged(self._tables.where, f"change {change} is not what was written") from None

    def transaction_of(self, change: int) -> str | None:
        """Return what wrote a change; None when there is no such change, or no more."""
        return next((record.transaction for n, record in self.changes_after(change - 1, 1) if n == change), None)

    def is_behind(self, known: StoreState, now: StoreState) -> bool:
        """Return whether the store, which is ``now``, is another one than ``known`` or was put back to before it."""
        return numbers.is_behind(known, now, self.transaction_of(known.change))

    def begin_anew(self, *, actor: str, now_ms: int) -> int:
        """Take another name and say everything in force again under it; how many records.

        For tables that were put back from a backup: whoever followed them knows later ones by the same numbers.
        """
        with self._tables.write() as rows:
            numbers.renew_identity(rows)
            query = "SELECT c.body FROM rows r JOIN changes c ON c.change = r.change ORDER BY r.change"
            records = [_DECODER.decode(body) for (body,) in rows.execute(query)]
            writing = _Writing(rows, actor)
            for record in records:
                writing.say_again(record, now_ms)
            writing.note_numbers()
        return len(records)

    def changes_after(self, change: int, limit: int) -> list[tuple[int, Configuration]]:
        """Return at most ``limit`` changes beyond ``change``, oldest first, each with its number."""
        with self._tables.read() as rows:
            found = rows.execute(f"{_CHANGES} WHERE change > ? ORDER BY change LIMIT ?", (change, limit))
            self._check_changes(rows, found)
            return [(int(row[0]), _DECODER.decode(row[-1])) for row in found]

    def devices(self, site_id: str | None = None) -> list[DeviceConfigured]:
        """Return the devices in force, of one site or of all, by site and id."""
        found = self._in_force("device_configured", site_id)
        return [record for record in found if isinstance(record, DeviceConfigured)]

    def sites(self) -> list[SiteConfigured]:
        """Return the sites in force."""
        return [record for record in self._in_force("site_configured", None) if isinstance(record, SiteConfigured)]

    def in_force(self) -> list[Configuration]:
        """Return everything that is in force, of all sites."""
        return self._in_force(None, None)

    def history(self, limit: int) -> list[tuple[int, str, int, Configuration]]:
        """Return (change, actor, when, record), newest first."""
        with self._tables.read() as rows:
            found = rows.execute(
                "SELECT change, actor, at_ms, body FROM changes ORDER BY change DESC LIMIT ?", (limit,)
            )
            return [(int(n), str(actor), int(at_ms), _DECODER.decode(body)) for n, actor, at_ms, body in found]

    def rewrite(
        self, site_id: str, rewrite: Callable[[Configuration], Configuration | None], *, dry: bool = False
    ) -> int:
        """Let a site's changes say what ``rewrite`` makes of them (None: nothing, they go); how many differ.

        Versions stay, so whoever has followed a change does not follow it again.

        Args:
            dry: only count.
        """
        with self._tables.read() if dry else self._tables.write() as rows:
            found = rows.execute(f"{_CHANGES} WHERE site_id = ? ORDER BY change", (site_id,))
            before = [(int(row[0]), _DECODER.decode(row[-1])) for row in found]
            others = [(change, new) for change, old in before if (new := rewrite(old)) is not old]
            if not dry:
                for change, new in others:
                    _rewrite(rows, change, new)
        return len(others)

    def forget_history(self, before_ms: int, held_sites: Collection[str] = ()) -> int:
        """Delete what is over since before ``before_ms``: versions that a newer one has replaced, and registrations of
        visitors that have ended; how many changes.

        The newest change of a site stays, whatever it says, so that versions never go back. So do ``held_sites``.
        """
        with self._tables.write() as rows:
            newest = {int(change) for (change,) in rows.execute("SELECT max(change) FROM changes GROUP BY site_id")}
            replaced = rows.execute(
                "SELECT c.change, c.site_id FROM changes c LEFT JOIN rows r ON r.change = c.change"
                " WHERE c.at_ms < ? AND r.change IS NULL",
                (before_ms,),
            )
            gone = [(int(change), str(site_id)) for change, site_id in replaced] + _ended(rows, before_ms)
            over = [change for change, site_id in gone if change not in newest and site_id not in held_sites]
            for change in over:
                _rewrite(rows, change, None)
        return len(over)

    def followed(self, follower: str) -> int:
        """Return the last change that ``follower`` (a log's partitions) has appended; 0 for a new one."""
        return self.followers().get(follower, 0)

    def followers(self) -> dict[str, int]:
        """Return follower → the last change that it has appended."""
        with self._tables.read() as rows:
            found = {str(name): int(change) for name, change in rows.execute("SELECT name, change FROM followers")}
            first = row_sums.follower_name("")
            sums = row_sums.read_sums(rows, first, first + "\U0010ffff")
            for name, change in found.items():
                named = row_sums.follower_name(name)
                row_sums.check_sum(self._tables.where, named, sums.get(named), name, change)
            return found

    def set_followed(self, follower: str, change: int) -> None:
        """Note that everything up to ``change`` is durable in ``follower``'s log."""
        with self._tables.write() as rows:
            rows.execute(
                "INSERT INTO followers VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET change = excluded.change",
                (follower, change),
            )
            row_sums.write_sum(rows, row_sums.follower_name(follower), follower, change)

    def last_seen(self) -> KeptLastSeen:
        """Return what was kept of devices' lives."""
        with self._tables.read() as rows:
            return read_last_seen(rows)

    def keep_last_seen(self, devices: Mapping[DeviceKey, LastSeen], through_ms: int) -> None:
        """Keep these beside what is kept already; ``through_ms``: up to which time of the log all is kept."""
        with self._tables.write() as rows:
            write_last_seen(rows, devices, through_ms)

    @property
    def file_name(self) -> str:
        """The name of its file, or the database as a person knows it."""
        return self._tables.where.rpartition("/")[2]

    def check_rows(self) -> None:
        """Read every change once; raises Permanent when one is not what was written."""
        change = 0
        while changes := self.changes_after(change, _CHECKED_AT_ONCE):
            change = changes[-1][0]
        self.devices()
        self.followers()

    def close(self) -> None:
        """Close the database."""
        self._tables.close()

    def _in_force(self, kind: str | None, site_id: str | None) -> list[Configuration]:
        wanted = {"r.kind": kind, "r.site_id": site_id}
        values = {name: value for name, value in wanted.items() if value is not None}
        where = " AND ".join(f"{name} = ?" for name in values) or "1 = 1"
        with self._tables.read() as rows:
            found = rows.execute(
                "SELECT r.site_id, r.row_key, r.kind, r.change, c.site_id, c.row_key, c.kind, c.removed, c.body"
                f" FROM rows r LEFT JOIN changes c ON c.change = r.change WHERE {where}",
                list(values.values()),
            )
            for row in found:
                if row[:3] != row[4:7]:
                    raise damaged(self._tables.where, f"row {row[1]!r} names change {row[3]}, which is another")
            return [_DECODER.decode(row[-1]) for row in sorted(found) if not row[7]]

    def _check_changes(self, rows: Rows, found: Sequence[Row]) -> None:
        """Raise Permanent unless these rows of ``changes`` say what was written."""
        if not found:
            return
        names = [row_sums.change_name(int(row[0])) for row in found]
        sums = row_sums.read_sums(rows, names[0], names[-1])
        for name, row in zip(names, found, strict=True):
            row_sums.check_sum(self._tables.where, name, sums.get(name), *_summed(row))


class _Writing:
    """One transaction of :meth:`Inventory.put`. Numbers are asked for once, since nobody else writes meanwhile."""

    def __init__(self, rows: Rows, actor: str) -> None:
        identity, self.change, _ = numbers.glance(rows)
        self._rows, self._actor = rows, actor
        self._named = {"store": identity, "transaction": secrets.token_hex(4)}
        self._versions: dict[str, int] = {}

    def put(self, record: ConfigurationRecord, at_ms: int) -> None:
        """Write the record, unless it says what is there."""
        kind, key = str(type(record).__struct_config__.tag), row_key(record)
        plain = _plain(record)
        content = _ENCODER.encode(plain)
        there = self._rows.execute(
            "SELECT content FROM rows WHERE site_id = ? AND kind = ? AND row_key = ?", (record.site_id, kind, key)
        )
        if not there or bytes(there[0][0]) != content:
            self._write(plain, content, kind, key, at_ms)

    def say_again(self, record: Configuration, at_ms: int) -> None:
        """Write the record though it says what is there."""
        plain = _plain(record)
        self._write(plain, _ENCODER.encode(plain), str(type(record).__struct_config__.tag), row_key(record), at_ms)

    def _write(self, plain: ConfigurationRecord, content: bytes, kind: str, key: str, at_ms: int) -> None:
        self.change, version = self.change + 1, self._next_version(plain.site_id)
        named = msgspec.structs.replace(
            plain, event_id=f"config-{version}", version=version, at_ms=at_ms, **self._named
        )
        values = (kind, key, version, int(plain.removed), self._actor, at_ms, _ENCODER.encode(named))
        self._rows.execute(
            "INSERT INTO changes (change, site_id, kind, row_key, version, removed, actor, at_ms, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (self.change, plain.site_id, *values),
        )
        row_sums.write_sum(self._rows, row_sums.change_name(self.change), self.change, plain.site_id, *values)
        self._rows.execute(
            "INSERT INTO rows VALUES (?, ?, ?, ?, ?) ON CONFLICT (site_id, kind, row_key)"
            " DO UPDATE SET change = excluded.change, content = excluded.content",
            (plain.site_id, kind, key, self.change, content),
        )

    def note_numbers(self) -> None:
        """Keep what was allotted, once at the end: a row that is written for each record gets slow in PostgreSQL."""
        for site_id, version in self._versions.items():
            numbers.note(self._rows, self.change, site_id, version)

    def _next_version(self, site_id: str) -> int:
        if site_id not in self._versions:
            self._versions[site_id] = numbers.last_version(self._rows, site_id)
        self._versions[site_id] += 1
        return self._versions[site_id]


def _plain(record: C) -> C:
    """Return what the record says, without who said it when: two that say the same are one."""
    return msgspec.structs.replace(
        record,
        event_id="config",
        source_id=CONFIG_SOURCE,
        at_ms=0,
        received_ms=0,
        device_at_ms=None,
        version=0,
        store="",
        transaction="",
    )


def _ended(rows: Rows, before_ms: int) -> list[tuple[int, str]]:
    """Return the changes that register visitors who could not come any more since ``before_ms``, and their sites."""
    found = rows.execute(
        "SELECT c.change, c.site_id, c.body FROM rows r JOIN changes c ON c.change = r.change"
        " WHERE r.kind = 'visitor_registered' AND c.at_ms < ?",
        (before_ms,),
    )
    records = ((int(change), str(site_id), _DECODER.decode(body)) for change, site_id, body in found)
    return [
        (change, site_id)
        for change, site_id, record in records
        if isinstance(record, VisitorRegistered) and record.to_ms < before_ms
    ]


def _rewrite(rows: Rows, change: int, record: Configuration | None) -> None:
    if record is None:
        rows.execute("DELETE FROM changes WHERE change = ?", (change,))
        rows.execute("DELETE FROM rows WHERE change = ?", (change,))
        row_sums.forget_sum(rows, row_sums.change_name(change))
    else:
        key = row_key(record)
        values = (_ENCODER.encode(record), key, change)
        rows.execute("UPDATE changes SET body = ?, row_key = ? WHERE change = ?", values)
        (row,) = rows.execute(f"{_CHANGES} WHERE change = ?", (change,))
        row_sums.write_sum(rows, row_sums.change_name(change), *_summed(row))
        content = _ENCODER.encode(_plain(record))
        rows.execute("UPDATE rows SET content = ?, row_key = ? WHERE change = ?", (content, key, change))


def _summed(row: Row) -> tuple[Value, ...]:
    """Return the values of a row of ``changes`` as their checksum was made of them, whatever the database gives."""
    *values, body = row
    return (*values, bytes(body) if isinstance(body, memoryview) else body)


def _check_sizes(rows: Rows, sites: set[str]) -> None:
    for site_id in sites:
        found = rows.execute(
            "SELECT count(*) FROM rows r JOIN changes c ON c.change = r.change"
            " WHERE r.site_id = ? AND r.kind = 'device_configured' AND c.removed = 0",
            (site_id,),
        )
        count = int(found[0][0])
        if count > MAX_DEVICES:
            raise ConfigurationError(f"site {site_id!r} would have {count} devices, expected at most {MAX_DEVICES}")
