"""People who are removed or changed while an answer to them runs: it ends before another row goes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from console.api.session_watch import SessionWatch
from identity.roles import Role
from incidents.store import schema
from tests.console.support import World, logged_in, served, wall_world
from tests.console.test_stream import Message, messages
from tests.incidents.builders import make_finding

pytestmark = [pytest.mark.service, pytest.mark.usefixtures("on_both")]


def _remove(world: World) -> None:
    world.users.remove("wang")


def _change_password(world: World) -> None:
    world.users.set_password("wang", "another long password")


def _take_role_away(world: World) -> None:
    with world.store.write() as connection:
        connection.execute(update(schema.grants).where(schema.grants.c.name == "wang").values(site_id="s2"))


def _expire(world: World) -> None:
    with world.store.write() as connection:
        connection.execute(update(schema.sessions).where(schema.sessions.c.name == "wang").values(expires_ms=1))


REVOKED: dict[str, Callable[[World], None]] = {
    "removed": _remove,
    "another password": _change_password,
    "another site": _take_role_away,
    "session over": _expire,
}
"""Every way in which a person loses what they had."""


def _first_beat(found: Iterator[Message]) -> None:
    assert next(found)[1] == "beat"


@pytest.mark.parametrize("how", REVOKED)
def test_no_row_goes_out_to_somebody_who_lost_the_right_to_it(tmp_path: Path, how: str) -> None:
    world = wall_world(tmp_path, heartbeat_s=0.2)
    world.add_people("wang")
    with served(world) as server, logged_in(server, world, "wang") as client:
        found = messages(client)
        _first_beat(found)
        REVOKED[how](world)
        world.take(make_finding())
        assert [message for message in found if message[1] == "incident"] == []


def test_a_feed_that_is_busy_with_other_sites_ends_with_its_person_too(tmp_path: Path) -> None:
    world = wall_world(tmp_path, heartbeat_s=0.2)
    world.add_people("wang")
    with served(world) as server, logged_in(server, world, "wang") as client:
        found = messages(client)
        _first_beat(found)
        _remove(world)
        for n in range(5):
            world.take(make_finding(site="s2", key=f"door-{n}"))
        assert [message for message in found if message[1] == "incident"] == []


def test_what_is_left_of_a_picture_is_not_given_to_somebody_who_was_removed(tmp_path: Path) -> None:
    world = wall_world(tmp_path)
    world.users.add("wang", "a long password", {"s1": Role.OPERATOR})
    token, session = world.users.log_in("wang", "a long password", "")
    pieces = SessionWatch(world.users, token, session, every_s=0).guard(iter([b"a", b"b", b"c"]))
    assert next(pieces) == b"a"
    world.users.remove("wang")
    assert list(pieces) == []
