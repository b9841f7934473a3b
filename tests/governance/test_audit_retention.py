"""The audit log's oldest entries go under a seal; what is left is checked as before, at the cost of what is new."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, event, update
from sqlalchemy.exc import DatabaseError

from contracts.durations import HOUR_MS
from governance import audit
from governance.audit import AGAIN, AuditChain
from governance.audit_retention import AT_LEAST, KEPT_MS, prune_audit
from governance.holds import add_hold, end_hold
from incidents.monitor.stuck_work_monitor import CHAIN_EVERY_MS, StuckWorkMonitor
from incidents.store.counters import advance
from incidents.store.operator_alarms import standing_alarms
from incidents.store.schema import audit_log
from incidents.store.store import Store
from tests.incidents.builders import T0, ManualClock, make_store
from tests.support.stores import on_both, stores_closed

__all__ = ["on_both", "stores_closed"]

pytestmark = pytest.mark.usefixtures("on_both")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(make_store(tmp_path)) as opened:
        yield opened


def _written(store: Store, count: int, from_ms: int = T0, every_ms: int = HOUR_MS) -> None:
    with store.write() as connection:
        for n in range(count):
            audit.record(connection, "wang", "incident.see", f"incident-{n}", {"n": n}, from_ms + n * every_ms)


def _kept(connection: Connection) -> list[int]:
    return [entry.seq for entry, _ in audit.entries(connection)]


def _let_it_change(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("DROP TRIGGER audit_log_append_only ON audit_log")
    else:
        connection.exec_driver_sql("DROP TRIGGER audit_log_no_update")
        connection.exec_driver_sql("DROP TRIGGER audit_log_no_delete")


def test_entries_go_after_three_years_under_a_seal_that_the_chain_goes_on_from(store: Store) -> None:
    _written(store, 300)
    with store.write() as connection:
        assert prune_audit(connection, T0 + KEPT_MS + (AT_LEAST - 1) * HOUR_MS) == 0
        assert prune_audit(connection, T0 + KEPT_MS + 150 * HOUR_MS) == 150
        assert _kept(connection) == list(range(151, 302))
        assert audit.first_broken(connection) is None
        (seal,) = [entry for entry, _ in audit.entries(connection) if entry.action == audit.SEALED]
        assert (seal.subject, seal.actor) == ("1-150", "linli")
        assert prune_audit(connection, T0 + 2 * KEPT_MS) == 150  # not the seal, which is younger
        assert prune_audit(connection, T0 + 9 * KEPT_MS) == 0
        assert _kept(connection) == [301, 302]
        assert audit.first_broken(connection) is None
    _written(store, 3)
    with store.read() as connection:
        assert audit.first_broken(connection) is None


def test_nothing_goes_while_a_hold_stands_or_the_chain_is_broken_there(store: Store) -> None:
    _written(store, 200)
    late_ms = T0 + 2 * KEPT_MS
    with store.write() as connection:
        hold = add_hold(connection, "s1", None, "file 12/2027", "op", T0)
        assert prune_audit(connection, late_ms) == 0
        end_hold(connection, hold.hold_id, "op", T0)
    with store.write() as connection:
        _let_it_change(connection)
        connection.execute(update(audit_log).where(audit_log.c.seq == 50).values(actor="li"))
        assert prune_audit(connection, late_ms) == 0
        assert audit.first_broken(connection) == 50


def test_only_what_is_sealed_can_be_deleted(store: Store) -> None:
    _written(store, 200)
    with store.write() as connection:
        prune_audit(connection, T0 + KEPT_MS + 120 * HOUR_MS)
    for statement in (delete(audit_log).where(audit_log.c.seq == 121), update(audit_log).values(actor="li")):
        with pytest.raises(DatabaseError, match="append-only"), store.write() as connection:
            connection.execute(statement)


def _anchor_moved(connection: Connection) -> None:
    advance(connection, audit.ANCHOR, 130)
    connection.execute(delete(audit_log).where(audit_log.c.seq <= 130))


def _seal_gone(connection: Connection) -> None:
    connection.execute(delete(audit_log).where(audit_log.c.action == audit.SEALED))


def _beginning_gone(connection: Connection) -> None:
    connection.execute(delete(audit_log).where(audit_log.c.seq == 121))


@pytest.mark.parametrize(("tamper", "broken"), [(_anchor_moved, 131), (_seal_gone, 121), (_beginning_gone, 121)])
def test_a_beginning_that_no_seal_accounts_for_is_seen(store: Store, tamper: Any, broken: int) -> None:
    _written(store, 200)
    with store.write() as connection:
        prune_audit(connection, T0 + KEPT_MS + 120 * HOUR_MS)
        assert audit.first_broken(connection) is None
        _let_it_change(connection)
        tamper(connection)
        assert audit.first_broken(connection) == broken
        assert AuditChain().first_broken(connection) == broken


def test_a_look_at_the_chain_costs_what_is_new_and_a_bounded_part_of_what_is_old(store: Store) -> None:
    _written(store, 3 * AGAIN)
    chain = AuditChain()
    with store.read() as connection, _queries(connection) as asked:
        assert chain.first_broken(connection) is None
        assert len(asked) == 5  # three, to see that there is no more, and one again
        for _ in range(4):
            asked.clear()
            assert chain.first_broken(connection) is None
            assert len(asked) <= 3


@contextmanager
def _queries(connection: Connection) -> Iterator[list[str]]:
    """The queries of the audit log; each gives a thousand entries at most."""
    asked: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if "FROM audit_log" in statement:
            assert "LIMIT" in statement
            asked.append(statement)

    event.listen(connection, "before_cursor_execute", note)
    yield asked
    event.remove(connection, "before_cursor_execute", note)


def test_what_was_changed_after_it_was_checked_is_found_in_its_turn(store: Store) -> None:
    _written(store, 3 * AGAIN)
    chain = AuditChain()
    with store.write() as connection:
        assert chain.first_broken(connection) is None
        _let_it_change(connection)
        connection.execute(update(audit_log).where(audit_log.c.seq == 2 * AGAIN + 5).values(actor="li"))
        assert [chain.first_broken(connection) for _ in range(2)] == [None, 2 * AGAIN + 5]


def test_the_monitor_tells_of_a_chain_that_broke_between_two_looks(store: Store) -> None:
    _written(store, 10)
    clock = ManualClock()
    monitor = StuckWorkMonitor(store, [], clock_ms=clock)
    monitor.step()
    with store.write() as connection:
        _let_it_change(connection)
        connection.execute(update(audit_log).where(audit_log.c.seq == 7).values(detail="{}"))
    clock.advance(CHAIN_EVERY_MS)
    monitor.step()
    with store.read() as connection:
        assert [(alarm.code, alarm.detail) for alarm in standing_alarms(connection)] == [("audit_broken", "entry 7")]
