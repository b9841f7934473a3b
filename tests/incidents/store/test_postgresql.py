"""PostgreSQL as several processes share it: order of commits, bells, names, and a server that refuses or goes away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Float, MetaData, select

from contracts.errors import ConfigurationError, Transient
from identity.users import Users
from incidents.store import postgresql, schema
from incidents.store.changes import add_change, changes_after, head
from incidents.store.counters import allot, allot_day_number
from incidents.store.leases import Leases
from incidents.store.migrate import migrations
from incidents.store.records import ChangeKind
from incidents.store.store import Store
from tests.incidents.store.test_schema import shape
from tests.support.postgres import running_postgres, shared_postgres
from tests.support.stores import MADE_MS, make_store, on_both, postgresql_url

__all__ = ["on_both"]

pytestmark = [pytest.mark.service, pytest.mark.patient, pytest.mark.patient]
PATIENCE_S = 60.0


class RolledBack(Exception):  # noqa: N818
    """The writer changes its mind."""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return postgresql_url(tmp_path)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = Store(url)
    yield opened
    opened.close()


def eventually(done: Callable[[], bool]) -> bool:
    """Whether it came to be within a minute."""
    end_s = time.monotonic() + PATIENCE_S
    while not done():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.02)
    return True


def test_migrations_make_the_tables_of_the_schema_in_postgresql(store: Store) -> None:
    made = MetaData()
    with store.read() as connection:
        made.reflect(connection)
    found, wanted = shape(_with_plain_floats(made)), shape(schema.metadata)
    differing = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
    assert differing == [], "incidents/store: migrations for PostgreSQL and schema.py differ in these tables"


def _with_plain_floats(made: MetaData) -> MetaData:
    """A FLOAT is read back as DOUBLE PRECISION, which is the same."""
    for column in (column for table in made.tables.values() for column in table.columns):
        if isinstance(column.type, Float):
            column.type = Float()
    return made


# --- one order of commits ---------------------------------------------------------------------------------------------

Plan = list[tuple[int, bool]]
"""Transactions of one writer: how many changes each makes, and whether it is taken back."""


def _write(store: Store, writer: int, plan: Plan) -> None:
    for number, (changes, taken_back) in enumerate(plan):
        try:
            with store.write() as connection:
                _counters(connection, writer + number)
                for change in range(changes):
                    incident_id = f"w{writer}-{number}-{change}"
                    add_change(connection, incident_id, "s1", ChangeKind.UPDATED, MADE_MS)
                if taken_back:
                    raise RolledBack
        except RolledBack:
            pass


def _counters(connection: Connection, order: int) -> None:
    """Take several counters in an order that differs from writer to writer."""
    takes: list[Callable[[], int]] = [
        lambda: allot(connection, "deliveries"),
        lambda: allot(connection, "audit_log"),
        lambda: allot_day_number(connection, "s1", "20261123"),
    ]
    for take in takes[order % 3 :] + takes[: order % 3]:
        take()


def _follow(store: Store, done: threading.Event) -> list[tuple[int, str]]:
    """Return what a reader sees that goes on after the newest number it has seen, as the feed does."""
    seen: list[tuple[int, str]] = []
    while True:
        ended = done.is_set()
        with store.read() as connection:
            found = changes_after(connection, seen[-1][0] if seen else 0, 7)
        seen += [(change.seq, change.incident_id) for change in found]
        if ended and not found:
            return seen


@settings(max_examples=6, deadline=None)
@given(plans=st.lists(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=6), min_size=2, max_size=6))
def test_a_reader_that_follows_skips_no_change_however_many_write_and_take_back(
    tmp_path_factory: pytest.TempPathFactory, plans: list[Plan]
) -> None:
    url = postgresql_url(tmp_path_factory.mktemp("order"))
    stores, done = [Store(url) for _ in range(3)], threading.Event()  # as of three processes
    with ThreadPoolExecutor(len(plans) + 1) as pool:
        reader = pool.submit(_follow, stores[0], done)
        writers = [pool.submit(_write, stores[n % 3], n, plan) for n, plan in enumerate(plans)]
        for writer in writers:
            writer.result(PATIENCE_S)
        done.set()
        seen = reader.result(PATIENCE_S)
    kept = {
        f"w{writer}-{number}-{change}"
        for writer, plan in enumerate(plans)
        for number, (changes, taken_back) in enumerate(plan)
        for change in range(changes)
        if not taken_back
    }
    assert [seq for seq, _ in seen] == list(range(1, len(kept) + 1))
    assert {incident_id for _, incident_id in seen} == kept
    for opened in stores:
        opened.close()


def test_a_read_sees_one_state_while_others_commit(store: Store) -> None:
    with store.read() as connection:
        before = head(connection)
        with store.write() as writing:
            add_change(writing, "i", "s1", ChangeKind.UPDATED, MADE_MS)
        assert (head(connection), changes_after(connection, 0, 9)) == (before, [])
    with store.read() as connection:
        assert head(connection) == before + 1


def test_several_processes_that_start_at_once_make_the_tables_once() -> None:
    server = shared_postgres()
    url = server.url(server.create())
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: Store(url), range(4)))
        firsts = list(pool.map(lambda opened: Users(opened).first_run(), stores))
    with stores[0].read() as connection:
        versions = connection.execute(select(schema.schema_version.c.version)).scalars().all()
    assert sorted(versions) == [m.version for m in migrations("postgresql")]
    assert sum(password is not None for password in firsts) == 1
    for opened in stores:
        opened.close()


def test_text_that_postgresql_cannot_hold_is_kept_without_its_nul(store: Store) -> None:
    with store.write() as connection:
        add_change(connection, "i\0x", "s1", ChangeKind.UPDATED, MADE_MS)
        assert changes_after(connection, 0, 9)[0].incident_id == "i\ufffdx"


# --- bells ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("on_both")
def test_a_commit_of_another_process_rings_here(tmp_path: Path) -> None:
    here, there = make_store(tmp_path), make_store(tmp_path)
    rang, stop = threading.Event(), threading.Event()
    following = threading.Thread(target=here.follow, args=(stop,))
    following.start()
    here.commit_signal.subscribe(rang.set)
    assert rang.wait(PATIENCE_S)  # once, since something may have come before
    rang.clear()
    with there.write() as connection:
        add_change(connection, "i", "s1", ChangeKind.UPDATED, MADE_MS)
    assert rang.wait(PATIENCE_S)
    stop.set()
    following.join(PATIENCE_S)
    assert not following.is_alive()


def test_who_cannot_listen_looks_every_second_and_listens_again(
    url: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, (name,) = shared_postgres(), [url.rpartition("/")[2]]
    rings, stop = threading.Semaphore(0), threading.Event()
    following = threading.Thread(target=store.follow, args=(stop,))
    store.commit_signal.subscribe(rings.release)
    following.start()
    assert rings.acquire(timeout=PATIENCE_S)
    server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    for _ in range(3):  # nobody notifies, and it rings all the same
        assert rings.acquire(timeout=PATIENCE_S)
    server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    listening = f"SELECT 1 FROM pg_stat_activity WHERE datname = '{name}' AND query LIKE 'LISTEN%'"
    assert eventually(lambda: bool(server.execute(listening)))
    stop.set()
    following.join(PATIENCE_S)


# --- names ------------------------------------------------------------------------------------------------------------


class Holder:
    """One of several processes that want a name."""

    def __init__(self, url: str) -> None:
        self.store, self.stop = Store(url), threading.Event()
        self.claims: Leases = self.store.leases()
        self.thread = threading.Thread(target=self.claims.run, args=(self.stop,))
        self.thread.start()

    def end(self) -> None:
        self.stop.set()
        self.thread.join(PATIENCE_S)
        self.store.close()


def test_a_name_is_one_holder_s_until_it_ends_or_its_session_does(url: str) -> None:
    server, first, second = shared_postgres(), Holder(url), Holder(url)
    try:
        assert first.claims.holds("a")
        assert not second.claims.holds("a")
        assert second.claims.holds("b")  # another name is another matter
        server.execute(
            "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid "
            f"WHERE l.locktype = 'advisory' AND l.objid = {postgresql.lock_number('claim/a') % 2**32}"
        )
        assert eventually(lambda: second.claims.holds("a"))
        assert eventually(lambda: not first.claims.holds("a"))
        second.end()
        assert eventually(lambda: first.claims.holds("a") and first.claims.holds("b"))
    finally:
        first.end()
        second.end()


def test_who_has_not_heard_from_the_server_for_long_holds_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(url)
    claims = store.leases()
    assert claims.holds("a")
    monkeypatch.setattr(postgresql, "HOLD_S", 0.0)  # as if it had stood still for longer
    assert not claims.holds("a")
    stop = threading.Event()
    stop.set()
    claims.run(stop)
    store.close()


# --- a server that refuses, or goes away ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        (lambda url: url.replace(":secret-of-the-tests@", ":wrong@"), ConfigurationError, "password authentication"),
        (lambda url: url.replace("//postgres:", "//nobody:"), ConfigurationError, "does not let us in"),
        (lambda url: url[: url.rindex("/")] + "/nowhere", ConfigurationError, 'database "nowhere" does not exist'),
        (lambda _url: "postgresql://u@127.0.0.1:9/x", Transient, "postgresql://u@127.0.0.1:9/x does not answer"),
    ],
)
def test_a_server_that_does_not_let_us_in_is_told_from_one_that_is_away(
    url: str, change: Callable[[str], str], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said) as caught:
        Store(change(url))
    assert "secret-of-the-tests" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_writer_that_stands_still_loses_its_transaction_and_holds_nobody_up(url: str, store: Store) -> None:
    server, other = shared_postgres(), Store(url)

    def stands_still() -> None:
        with store.write() as connection:
            connection.exec_driver_sql("SET idle_in_transaction_session_timeout = 10")
            with other.write() as writing:  # waits until the server has ended the first
                add_change(writing, "other", "s1", ChangeKind.UPDATED, MADE_MS)
            add_change(connection, "late", "s1", ChangeKind.UPDATED, MADE_MS)

    with pytest.raises(Transient, match="does not answer"):
        stands_still()
    with store.read() as connection:
        assert [change.incident_id for change in changes_after(connection, 0, 9)] == ["other"]
    assert server.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == [(0,)]
    other.close()


def test_a_server_killed_in_a_transaction_keeps_nothing_of_it_and_is_found_again() -> None:
    with running_postgres() as server:
        store = Store(server.url(server.create()))
        with store.write() as connection:
            add_change(connection, "before", "s1", ChangeKind.UPDATED, MADE_MS)

        def torn() -> None:
            with store.write() as connection:
                add_change(connection, "torn", "s1", ChangeKind.UPDATED, MADE_MS)
                server.kill()

        with pytest.raises(Transient, match="does not answer"):
            torn()
        with pytest.raises(Transient, match="does not answer"), store.read() as connection:
            head(connection)
        server.start()
        with store.write() as connection:
            add_change(connection, "after", "s1", ChangeKind.UPDATED, MADE_MS)
        with store.read() as connection:
            assert [c.incident_id for c in changes_after(connection, 0, 9)] == ["before", "after"]
            assert head(connection) == 2
        store.close()


def test_a_restarted_server_is_found_by_the_very_next_transaction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgresql, "_RESTED_S", 3600.0)  # as if no time had passed
    with running_postgres() as server:
        store = Store(server.url("postgres"))
        with store.read() as first, store.read() as second:
            heads = [head(first), head(second)]
        server.kill()
        server.start()
        with store.read() as first, store.read() as second:
            assert [head(first), head(second)] == heads
        with store.write() as connection:
            assert add_change(connection, "i1", "s1", ChangeKind.UPDATED, MADE_MS) == 1
        store.close()
