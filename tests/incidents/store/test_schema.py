"""The migrations make exactly the tables that the code reads, once, and refuse a newer database."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from sqlalchemy import Engine, MetaData, create_engine, insert
from sqlalchemy.engine import make_url
from sqlalchemy.schema import CreateTable

from contracts.errors import ConfigurationError
from incidents.store import migrate
from incidents.store.migrate import migrations
from incidents.store.schema import metadata, schema_version
from incidents.store.store import Store
from tests.incidents.builders import make_store

FOLDER = Path(migrate.__file__).with_name("migrations")
RELEASED = {
    "0001_first.sql": "1bd09aa8c06a2b38",
    "0002_append_only.postgresql.sql": "428fbe994c8a69c4",
    "0002_append_only.sqlite.sql": "c69bd5e5c2ce92e8",
    "0003_attempts_by_time.sql": "fd221a131bd256ad",
    "0030_retention.sql": "b5826de0022c2871",
}
"""Migrations of released versions and how their SHA-256 begins. A release adds its own."""

POSTGRESQL = make_url("postgresql://").get_dialect()()


def shape(made: MetaData) -> dict[str, object]:
    return {
        table.name: (
            {(c.name, str(c.type.compile(POSTGRESQL)), c.nullable, c.primary_key) for c in table.columns},
            {(index.name, tuple(c.name for c in index.columns), bool(index.unique)) for index in table.indexes},
        )
        for table in made.sorted_tables
    }


def _reflected(folder: Path) -> MetaData:
    engine: Engine = create_engine(f"sqlite:///{folder}/incidents.db")
    made = MetaData()
    made.reflect(engine)
    engine.dispose()
    return made


def test_migrations_make_the_tables_of_the_schema(tmp_path: Path) -> None:
    Store(f"sqlite:///{tmp_path}/incidents.db").close()
    made, read = shape(_reflected(tmp_path)), shape(metadata)
    differing = sorted(name for name in {*made, *read} if made.get(name) != read.get(name))
    assert differing == [], "incidents/store: migrations and schema.py do not say the same of these tables"


def test_a_released_migration_is_never_changed() -> None:
    found = {name: hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()[:16] for name in RELEASED}
    changed = sorted(name for name in RELEASED if found[name] != RELEASED[name])
    assert changed == [], f"{FOLDER}: databases ran these and never run them again; write a new migration instead"


def test_a_new_migration_has_a_higher_number_than_every_released_one() -> None:
    newest = max(RELEASED)[:4]
    late = sorted(file.name for file in FOLDER.glob("*.sql") if file.name not in RELEASED and file.name[:4] <= newest)
    assert late == [], f"{FOLDER}: a database that is at {newest} would never run these; take a higher number"


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        make_store(tmp_path).close()
    store = make_store(tmp_path)
    with store.read() as connection:
        versions = connection.execute(schema_version.select()).all()
    assert [row.version for row in versions] == [m.version for m in migrations("sqlite")]


def test_a_newer_database_is_refused_with_what_to_do(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    with store.write() as connection:
        connection.execute(insert(schema_version).values(version=99, name="later", applied_ms=0))
    store.close()
    with pytest.raises(ConfigurationError, match="schema 99"):
        make_store(tmp_path)


def test_both_databases_have_the_same_numbered_migrations() -> None:
    numbered = [(m.version, m.name) for m in migrations("sqlite")]
    assert numbered == [(m.version, m.name) for m in migrations("postgresql")]
    versions = [version for version, _ in numbered]
    twice = sorted({version for version in versions if versions.count(version) > 1})
    assert twice == [], f"{FOLDER}: two migrations have one of these numbers; take a higher one"
    assert versions == sorted(versions)


def test_every_file_of_migrations_is_one() -> None:
    run = {f"{m.version:04}_{m.name}" for m in migrations("sqlite")}
    lost = sorted(file.name for file in FOLDER.glob("*.sql") if file.name.partition(".")[0] not in run)
    assert lost == [], f"{FOLDER}: the names of these are not NNNN_name[.sqlite|.postgresql].sql"


def test_every_table_compiles_for_postgresql() -> None:
    for table in metadata.sorted_tables:
        assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=POSTGRESQL))


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "no url", "nosuchdb://host/x"])
def test_a_url_that_cannot_work_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match="incidents url"):
        Store(url)


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_no_two_migrations_have_one_number(dialect: str) -> None:
    numbers = [step.version for step in migrations(dialect)]
    assert numbers == sorted(set(numbers)), "a later migration needs a number of its own: rename its files"
