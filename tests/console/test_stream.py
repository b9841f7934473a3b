"""The live feed over a real server: resume without gaps or duplicates, scope, resync, and an end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from console.api.server import Server, serve
from contracts.errors import ConfigurationError
from contracts.incidents import AlertAction
from incidents.alerts.actions import Command
from incidents.store.changes import prune
from tests.console.support import World, logged_in, served, wall_world
from tests.incidents.builders import T0, make_finding

pytestmark = [pytest.mark.service, pytest.mark.usefixtures("on_both")]

Message = tuple[int, str, dict[str, Any]]


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = wall_world(tmp_path, heartbeat_s=0.2)
    world.add_people("boss", "wang", "sun")
    return world


def messages(client: httpx.Client, *, after: int | None = None, last: int | None = None) -> Iterator[Message]:
    """(id, event, data) as they come."""
    params = {} if after is None else {"after": after}
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    with client.stream("GET", "/api/v1/stream", params=params, headers=headers) as answer:
        assert answer.status_code == 200
        fields: dict[str, str] = {}
        for line in answer.iter_lines():
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "id" in fields:
                yield int(fields["id"]), fields["event"], msgspec.json.decode(fields["data"])
                fields = {}


def take_until(found: Iterator[Message], seq: int) -> list[Message]:
    """Messages other than beats, up to the one with ``seq``."""
    taken = []
    for message in found:
        if message[1] != "beat":
            taken.append(message)
        if message[0] >= seq:
            break
    return taken


def test_a_list_and_the_stream_after_it_miss_nothing(world: World) -> None:
    world.take(make_finding())
    with served(world) as server, logged_in(server, world, "wang") as client:
        seq = client.get("/api/v1/incidents").json()["seq"]
        world.take(make_finding(key="door-2"))
        (message,) = take_until(messages(client, after=seq), seq + 1)
    assert message[:2] == (seq + 1, "incident")
    assert message[2]["kind"] == "opened"
    assert message[2]["incident"]["state_text"] == "新"


def test_a_change_arrives_at_once_and_not_with_the_beat(tmp_path: Path) -> None:
    world = wall_world(tmp_path, heartbeat_s=60.0)
    world.add_people("wang")
    with served(world) as server, logged_in(server, world, "wang") as client:
        threading.Timer(0.3, world.take, (make_finding(),)).start()
        assert [m[0] for m in take_until(messages(client), 1)] == [1]


def test_a_reader_that_reconnects_again_and_again_gets_every_change_once(world: World) -> None:
    writers, each = 3, 15

    def write(writer: int) -> None:
        for n in range(each):
            world.intake.take([(n, make_finding(key=f"w{writer}-{n}", onset_ms=T0 + n))])

    with served(world) as server, logged_in(server, world, "boss") as client:
        threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
        for thread in threads:
            thread.start()
        seen: list[int] = []
        while len(seen) < writers * each:
            for count, message in enumerate(messages(client, last=seen[-1] if seen else 0)):
                if message[1] == "incident":
                    seen.append(message[0])
                if count == 6 or len(seen) == writers * each:
                    break
        for thread in threads:
            thread.join()
    assert seen == list(range(1, writers * each + 1))


def test_a_reader_sees_only_its_sites_and_still_moves_on(world: World) -> None:
    with served(world) as server, logged_in(server, world, "wang") as client:
        world.take(make_finding(site="s2"), make_finding(site="s2", key="door-2"))
        found = messages(client, after=0)
        seq, event, data = next(found)
        assert (seq, event, data) == (2, "beat", {})


def test_changes_that_are_no_longer_held_ask_for_a_resync(world: World) -> None:
    world.take(make_finding(), make_finding(key="door-2"), make_finding(key="door-3"))
    with world.store.write() as connection:
        assert prune(connection, 10**15) == 3
    world.take(make_finding(key="door-4"))
    with served(world) as server, logged_in(server, world, "wang") as client:
        assert next(messages(client, last=1))[:2] == (4, "resync")
        assert next(messages(client, last=3))[:2] == (4, "incident")
        assert next(messages(client, last=99))[:2] == (4, "resync")


def test_a_stream_ends_with_its_session_and_with_the_server(world: World) -> None:
    with served(world) as server, logged_in(server, world, "wang") as client, logged_in(server, world, "sun") as other:
        found, others = messages(client), messages(other)
        assert next(found)[1] == "beat"
        assert next(others)[1] == "beat"
        assert logged_in_again_is_not_needed(client)
        assert client.delete("/api/v1/session").status_code == 204
        assert [m for m in found if m[1] != "beat"] == []
        server.stop()
        assert [m for m in others if m[1] != "beat"] == []


def logged_in_again_is_not_needed(client: httpx.Client) -> bool:
    return client.get("/api/v1/session").status_code == 200


def test_an_action_reaches_everybody_who_watches(world: World) -> None:
    (incident_id,) = world.take(make_finding())
    with served(world) as server, logged_in(server, world, "sun") as client:
        world.actions.act("wang", Command(incident_id=incident_id, action=AlertAction.SEE, version=1))
        ((_, _, data),) = take_until(messages(client, after=1), 2)
    assert (data["kind"], data["incident"]["state"], data["incident"]["actions"]) == ("acted", "seen", [])


def test_a_taken_port_is_a_configuration_error(world: World) -> None:
    with served(world) as server:
        with pytest.raises(ConfigurationError, match=str(server.port)):
            serve(world.app, "127.0.0.1", server.port)
        assert isinstance(server, Server)
