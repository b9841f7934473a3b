"""The API: who may do what, rules, devices, health, and what every answer has."""

from __future__ import annotations

from typing import Any

import pytest

from console.api.routes_devices import alarms_now
from contracts.events import DeviceConfigured
from contracts.findings import Severity
from contracts.names import DeviceClass
from detectors.registry import rule_facts
from incidents.store.operator_alarms import Alarm, AlarmCode, raise_alarm
from inventory.last_seen import LastSeen
from tests.console.support import PEOPLE, World
from tests.incidents.builders import SHA_A, T0, make_finding

pytestmark = pytest.mark.usefixtures("on_both")


def _expected(name: str, site: str, request: str) -> int:
    role = PEOPLE[name].get(site) or PEOPLE[name].get("*")
    if role is None:
        return 404
    if request == "act":
        return 403 if role == "viewer" else 200
    return 200


@pytest.mark.parametrize("request_", ["read", "act"])
@pytest.mark.parametrize("site", ["s1", "s2"])
@pytest.mark.parametrize("name", sorted(PEOPLE))
def test_roles_and_sites_decide_what_everybody_may(world: World, name: str, site: str, request_: str) -> None:
    world.add_people(name)
    (incident_id,) = world.take(make_finding(site=site))
    client, path = world.client(name), f"/api/v1/incidents/{incident_id}"
    answer = (
        client.get(path) if request_ == "read" else client.post(f"{path}/actions", json={"action": "see", "version": 1})
    )
    assert answer.status_code == _expected(name, site, request_)
    listed = client.get("/api/v1/incidents").json()["incidents"]
    assert bool(listed) == (_expected(name, site, "read") == 200)
    devices = {device["site_id"] for device in client.get("/api/v1/devices").json()["devices"]}
    assert (site in devices) == (_expected(name, site, "read") == 200)
    sites = {row["site_id"] for row in client.get("/api/v1/sites").json()}
    assert (site in sites) == (_expected(name, site, "read") == 200)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/session"),
        ("DELETE", "/api/v1/session"),
        ("GET", "/api/v1/sites"),
        ("GET", "/api/v1/rules"),
        ("GET", "/api/v1/incidents"),
        ("GET", "/api/v1/incidents/x"),
        ("POST", "/api/v1/incidents/x/actions"),
        ("GET", "/api/v1/stream"),
        ("GET", f"/api/v1/evidence/{SHA_A}"),
        ("GET", "/api/v1/devices"),
        ("HEAD", f"/edge/v1/evidence/{SHA_A}"),
        ("PUT", f"/edge/v1/evidence/{SHA_A}"),
    ],
)
def test_nothing_is_answered_without_logging_in(world: World, method: str, path: str) -> None:
    body = {"action": "see", "version": 1} if method == "POST" else None
    answer = world.client().request(method, path, json=body)
    assert answer.status_code == 401


def test_every_route_is_in_the_list_of_those_that_need_a_login(world: World) -> None:
    open_to_all = {"/", "/page/{name}", "/api/v1/catalogue", "/api/v1/health"}
    known = {"/api/v1/session", "/api/v1/sites", "/api/v1/incidents", "/api/v1/incidents/{incident_id}",
             "/api/v1/incidents/{incident_id}/actions", "/api/v1/stream", "/api/v1/evidence/{sha256}",
             "/api/v1/rules", "/api/v1/devices", "/edge/v1/evidence/{sha256}"}  # fmt: skip
    assert set(world.app.openapi()["paths"]) | {"/", "/page/{name}"} == open_to_all | known


def test_the_rules_come_with_their_titles_and_the_most_urgent_first(world: World) -> None:
    world.add_people("wang")
    client = world.client("wang")
    rows = client.get("/api/v1/rules?lang=en").json()
    assert {row["name"] for row in rows} == set(rule_facts())
    ranks = [Severity(row["severity"]).rank for row in rows]
    assert ranks == sorted(ranks, reverse=True)
    titles = {row["name"]: row["title"] for row in client.get("/api/v1/rules?lang=zh-CN").json()}
    assert titles["stranger_entry"] == "陌生人进入"


def test_devices_show_when_they_were_last_heard_and_how_they_are(world: World) -> None:
    world.add_people("wang")
    base: dict[str, Any] = {"event_id": "c", "site_id": "s1", "source_id": "config", "place_id": "door-1", "at_ms": 0}
    for n, name in enumerate(("cam-1", "cam-2", "cam-3", "cam-4")):
        record = DeviceConfigured(
            **base, version=20 + n, device_id=name, device_class=DeviceClass.CAM, silent_after_ms=60_000
        )
        world.directory.apply(record)
    world.health.tell("s1", "cam-1", LastSeen(T0 - 1000, online=True))
    world.health.tell("s1", "cam-2", LastSeen(T0 - 61_000))
    world.health.tell("s1", "cam-3", LastSeen(T0 - 1000, online=False))
    world.health.tell("s1", "gate-1", LastSeen(T0 - 1000, healthy=False))
    rows = world.client("wang").get("/api/v1/devices?lang=en").json()["devices"]
    states = {row["device_id"]: row["state_text"] for row in rows}
    assert states == {
        "box-1": "never heard",
        "cam-1": "online",
        "cam-2": "silent",
        "cam-3": "offline",
        "cam-4": "never heard",
        "gate-1": "unhealthy",
    }
    (camera,) = [row for row in rows if row["device_id"] == "cam-1"]
    assert camera["last_heard"] == "2026-11-23T10:13:19.000+08:00"


def test_health_tells_everybody_whether_and_few_what(world: World) -> None:
    world.add_people("boss", "wang")
    assert world.client().get("/api/v1/health").json() == {
        "status": "ok", "now_ms": T0, "seq": 0, "nothing_judged_since_ms": None, "alarms": None, "figures": None,
    }  # fmt: skip
    with world.store.write() as connection:
        raise_alarm(connection, AlarmCode.RECEIVER_FAILING, "hook", "status 500", T0)
    assert world.client("wang").get("/api/v1/health").json()["alarms"] is None
    body = world.client("boss").get("/api/v1/health?lang=en").json()
    assert body["status"] == "degraded"
    assert [(a["code"], a["text"]) for a in body["alarms"]] == [("receiver_failing", "A receiver keeps failing")]


def test_every_answer_carries_the_security_headers(world: World) -> None:
    for path in ("/", "/api/v1/health", "/api/v1/incidents", "/nothing"):
        headers = world.client().get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_a_large_body_is_refused_before_it_is_read(world: World) -> None:
    answer = world.client().post("/api/v1/session", content=b"x" * 70_000)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    chunked = world.client().post("/api/v1/session", content=iter([b"{}"]))
    assert chunked.status_code == 413


def test_nothing_but_the_page_s_own_files_is_served(world: World) -> None:
    for path in ("/page/..%2fapi.py", "/page/api.py", "/page/%2e%2e/api.py", "/page/", "/etc/passwd"):
        assert world.client().get(path).status_code == 404


def test_health_says_what_this_process_knows_of_judging_before_what_is_stored() -> None:
    stored = Alarm(AlarmCode.NOTHING_JUDGED, "rules", "since then", 1, 2, 3)
    other = Alarm(AlarmCode.LOG_GAP, "log", "", 1, 2, 3)
    known = Alarm(AlarmCode.NOTHING_JUDGED, "rules", "since now", 9, 9, 1)
    assert alarms_now([stored, other], None) == [stored, other]
    assert alarms_now([stored, other], lambda: None) == [other]
    assert alarms_now([other], lambda: known) == [known, other]


def test_nothing_judged_is_told_to_everybody_who_is_logged_in_and_to_nobody_else(world: World) -> None:
    world.add_people("wang", "boss")
    with world.store.write() as connection:
        raise_alarm(connection, AlarmCode.NOTHING_JUDGED, "rules", "since then", 77)
    assert world.client().get("/api/v1/health").json()["nothing_judged_since_ms"] is None
    wang = world.client("wang").get("/api/v1/health").json()
    assert (wang["status"], wang["nothing_judged_since_ms"], wang["alarms"]) == ("degraded", 77, None)
    boss = world.client("boss").get("/api/v1/health").json()
    assert [alarm["code"] for alarm in boss["alarms"]] == ["nothing_judged"]
