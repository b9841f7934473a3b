"""Every route × role × site × state of the console answers as the tables say."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from contracts.events import DeviceConfigured
from contracts.events.envelope import event_header
from contracts.incidents import AlertAction, AlertState
from contracts.names import DeviceClass
from identity.roles import Role
from identity.users import SESSION_MS
from incidents.store.operator_alarms import AlarmCode, raise_alarm
from incidents.store.schema import incidents
from tests.access.page import PAGE, page
from tests.access.tables import ANSWERS, POSSIBLE, ROUTES, Caller, Line, Need, Shown
from tests.console.support import BOX_TOKEN, PASSWORD, World
from tests.incidents.builders import make_finding, still

PICTURE, MISSING = b"somebody at the door", b"a picture that a box still has"
SHA, MISSING_SHA = (hashlib.sha256(data).hexdigest() for data in (PICTURE, MISSING))
OTHER_TOKEN = "box-token-2"
OF_ROLE = {Caller.VIEWER: Role.VIEWER, Caller.OPERATOR: Role.OPERATOR, Caller.SUPERVISOR: Role.SUPERVISOR,
           Caller.ADMIN: Role.ADMIN}  # fmt: skip
MAY_SEE_ALARMS = {Role.OPERATOR, Role.SUPERVISOR, Role.ADMIN}


class _Matrix:
    """A console with an incident at s1 and people of every role: there, elsewhere, everywhere, and mixed."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder)
        self.world.add_box("box-2", "s2", OTHER_TOKEN)
        self.world.app.state.context.closing.set()  # a feed ends at once instead of never
        self.grants = {name: grants for name, _, grants in _people()}
        for name, grants in self.grants.items():
            self.world.add_person(name, grants)
        (self.incident,) = self.world.take(make_finding(evidence=(
            still(SHA, bytes=len(PICTURE)), still(MISSING_SHA, bytes=len(MISSING), evidence_id="ev2"),
        )))  # fmt: skip
        header = event_header("s1", "config", "door-1", 1, "c")
        gate = DeviceConfigured(**header, version=1, device_id="g1", device_class=DeviceClass.GATE)
        self.world.directory.apply(gate)
        with self.world.store.write() as connection:
            raise_alarm(connection, AlarmCode.LOG_GAP, "log", "positions 1 to 2", self.world.clock())
        assert self.ask("PUT /edge/v1/evidence/{sha256}", Line(Need.BOX), Caller.BOX, "").status_code == 201

    def client(self, caller: Caller, name: str) -> Any:
        if caller in {Caller.NOBODY, Caller.BOX, Caller.BOX_ELSEWHERE}:
            return self.world.client()
        client = self.world.client(name)
        if caller is Caller.ENDED:
            self.world.clock.advance(SESSION_MS + 1)
        if caller is Caller.REMOVED:
            self.world.users.remove(name, "boss")
        return client

    def ask(self, route: str, line: Line, caller: Caller, name: str, *, foreign: bool = False) -> Any:
        method, _, path = route.partition(" ")
        path = path.replace("{incident_id}", self.incident).replace("{name}", "index.html")
        path = path.replace("{sha256}", MISSING_SHA if line.way == "not sent yet" else SHA)
        client = self.client(caller, name)
        if foreign:
            del client.headers["X-Linli-Request"]
        token = {Caller.BOX: BOX_TOKEN, Caller.BOX_ELSEWHERE: OTHER_TOKEN}.get(caller)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if method == "PUT":
            headers["Content-Range"] = f"bytes 0-{len(PICTURE) - 1}/{len(PICTURE)}"
        return client.request(method, path, headers=headers, content=PICTURE if method == "PUT" else None,
                              json=self.body(route, line))  # fmt: skip

    def body(self, route: str, line: Line) -> dict[str, Any] | None:
        if route == "POST /api/v1/session":
            return {"name": "viewer here", "password": PASSWORD}
        if not route.endswith("/actions"):
            return None
        with self.world.store.read() as connection:
            version = connection.execute(select(incidents.c.version)).scalar()
        reason = {"reason": "other", "comment": "x"} if line.way == AlertAction.MARK_FALSE else {}
        return {"action": line.way, "version": version} | reason

    def stands(self, state: AlertState) -> None:
        """Let the alert stand so, whatever was done to it."""
        with self.world.store.write() as connection:
            connection.execute(update(incidents).values(state=state.value))


def _people() -> Iterator[tuple[str, Caller, dict[str, Role]]]:
    for caller, role in OF_ROLE.items():
        yield f"{role} here", caller, {"s1": role}
        yield f"{role} everywhere", caller, {"*": role}
        yield f"{role} elsewhere", Caller.ELSEWHERE, {"s2": role}
    yield "viewer here, admin elsewhere", Caller.VIEWER, {"s1": Role.VIEWER, "*": Role.ADMIN}
    yield "ended", Caller.ENDED, {"*": Role.ADMIN}
    yield "removed", Caller.REMOVED, {"*": Role.ADMIN}


CALLERS = [(name, caller) for name, caller, _ in _people()]
CALLERS += [(str(caller), caller) for caller in (Caller.NOBODY, Caller.BOX, Caller.BOX_ELSEWHERE)]
LINES = [(route, line) for route, lines in ROUTES.items() for line in lines]


@pytest.fixture
def matrix(tmp_path: Path) -> Iterator[_Matrix]:
    matrix = _Matrix(tmp_path)
    yield matrix
    matrix.world.store.close()


def _served(router: Any) -> Iterator[str]:
    """The routes of an application and of the routers in it."""
    for route in router.routes:
        if getattr(route, "path", None) is not None:
            yield from (f"{method} {route.path}" for method in route.methods)
        else:
            yield from _served(route.original_router)


def test_every_route_of_the_application_has_its_line_and_every_line_its_route(tmp_path: Path) -> None:
    served = set(_served(World(tmp_path).app))
    assert len(served) > 10
    assert served - set(ROUTES) == set(), "tests/access/tables.py: say in ROUTES who may ask these"
    assert set(ROUTES) - served == set(), "tests/access/tables.py: these routes are gone"


@pytest.mark.parametrize(("name", "caller"), CALLERS, ids=[name for name, _ in CALLERS])
def test_each_route_answers_each_caller_as_the_table_says(matrix: _Matrix, name: str, caller: Caller) -> None:
    wrong = []
    for route, line in LINES:
        matrix.stands(AlertState.NEW)
        answer = matrix.ask(route, line, caller, name)
        status = 200 if answer.is_success else answer.status_code
        if status != ANSWERS[line.need][caller]:
            wrong.append(f"{route} {line.way}: {answer.status_code}, not {ANSWERS[line.need][caller]}")
        if answer.is_success and line.shows is not None:
            shown = _shows(answer.json(), line.shows)
            if shown != _expected(matrix.grants.get(name, {}), line.shows, caller):
                wrong.append(f"{route}: shows {shown}")
        if caller is Caller.REMOVED:
            matrix.world.add_person(name, matrix.grants[name])
    assert wrong == []


def _shows(body: Any, what: Shown) -> bool:
    if what is Shown.ALARMS:
        return bool(body["alarms"])
    rows = body if isinstance(body, list) else next(value for value in body.values() if isinstance(value, list))
    return "s1" in {row["site_id"] for row in rows}


def _expected(grants: dict[str, Role], what: Shown, caller: Caller) -> bool:
    if caller in {Caller.ENDED, Caller.REMOVED}:
        return False
    if what is Shown.ALARMS:
        return grants.get("*") in MAY_SEE_ALARMS
    return bool({"s1", "*"} & set(grants))


@pytest.mark.parametrize(("route", "line"), [(r, one) for r, one in LINES if one.changes], ids=str)
def test_what_changes_something_is_refused_to_a_page_of_another_site(matrix: _Matrix, route: str, line: Line) -> None:
    answer = matrix.ask(route, line, Caller.ADMIN, "admin here", foreign=True)
    assert (answer.status_code, answer.json()["code"]) == (403, "bad_origin")


@pytest.mark.parametrize("state", AlertState)
def test_each_action_in_each_state_is_possible_as_the_table_says(matrix: _Matrix, state: AlertState) -> None:
    actions = {line.way: line for line in ROUTES["POST /api/v1/incidents/{incident_id}/actions"]}
    assert set(actions) == set(AlertAction)
    wrong = []
    who = [("viewer here", Caller.VIEWER), ("operator here", Caller.OPERATOR), ("supervisor here", Caller.SUPERVISOR),
           ("admin elsewhere", Caller.ELSEWHERE), ("nobody", Caller.NOBODY)]  # fmt: skip
    for (name, caller), (action, line) in itertools.product(who, actions.items()):
        matrix.stands(state)
        answer = matrix.ask("POST /api/v1/incidents/{incident_id}/actions", line, caller, name)
        expected = ANSWERS[line.need][caller]
        if expected == 200 and action not in POSSIBLE[state]:
            expected = 409
        if answer.status_code != expected:
            wrong.append(f"{name}, {action}: {answer.status_code}, not {expected}")
    assert wrong == []


def test_the_page_of_the_tables_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "docs/access.md is old: run `make schemas`"
