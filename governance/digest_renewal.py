"""Digests that earlier versions made without a key end here: in the register, the inventory and the archive, with the
tombstones that were made of them. The reference need not be known for it.

What cannot be changed keeps them until it ends: the audit log three years, the log its days, segments theirs.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import Column, Connection, Table, delete, func, select, update

from contracts.erasure import ReferenceKey, tombstone_of
from contracts.events import Configuration, ReferenceErased
from governance.erasure_register import ErasureOrder, ordered_erasures
from incidents.store import schema
from incidents.store.store import Store
from inventory.inventory import Inventory
from streams.archive.archive import Archive

_TEXTS: tuple[tuple[Table, tuple[str, ...]], ...] = (
    (schema.incidents, ("subject_ref", "search")),
    (schema.findings, ("content",)),
    (schema.incident_actions, ("comment",)),
    (schema.deliveries, ("payload",)),
    (schema.alarms, ("subject", "detail")),
    (schema.audit_notes, ("note",)),
    (schema.holds, ("reason",)),
)
"""Where an erasure leaves tombstones (:mod:`governance.incident_erasure`)."""


class DigestRenewal:
    """Replaces what was made without the key, at each turn what is left of it."""

    def __init__(self, store: Store, inventory: Inventory, archive: Archive | None, key: ReferenceKey) -> None:
        self._store, self._inventory, self._archive, self._key = store, inventory, archive, key

    def __call__(self, _now_ms: int) -> int:
        """Take one turn; how many erasures it renewed."""
        with self._store.read() as connection:
            old = [each for each in ordered_erasures(connection) if self._renewed(each) != each.erasure.digest]
        for site_id in sorted({each.erasure.site_id for each in old}):
            self._inventory.rewrite(site_id, self._record)
        if self._archive is not None:
            self._archive.renew_digests()
        for each in old:  # the register last: it says what is still to be done
            with self._store.write() as connection:
                self._replace(connection, each)
        return len(old)

    def _renewed(self, order: ErasureOrder) -> str:
        return self._key.keyed(order.erasure.digest)

    def _record(self, record: Configuration) -> Configuration:
        if not isinstance(record, ReferenceErased) or self._key.keyed(record.digest) == record.digest:
            return record
        return msgspec.structs.replace(record, digest=self._key.keyed(record.digest))

    def _replace(self, connection: Connection, order: ErasureOrder) -> None:
        old, new = order.erasure.digest, self._renewed(order)
        for table, columns in _TEXTS:
            for name in columns:
                _replace_text(connection, table, table.c[name], tombstone_of(old), tombstone_of(new))
        rows = schema.erasures
        same = (rows.c.site_id == order.erasure.site_id) & (rows.c.kind == order.erasure.kind.value)
        there = connection.execute(select(rows.c.before_ms).where(same, rows.c.digest == new)).scalar()
        if there is None:
            connection.execute(update(rows).where(same, rows.c.digest == old).values(digest=new))
            return
        before_ms = max(there, order.erasure.before_ms)
        connection.execute(update(rows).where(same, rows.c.digest == new).values(before_ms=before_ms))
        connection.execute(delete(rows).where(same, rows.c.digest == old))


def _replace_text(connection: Connection, table: Table, column: Column[str], old: str, new: str) -> None:
    query = update(table).where(column.contains(old, autoescape=True))
    connection.execute(query.values({column: func.replace(column, old, new)}))
