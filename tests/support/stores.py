"""Incidents stores for tests, on either database: a module that uses ``on_both`` runs all its tests on each.

``make_store(folder)`` gives the store of that folder, new or that which is there, whichever database is under it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from incidents.store.store import Store
from tests.support.postgres import PASSWORD, shared_postgres

MADE_MS = 1_795_400_000_000
KEPT = 20  # databases of past tests; each takes 8 MB of memory

BOTH = ("sqlite", pytest.param("postgresql", marks=[pytest.mark.service, pytest.mark.patient]))


class _Under:
    """What is under stores now, and which database of the server belongs to which folder."""

    postgresql = False
    names: dict[Path, str] = {}  # noqa: RUF012 - one server, one table
    stores: list[Store] = []  # noqa: RUF012


@pytest.fixture(scope="module", params=BOTH)
def on_both(request: pytest.FixtureRequest) -> Iterator[str]:
    """Which database is under the stores of the module's tests."""
    _Under.postgresql = request.param == "postgresql"
    yield request.param
    _Under.postgresql = False


@pytest.fixture(autouse=True)
def stores_closed() -> Iterator[None]:
    """Connections to the shared server end with their test."""
    yield
    while _Under.stores:
        _Under.stores.pop().close()


def make_store(folder: Path, *, synchronous: str = "OFF") -> Store:
    """The store of ``folder``; not synced to disk unless the test is about that."""
    store = Store(store_url(folder), clock_ms=lambda: MADE_MS, synchronous=synchronous)
    if _Under.postgresql:
        _Under.stores.append(store)
    return store


def store_url(folder: Path) -> str:
    """Where the incidents of ``folder`` lie: the file in it, or its database on the shared server."""
    if _Under.postgresql:
        return postgresql_url(folder)
    path = folder / "incidents.db"
    if not path.exists():
        path.write_bytes(_migrated_file())
    return f"sqlite:///{path}"


def store_settings(folder: Path) -> dict[str, str]:
    """The environment that names :func:`store_url`; on a server the inventory lies beside it."""
    url = store_url(folder)
    if not _Under.postgresql:
        return {"LINLI_INCIDENTS_URL": url}
    secret = folder / "database.secret"
    secret.write_text(PASSWORD, encoding="utf-8")
    return {
        "LINLI_INCIDENTS_URL": url.replace(f":{PASSWORD}@", "@"),
        "LINLI_INCIDENTS_PASSWORD_FILE": str(secret),
        "LINLI_INVENTORY_URL": "",
    }


def postgresql_url(folder: Path) -> str:
    """The database of ``folder`` on the shared server, made with its tables when there is none yet."""
    server = shared_postgres()
    if folder not in _Under.names:
        _Under.names[folder] = server.create(_migrated_database())
        for old in list(_Under.names)[:-KEPT]:
            server.drop(_Under.names.pop(old))
    return server.url(_Under.names[folder])


@cache
def _migrated_file() -> bytes:
    """A new database as the migrations make it: made once, since every test needs one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "incidents.db"
        Store(f"sqlite:///{path}", clock_ms=lambda: MADE_MS, synchronous="OFF").close()
        return path.read_bytes()


@cache
def _migrated_database() -> str:
    server = shared_postgres()
    name = server.create()
    Store(server.url(name), clock_ms=lambda: MADE_MS).close()
    return name
