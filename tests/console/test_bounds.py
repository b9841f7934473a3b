"""Whatever a request carries, the answer is one of the API's with its headers: never 500, never without them."""

from __future__ import annotations

import socket
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from console.api.openapi import openapi_json
from console.api.security_headers import HEADERS
from tests.console.support import World, served, wall_world
from tests.incidents.builders import make_finding

pytestmark = pytest.mark.usefixtures("on_both")

NUMBERS = [-1, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, 10**30, 10**400]
TEXTS = ["\x00", "a\x00b", "x" * 5000, "%", "'", '"\\_%', "😀", "../../etc/passwd", "１２", "\n", "nan", "1e5", ""]
DOCUMENT = msgspec.json.decode(openapi_json())
QUERIES: list[tuple[str, str, dict[str, Any]]] = [
    (path, parameter["name"], parameter["schema"])
    for path, methods in DOCUMENT["paths"].items()
    for operation in methods.values()
    for parameter in operation.get("parameters", [])
    if parameter["in"] == "query"
]
"""(path, name, schema) of every parameter of a query."""


def _leaves(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every schema of one value in a schema."""
    for inner in schema.get("anyOf", []):
        yield from _leaves(inner)
    if schema.get("type") == "array":
        assert "maxItems" in schema
        yield from _leaves(schema["items"])
    elif "$ref" in schema:
        assert "enum" in DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    elif "anyOf" not in schema:
        yield schema


def _taken() -> Iterator[tuple[str, dict[str, Any]]]:
    """Whatever the API takes: parameters, and fields of bodies."""
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            for parameter in operation.get("parameters", []):
                yield f"{path} {parameter['name']}", parameter["schema"]
    for body in ("ActionIn", "Credentials"):
        for name, schema in DOCUMENT["components"]["schemas"][body]["properties"].items():
            yield f"{body}.{name}", schema


def test_every_number_and_text_that_the_api_takes_has_bounds() -> None:
    unbounded = []
    for name, schema in _taken():
        for leaf in _leaves(schema):
            if leaf.get("type") == "integer" and not {"minimum", "maximum"} <= set(leaf):
                unbounded.append(name)
            if leaf.get("type") == "string" and "maxLength" not in leaf:
                unbounded.append(name)
    assert unbounded == []


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.add_people("boss")
    world.take(make_finding())
    return world


def _is_answered(answer: Any) -> bool:
    """Whether this is an answer of the API."""
    return answer.status_code < 500 and set(map(str.lower, HEADERS)) <= set(answer.headers)


def test_no_query_is_answered_by_an_error_of_ours(world: World) -> None:
    client = world.client("boss")
    for path, name, _schema in [*QUERIES, ("/api/v1/incidents", "lang", {}), ("/api/v1/incidents", "unknown", {})]:
        if path == "/api/v1/stream":
            continue  # a good one never ends
        at = path.replace("{sha256}", "a" * 64).replace("{incident_id}", "nothing")
        for value in [*map(str, NUMBERS), *TEXTS]:
            answer = client.get(f"{at}?{name}={urllib.parse.quote(value)}")
            assert _is_answered(answer), (path, name, value[:40], answer.status_code)


def test_a_number_out_of_its_range_is_refused(world: World) -> None:
    client, numbers = world.client("boss"), [(-1), 2**63 - 1, 10**400]
    wanted = [("/api/v1/incidents", "from"), ("/api/v1/incidents", "to"), ("/api/v1/incidents", "limit"),
              ("/api/v1/stream", "after")]  # fmt: skip
    assert {(path, name) for path, name, schema in QUERIES if "integer" in str(schema)} == set(wanted)
    for path, name in wanted:
        assert [client.get(f"{path}?{name}={number}").status_code for number in numbers] == [422] * 3


def test_no_path_is_answered_by_an_error_of_ours(world: World) -> None:
    client = world.client("boss")
    for value in TEXTS:
        for path in ("/api/v1/incidents/{}", "/api/v1/evidence/{}", "/edge/v1/evidence/{}", "/page/{}", "/{}"):
            answer = client.get(path.format(urllib.parse.quote(value, safe="")))
            assert _is_answered(answer), (path, value[:40], answer.status_code)


def test_no_body_is_answered_by_an_error_of_ours(world: World) -> None:
    client = world.client("boss")
    (incident_id,) = (row["incident_id"] for row in client.get("/api/v1/incidents").json()["incidents"])
    texts = ["a\\u0000b", "\\ud800", "x" * 3000, "\\u202e", "😀"]
    bodies = [f'{{"name": "{text}", "password": "{text}"}}' for text in texts]
    acts = [f'{{"action": "mark_false", "version": 1, "reason": "other", "comment": "{text}"}}' for text in texts[:3]]
    acts += [f'{{"action": "see", "version": {number}}}' for number in NUMBERS]
    odd = ["[" * 30_000 + "]" * 30_000, "", "null", "\xff"]
    headers = {"Content-Type": "application/json"}
    for path, some in (("/api/v1/session", bodies), (f"/api/v1/incidents/{incident_id}/actions", acts)):
        for body in [*some, *odd]:
            answer = client.post(path, content=body.encode("latin-1" if body == "\xff" else "utf-8"), headers=headers)
            assert _is_answered(answer), (path, body[:60], answer.status_code)


@pytest.mark.service
def test_an_error_of_ours_has_the_headers_too_and_so_has_what_is_no_http(tmp_path: Path) -> None:
    world = wall_world(tmp_path)

    def broken() -> None:
        raise ZeroDivisionError

    world.app.add_api_route("/broken", broken)
    with served(world) as server:
        for request in (b"GET /broken HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"no http\r\n\r\n"):
            with socket.create_connection((server.host, server.port), timeout=60) as client:
                client.sendall(request)
                answer = b"".join(iter(lambda: client.recv(65_536), b"")).lower()
            assert answer.startswith((b"http/1.1 500", b"http/1.1 400"))
            assert [name for name in HEADERS if name.lower().encode() + b": " not in answer] == []
