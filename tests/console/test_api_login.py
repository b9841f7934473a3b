"""The API: logging in, sessions, and what another site may not cause."""

from __future__ import annotations

import re

import pytest

from tests.console.support import HEADERS, PASSWORD, World, error_of
from tests.incidents.builders import make_finding

pytestmark = pytest.mark.usefixtures("on_both")


def test_logging_in_gives_a_cookie_that_scripts_and_other_sites_cannot_use(world: World) -> None:
    world.add_people("wang")
    client = world.client()
    answer = client.post("/api/v1/session", json={"name": "wang", "password": PASSWORD})
    assert answer.status_code == 200
    assert answer.json()["grants"] == [{"site_id": "s1", "role": "operator", "role_text": "值班"}]
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Path=/" in cookie
    assert client.get("/api/v1/incidents").status_code == 200
    assert client.delete("/api/v1/session").status_code == 204
    client.cookies.set("linli_session", re.findall(r"linli_session=([^;]+)", cookie)[0])
    error_of(client.get("/api/v1/incidents"), 401, "not_logged_in")


def test_a_wrong_name_and_a_wrong_password_are_told_apart_by_nothing(world: World) -> None:
    world.add_people("wang")
    client = world.client()
    answers = [
        client.post("/api/v1/session", json={"name": name, "password": "not the password"}).json()
        for name in ("wang", "nobody")
    ]
    assert answers[0] == answers[1]
    assert answers[0]["code"] == "login_refused"


def test_too_many_failures_wait_and_the_right_password_then_works(world: World) -> None:
    world.add_people("wang")
    client = world.client()
    for _ in range(5):
        client.post("/api/v1/session", json={"name": "wang", "password": "wrong wrong"})
    answer = client.post("/api/v1/session", json={"name": "wang", "password": PASSWORD})
    error_of(answer, 429, "too_many_tries")
    assert answer.headers["retry-after"] == "2"
    world.clock.advance(2000)
    assert client.post("/api/v1/session", json={"name": "wang", "password": PASSWORD}).status_code == 200


@pytest.mark.parametrize("advance_ms", [4 * 3_600_000, 12 * 3_600_000])
def test_a_session_ends_by_itself(world: World, advance_ms: int) -> None:
    world.add_people("wang")
    client = world.client("wang")
    world.clock.advance(advance_ms - 1)
    if advance_ms == 4 * 3_600_000:
        assert client.get("/api/v1/session").status_code == 200
    world.clock.advance(12 * 3_600_000)
    error_of(client.get("/api/v1/session"), 401, "not_logged_in")


@pytest.mark.parametrize(
    ("headers", "drop"),
    [({"Origin": "https://evil.example"}, False), ({}, True), ({"Origin": "null"}, False)],
)
def test_what_another_site_may_have_caused_is_refused(world: World, headers: dict[str, str], drop: bool) -> None:
    world.add_people("wang")
    (incident_id,) = world.take(make_finding())
    client = world.client("wang")
    if drop:
        del client.headers["X-Linli-Request"]
    body = {"action": "see", "version": 1}
    error_of(client.post(f"/api/v1/incidents/{incident_id}/actions", json=body, headers=headers), 403, "bad_origin")
    assert world.client("wang").get(f"/api/v1/incidents/{incident_id}").json()["incident"]["state"] == "new"


def test_the_own_origin_is_allowed(world: World) -> None:
    world.add_people("wang")
    (incident_id,) = world.take(make_finding())
    headers = {**HEADERS, "Origin": "http://testserver"}
    body = {"action": "see", "version": 1}
    answer = world.client("wang").post(f"/api/v1/incidents/{incident_id}/actions", json=body, headers=headers)
    assert answer.json()["state"] == "seen"
