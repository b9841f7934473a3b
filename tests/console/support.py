"""A console over a real store, with people of every role, for tests."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import msgspec
from fastapi import FastAPI

from app.wiring.rule_facts import finding_facts
from console.api.app import build_app
from console.api.server import Server, serve
from contracts.events import DeviceConfigured
from contracts.findings import Finding
from contracts.names import DeviceClass
from evidence.files import EvidenceFiles
from evidence.uploads import Uploads
from identity.box_credentials import BoxTokens
from identity.passwords import hash_password
from identity.roles import Role
from identity.users import Users
from incidents.alerts.actions import Actions
from incidents.intake.intake import Intake
from incidents.store import schema
from inventory.last_seen import MemoryHealth
from system.clock import wall_ms
from tests.incidents.builders import ManualClock, make_directory, make_store

PASSWORD = "a long password"
BOX_TOKEN = "box-token-1"
PEOPLE: dict[str, dict[str, Role]] = {
    "boss": {"*": Role.ADMIN},
    "wang": {"s1": Role.OPERATOR},
    "li": {"s1": Role.OPERATOR, "s2": Role.VIEWER},
    "zhao": {"s2": Role.SUPERVISOR},
    "sun": {"*": Role.VIEWER},
}
HEADERS = {"X-Linli-Request": "1"}


class _InProcess(httpx.BaseTransport):
    """Gives requests straight to the app, no socket between."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return asyncio.run(self._handle(request, request.read()))

    async def _handle(self, request: httpx.Request, body: bytes) -> httpx.Response:
        transport = httpx.ASGITransport(self._app, client=("127.0.0.1", 50_000))
        again = httpx.Request(request.method, request.url, headers=request.headers, content=body)
        answer = await transport.handle_async_request(again)
        return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())


class World:
    """Everything behind a console, with its own folder."""

    def __init__(self, folder: Path, clock: Any = None, **options: Any) -> None:
        self.clock = clock or ManualClock()
        self.store = make_store(folder)
        self.directory = make_directory("s1", "s2")
        self.health = MemoryHealth()
        self.intake = Intake(self.store, self.directory, finding_facts(), ["hook"], clock_ms=self.clock)
        self.actions = Actions(self.store, ("hook",), clock_ms=self.clock)
        self.users = Users(self.store, clock_ms=self.clock)
        self.files = EvidenceFiles(folder / "evidence")
        quota = options.pop("quota_bytes", 10_000_000)
        self.uploads = Uploads(self.store, self.files, quota_bytes=quota, clock_ms=self.clock)
        self.boxes = folder / "boxes.jsonl"
        self.add_box("box-1", "s1", BOX_TOKEN)
        self.app: FastAPI = build_app(
            store=self.store,
            actions=self.actions,
            users=self.users,
            directory=self.directory,
            health=self.health,
            uploads=self.uploads,
            boxes=BoxTokens(self.boxes),
            clock_ms=self.clock,
            **options,
        )

    def add_box(self, box_id: str, site_id: str, token: str) -> None:
        """Write a box's line, and put it into the inventory."""
        common = {"event_id": "c", "source_id": "config", "place_id": "door-1", "at_ms": 0, "version": 10}
        self.directory.apply(
            DeviceConfigured(**common, site_id=site_id, device_id=box_id, device_class=DeviceClass.EDGE)  # type: ignore[arg-type]
        )
        line = {"box_id": box_id, "site_id": site_id, "token_sha256": hashlib.sha256(token.encode()).hexdigest()}
        with self.boxes.open("ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")

    def add_people(self, *names: str) -> None:
        """Add some of PEOPLE."""
        for name in names:
            self.add_person(name, PEOPLE[name])

    def add_person(self, name: str, grants: Mapping[str, Role]) -> None:
        """Add somebody with these roles."""
        with self.store.write() as connection:
            row = {"name": name, "password_hash": _password_hash(), "created_ms": 0}
            connection.execute(schema.users.insert().values(row))
            for site_id, role in grants.items():
                connection.execute(schema.grants.insert().values(name=name, site_id=site_id, role=role.value))

    def take(self, *findings: Finding) -> list[str]:
        """Give findings to the intake; returns the incidents opened."""
        start = self.intake.cursor() + 1
        return self.intake.take(list(enumerate(findings, start=start))).opened

    def client(self, name: str | None = None) -> httpx.Client:
        """A client, logged in as ``name``; its session is made without the cost of a password."""
        client = httpx.Client(transport=_InProcess(self.app), base_url="http://testserver", headers=HEADERS)
        if name is not None:
            token, _ = self.users._start(name, self.clock())
            client.cookies.set("linli_session", token)
        return client


@cache
def _password_hash() -> str:
    return hash_password(PASSWORD)  # 50 ms of work: once for all tests, not once for each person in each of them


@contextmanager
def served(world: World) -> Iterator[Server]:
    """The world's console on a real port."""
    server = serve(world.app, "127.0.0.1", 0)
    try:
        yield server
    finally:
        server.stop()
        assert not server.is_alive()


def logged_in(server: Server, world: World, name: str) -> httpx.Client:
    """A real HTTP client, logged in."""
    token, _ = world.users._start(name, world.clock())
    return httpx.Client(base_url=server.url, headers=HEADERS, cookies={"linli_session": token}, timeout=10)


def wall_world(folder: Path, **options: Any) -> World:
    """A world by the wall clock, for tests that run servers."""
    return World(folder, wall_ms, **options)


def error_of(answer: Any, status: int, code: str) -> dict[str, Any]:
    """Return the body of an answer that must be this error, in words."""
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["message"]
    body: dict[str, Any] = answer.json()
    return body
