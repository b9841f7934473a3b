"""The oldest entries of the audit log go; an entry seals where they ended, so that the chain can be checked on."""

from __future__ import annotations

import itertools

from sqlalchemy import Connection, delete

from contracts.durations import DAY_MS
from governance import audit
from governance.holds import held_now
from incidents.store.counters import advance
from incidents.store.schema import audit_log

KEPT_MS = 3 * 365 * DAY_MS
AT_LEAST = 100
"""Fewer are not worth a seal."""
AT_ONCE = 5_000
"""Entries in one transaction: others want to write too."""


def prune_audit(connection: Connection, now_ms: int) -> int:
    """Delete entries older than three years from the beginning of the log; how many.

    None while a hold stands: an entry may be about what it covers. None while the chain is broken there: that is found
    and told by whoever checks it, and must not go unseen.
    """
    held = held_now(connection)
    begin = audit.chain_begin(connection)
    if held.sites or held.incidents or isinstance(begin, int):
        return 0
    found = audit.entries(connection, after=begin.seq, limit=AT_ONCE)
    count = sum(1 for _ in itertools.takewhile(lambda row: row[0].at_ms < now_ms - KEPT_MS, found))
    if count < AT_LEAST:
        return 0
    broken, last = audit.follow_chain(connection, begin, count)
    if broken is not None:
        return 0
    detail: audit.Detail = {"through": last.seq, "hash": last.hash, "entries": count}
    seal = audit.record(connection, "linli", audit.SEALED, f"{begin.seq + 1}-{last.seq}", detail, now_ms)
    advance(connection, audit.ANCHOR, last.seq)
    advance(connection, audit.SEAL, seal)
    connection.execute(delete(audit_log).where(audit_log.c.seq <= last.seq))
    return count
