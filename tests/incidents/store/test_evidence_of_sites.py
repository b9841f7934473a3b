"""Evidence of a database that knew no sites goes to the sites that name it."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, create_engine, text

from incidents.store import migrate as migrate_module
from incidents.store.migrate import migrate, migrations
from incidents.store.schema import schema_version

BEFORE = 30


def _insert(connection: Connection, table: str, **values: object) -> None:
    names, places = ", ".join(values), ", ".join(f":{name}" for name in values)
    connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({places})"), values)


def _incident(connection: Connection, n: int, site_id: str, *hashes: str) -> None:
    columns = connection.execute(text("SELECT name FROM pragma_table_info('incidents')")).scalars().all()
    known = {"incident_id": f"i{n}", "site_id": site_id, "ordinal": n, "number": str(n)}
    _insert(connection, "incidents", **{column: known.get(column, 0) for column in columns})
    for sha256 in hashes:
        link = {"incident_id": f"i{n}", "sha256": sha256, "evidence_id": "e", "kind": "still", "mime": "m"}
        _insert(connection, "incident_evidence", **link, size_bytes=1, from_ms=1, to_ms=1)


def test_old_evidence_goes_to_every_site_that_names_it_and_the_rest_to_none(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'incidents.db'}")
    with engine.begin() as connection:
        for step in migrations("sqlite"):
            if step.version <= BEFORE:
                schema_version.create(connection, checkfirst=True)
                migrate_module._apply(connection, step, 1)
        for sha256, state in (("a", "present"), ("b", "pending"), ("c", "present"), ("d", "expired")):
            row = {"sha256": sha256, "state": state, "size_bytes": 7, "box_id": "box", "reason": "r", "asked_ms": 2}
            _insert(connection, "evidence", **row, settled_ms=3)
        _incident(connection, 1, "s1", "a", "b")
        _incident(connection, 2, "s1", "a")
        _incident(connection, 3, "s2", "a")
        migrate(connection, 5)
        rows = connection.execute(text("SELECT * FROM evidence ORDER BY sha256, site_id")).mappings().all()
    kept = {"size_bytes": 7, "box_id": "box", "reason": "r", "asked_ms": 2, "settled_ms": 3}
    assert [dict(row) for row in rows] == [
        {"site_id": "s1", "sha256": "a", "state": "present", **kept},
        {"site_id": "s2", "sha256": "a", "state": "present", **kept},
        {"site_id": "s1", "sha256": "b", "state": "pending", **kept},
        {"site_id": "", "sha256": "c", "state": "present", **kept},
        {"site_id": "", "sha256": "d", "state": "expired", **kept},
    ]
