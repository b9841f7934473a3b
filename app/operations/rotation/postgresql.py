"""The accounts of PostgreSQL that the settings name, each with the files that hold its password."""

from __future__ import annotations

from pathlib import Path

from app.operations.rotation.exchange import SecretFile
from app.settings.settings import Settings
from app.wiring.stores import incidents_url, inventory_url
from contracts.errors import ConfigurationError
from incidents.store.account import PostgresAccount


def postgres_accounts(settings: Settings) -> list[tuple[PostgresAccount, list[SecretFile]]]:
    """Return each account once: the incidents', and the inventory's where that is another.

    Raises:
        ConfigurationError: no setting names a file with a password of PostgreSQL.
    """
    found: dict[tuple[object, ...], tuple[PostgresAccount, list[SecretFile]]] = {}
    tables = (
        ("incidents", incidents_url(settings), settings.incidents.password_file),
        ("inventory", inventory_url(settings), settings.inventory.password_file),
    )
    for table, url, path in tables:
        if not url.startswith("postgresql:") or path is None or (table == "inventory" and not settings.inventory.url):
            continue
        account = PostgresAccount(url)
        _account, files = found.setdefault(account.same_as, (account, []))
        if not any(_is_same(path, file.path) for file in files):
            files.append(SecretFile(path, f"{table}.password_file"))
    if not found:
        raise ConfigurationError("incidents.password_file is empty: no password of PostgreSQL is ours to exchange")
    return list(found.values())


def _is_same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()
