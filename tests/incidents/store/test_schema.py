"""The migrations make exactly the tables that the code reads, once, and refuse a newer database."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, MetaData, create_engine, insert
from sqlalchemy.engine import make_url
from sqlalchemy.schema import CreateTable

from contracts.errors import ConfigurationError
from incidents.store.migrate import migrations
from incidents.store.schema import metadata, schema_version
from incidents.store.store import Store
from tests.incidents.builders import make_store

POSTGRESQL = make_url("postgresql://").get_dialect()()


def _shape(made: MetaData) -> dict[str, object]:
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
    made, read = _shape(_reflected(tmp_path)), _shape(metadata)
    differing = sorted(name for name in {*made, *read} if made.get(name) != read.get(name))
    assert differing == [], "incidents/store: migrations and schema.py do not say the same of these tables"


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
    assert [version for version, _ in numbered] == sorted({version for version, _ in numbered})


def test_every_table_compiles_for_postgresql() -> None:
    for table in metadata.sorted_tables:
        assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=POSTGRESQL))


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "no url", "nosuchdb://host/x"])
def test_a_url_that_cannot_work_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match="incidents url"):
        Store(url)
