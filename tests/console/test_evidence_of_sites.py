"""Evidence is a site's: boxes and devices of another site can neither see, spoil nor ask for it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from evidence.store import SiteFile, evidence_of, is_present
from identity.box_credentials import BoxTokens
from incidents.store import schema
from tests.console.support import BOX_TOKEN, World
from tests.incidents.builders import make_finding, still

pytestmark = pytest.mark.usefixtures("on_both")

PICTURE = b"a picture of somebody at site s1"
SHA = hashlib.sha256(PICTURE).hexdigest()
OTHER_TOKEN = "box-token-2"


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.add_people("wang", "zhao", "boss")
    world.add_box("box-2", "s2", OTHER_TOKEN)
    return world


def _put(world: World, token: str, data: bytes, sha: str = SHA) -> Any:
    headers = {"Authorization": f"Bearer {token}", "Content-Range": f"bytes 0-{len(data) - 1}/{len(data)}"}
    return world.client().put(f"/edge/v1/evidence/{sha}", content=data, headers=headers)


def _head(world: World, token: str, sha: str = SHA) -> Any:
    return world.client().head(f"/edge/v1/evidence/{sha}", headers={"Authorization": f"Bearer {token}"})


def _name(world: World, site: str, size: int = len(PICTURE)) -> str:
    return world.take(make_finding(site=site, key=f"door-{site}", evidence=(still(SHA, bytes=size),)))[0]


def _states(world: World, incident_id: str) -> list[str]:
    with world.store.read() as connection:
        return [row.state.value for row in evidence_of(connection, incident_id)]


def test_wrong_bytes_of_another_sites_box_spoil_nothing(world: World) -> None:
    incident_id = _name(world, "s1")
    assert _put(world, OTHER_TOKEN, b"x" * len(PICTURE)).status_code == 422
    assert _states(world, incident_id) == ["pending"]
    assert _put(world, BOX_TOKEN, PICTURE).status_code == 201
    assert _put(world, OTHER_TOKEN, b"x" * len(PICTURE)).status_code == 422
    assert _states(world, incident_id) == ["present"]
    assert world.client("wang").get(f"/api/v1/evidence/{SHA}").content == PICTURE


def test_naming_a_hash_gives_no_right_to_bytes_that_another_site_sent(world: World) -> None:
    _name(world, "s1")
    _put(world, BOX_TOKEN, PICTURE)
    before = world.client("zhao").get(f"/api/v1/evidence/{SHA}")
    assert before.status_code == 404
    incident_id = _name(world, "s2")
    named = world.client("zhao").get(f"/api/v1/evidence/{SHA}")
    unknown = world.take(make_finding(site="s2", key="door-9", evidence=(still("b" * 64),)))
    never_came = world.client("zhao").get(f"/api/v1/evidence/{'b' * 64}")
    assert unknown and (named.status_code, named.json()) == (never_came.status_code, never_came.json())
    assert named.status_code == 404
    assert _states(world, incident_id) == ["pending"]
    assert world.client("wang").get(f"/api/v1/evidence/{SHA}").content == PICTURE


def test_a_box_of_another_site_is_told_nothing_of_what_is_here(world: World) -> None:
    _name(world, "s1")
    _put(world, BOX_TOKEN, PICTURE)
    here, nowhere = _head(world, OTHER_TOKEN), _head(world, OTHER_TOKEN, "b" * 64)
    assert (here.status_code, here.headers["upload-offset"]) == (nowhere.status_code, nowhere.headers["upload-offset"])
    answers = [_put(world, OTHER_TOKEN, b"x", sha).status_code for sha in (SHA, "b" * 64)]
    assert answers == [422, 422]
    assert _head(world, BOX_TOKEN).headers["upload-offset"] == str(len(PICTURE))


def test_a_site_that_has_the_bytes_itself_keeps_them_when_another_lets_go(world: World) -> None:
    ones = {"s1": _name(world, "s1"), "s2": _name(world, "s2")}
    _put(world, BOX_TOKEN, PICTURE)
    assert _put(world, OTHER_TOKEN, PICTURE).status_code == 201
    with world.store.write() as connection:
        late = update(schema.evidence).where(schema.evidence.c.site_id == "s2").values(settled_ms=world.clock() + 9000)
        connection.execute(late)
    world.clock.advance(5000)
    assert world.uploads.keep_house(retention_ms=4000) == 1
    assert [_states(world, one) for one in ones.values()] == [["expired"], ["present"]]
    assert world.client("wang").get(f"/api/v1/evidence/{SHA}").status_code == 404
    assert world.client("zhao").get(f"/api/v1/evidence/{SHA}").content == PICTURE
    world.clock.advance(20_000)
    assert world.uploads.keep_house(retention_ms=4000) == 1
    assert not world.files.has(SHA)


def test_what_came_before_sites_were_noted_is_the_site_of_its_box(world: World) -> None:
    row = {"sha256": SHA, "state": "present", "size_bytes": 9, "reason": "", "asked_ms": 1, "settled_ms": 1}
    with world.store.write() as connection:
        connection.execute(insert(schema.evidence).values(**row, site_id="", box_id="box-1"))
        connection.execute(insert(schema.evidence).values({**row, "sha256": "b" * 64, "site_id": "", "box_id": "gone"}))
    world.uploads.place(BoxTokens(world.boxes))
    with world.store.read() as connection:
        assert is_present(connection, SiteFile("s1", SHA))
        sites = connection.execute(select(schema.evidence.c.sha256, schema.evidence.c.site_id)).all()
        assert {(row.sha256, row.site_id) for row in sites} == {(SHA, "s1"), ("b" * 64, "")}
        assert not is_present(connection, SiteFile("s2", SHA))
