"""The API: sessions, the feed, one incident, actions, devices, health, and what it refuses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from contracts.events import DeviceConfigured, Origin, SiteConfigured
from contracts.findings import Phase, Severity
from contracts.names import DeviceClass
from detectors.registry import rule_facts
from incidents.store.operator_alarms import AlarmCode, raise_alarm
from inventory.last_seen import LastSeen
from tests.console.support import HEADERS, PASSWORD, PEOPLE, World
from tests.incidents.builders import SHA_A, T0, make_finding, still

pytestmark = pytest.mark.usefixtures("on_both")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def _error(answer: Any, status: int, code: str) -> dict[str, Any]:
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["message"]
    body: dict[str, Any] = answer.json()
    return body


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
    _error(client.get("/api/v1/incidents"), 401, "not_logged_in")


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
    _error(answer, 429, "too_many_tries")
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
    _error(client.get("/api/v1/session"), 401, "not_logged_in")


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
    _error(client.post(f"/api/v1/incidents/{incident_id}/actions", json=body, headers=headers), 403, "bad_origin")
    assert world.client("wang").get(f"/api/v1/incidents/{incident_id}").json()["incident"]["state"] == "new"


def test_the_own_origin_is_allowed(world: World) -> None:
    world.add_people("wang")
    (incident_id,) = world.take(make_finding())
    headers = {**HEADERS, "Origin": "http://testserver"}
    body = {"action": "see", "version": 1}
    answer = world.client("wang").post(f"/api/v1/incidents/{incident_id}/actions", json=body, headers=headers)
    assert answer.json()["state"] == "seen"


def test_a_row_says_everything_in_words_and_site_time(world: World) -> None:
    world.add_people("wang")
    world.take(make_finding(source_id="gate-1"))
    (row,) = world.client("wang").get("/api/v1/incidents?lang=zh-CN").json()["incidents"]
    assert row["number"] == "20261123-0001"
    assert row["sentence"] == "有人未凭自己的凭证通过1号楼 2单元 单元门。"
    assert (row["scenario_text"], row["severity_text"], row["state_text"]) == ("陌生人进入", "重要", "新")
    assert (row["onset"], row["site_name"], row["device"]) == ("2026-11-23T10:13:20.000+08:00", "s1花园", "门禁一")
    assert row["actions"] == ["see", "handle", "mark_false"]


def test_language_follows_the_query_then_the_header_then_the_console(world: World) -> None:
    world.add_people("wang")
    world.take(make_finding())
    client = world.client("wang")
    asked = [("?lang=en", "zh"), ("", "en-GB,zh;q=0.5"), ("", "fr"), ("?lang=xx", "en")]
    texts = [
        client.get(f"/api/v1/incidents{query}", headers={"Accept-Language": accept}).json()["incidents"][0][
            "state_text"
        ]
        for query, accept in asked
    ]
    assert texts == ["new", "new", "新", "new"]
    _error(client.get("/api/v1/incidents/none?lang=en"), 404, "not_found")


def test_an_incident_explains_itself(world: World) -> None:
    world.add_people("wang")
    (incident_id,) = world.take(
        make_finding(evidence=(still(),)),
        make_finding(nth=1, phase=Phase.UPDATE, severity=Severity.CRITICAL),
    )
    detail = world.client("wang").get(f"/api/v1/incidents/{incident_id}?lang=en").json()
    first, second = detail["findings"]
    assert first["facts"][0]["text"] == "gap_s: 3.2 s (limit 5 s)"
    assert (second["phase"], second["severity_text"]) == ("update", "critical")
    assert [(e["sha256"], e["state"], e["state_text"]) for e in detail["evidence"]] == [
        (SHA_A, "pending", "waiting for upload")
    ]
    (step,) = detail["history"]
    assert (step["actor"], step["by_system"], step["action_text"]) == ("system", True, "raised its severity")


def test_an_incident_that_recurs_shows_the_one_before(world: World) -> None:
    world.add_people("wang")
    (first,) = world.take(make_finding())
    client = world.client("wang")
    client.post(f"/api/v1/incidents/{first}/actions", json={"action": "handle", "version": 1})
    (second,) = world.take(make_finding(onset_ms=T0 + 1000))
    earlier = client.get(f"/api/v1/incidents/{second}").json()["earlier"]
    assert (earlier["incident_id"], earlier["state"]) == (first, "handled")
    assert client.get(f"/api/v1/incidents/{first}").json()["earlier"] is None


def test_filters_search_and_cursor_give_every_row_once(world: World) -> None:
    world.add_people("boss")
    world.take(*(make_finding(key=f"k{n}", onset_ms=T0 + n * 1000) for n in range(7)))
    world.take(make_finding(site="s2", rule="smoke_or_heat", key="r1203"))
    client = world.client("boss")

    def ids(query: str) -> list[str]:
        return [row["incident_id"] for row in client.get(f"/api/v1/incidents?{query}").json()["incidents"]]

    everything = ids("")
    assert len(everything) == 8
    assert ids("site=s2") == ids("scenario=smoke_or_heat") == ids("severity=critical") == everything[:1]
    assert len(ids("site=s1&site=s2&min_severity=major")) == 8
    assert len(ids(f"from={T0 + 5000}")) == 2
    assert len(ids(f"to={T0 + 1000}")) == 2
    assert ids("q=1号楼") == everything[:1]
    assert ids("q=20261123-0003&site=s1") == [everything[5]]
    assert ids("q=%25") == []
    assert ids("state=handled") == []
    assert _paged(client, "limit=3") == everything


def test_urgent_rows_come_first_on_every_page_and_each_row_once(world: World) -> None:
    world.add_people("boss")
    minute = 60_000
    kinds: list[dict[str, Any]] = [
        {"rule": "smoke_or_heat"},
        {},
        {"rule": "smoke_or_heat", "origin": Origin.DRILL},
        {"rule": "smoke_or_heat"},
        {"severity": Severity.MINOR},
        {"rule": "smoke_or_heat"},
        {},
    ]
    opened = [
        world.take(make_finding(key=f"k{n}", onset_ms=T0 + n * minute, **kind))[0] for n, kind in enumerate(kinds)
    ]
    client = world.client("boss")
    client.post(f"/api/v1/incidents/{opened[3]}/actions", json={"action": "handle", "version": 1})
    wanted = [opened[n] for n in (5, 0, 2, 6, 4, 3, 1)]
    for limit in range(1, 9):
        assert _paged(client, f"order=urgent&limit={limit}") == wanted
        assert _paged(client, f"limit={limit}") == opened[::-1]
    rows = client.get("/api/v1/incidents?order=urgent").json()["incidents"]
    assert [row["precedence"] for row in rows] == [0, 0, 1, 2, 2, 2, 2]
    assert _paged(client, "order=urgent&limit=2&state=handled") == [opened[3]]


def _paged(client: httpx.Client, query: str) -> list[str]:
    """The ids of all pages."""
    found, cursor = [], ""
    while True:
        page = client.get(f"/api/v1/incidents?{query}{cursor}").json()
        found += [row["incident_id"] for row in page["incidents"]]
        if page["cursor"] is None:
            return found
        cursor = f"&cursor={page['cursor']}"


def test_a_cursor_of_the_other_order_is_refused(world: World) -> None:
    world.add_people("wang")
    client = world.client("wang")
    _error(client.get("/api/v1/incidents?cursor=0-7"), 422, "bad_request")
    _error(client.get("/api/v1/incidents?cursor=7&order=urgent"), 422, "bad_request")
    _error(client.get("/api/v1/incidents?cursor=3-7&order=urgent"), 422, "bad_request")


def test_a_site_whose_zone_does_not_exist_is_shown_the_one_in_force(world: World) -> None:
    world.add_people("boss")
    for record in (_site("s1", "Europe/Berlin"), _site("s2", "Mars/Olympus")):
        world.directory.apply(record)
    sites = world.client("boss").get("/api/v1/sites").json()
    assert [site["time_zone"] for site in sites] == ["Europe/Berlin", "Asia/Shanghai"]


def _site(site_id: str, zone: str) -> SiteConfigured:
    return SiteConfigured(
        event_id="c",
        site_id=site_id,
        source_id="config",
        place_id=site_id,
        at_ms=0,
        version=20,
        name=site_id,
        time_zone=zone,
    )


@pytest.mark.parametrize(
    "query", ["state=odd", "limit=0", "limit=999", "cursor=x", "order=odd", "from=-1", "severity=9", "q=" + "x" * 201]
)
def test_a_malformed_query_is_refused(world: World, query: str) -> None:
    world.add_people("wang")
    _error(world.client("wang").get(f"/api/v1/incidents?{query}"), 422, "bad_request")


def test_who_comes_second_hears_who_was_first_in_words(world: World) -> None:
    world.add_people("wang", "li")
    (incident_id,) = world.take(make_finding())
    path = f"/api/v1/incidents/{incident_id}/actions"
    false_alarm = {"action": "mark_false", "reason": "permitted", "comment": "搬家", "version": 1}
    assert world.client("wang").post(path, json=false_alarm).json()["state_text"] == "误报"
    body = _error(world.client("li").post(path + "?lang=en", json={"action": "handle", "version": 1}), 409, "conflict")
    assert body["message"] == "wang marked it a false alarm at 10:13:20 (UTC+08:00)."
    assert (body["first"]["actor"], body["first"]["action"]) == ("wang", "mark_false")
    assert (body["incident"]["state"], body["incident"]["version"], body["incident"]["actions"]) == (
        "false_alarm",
        2,
        [],
    )
    _error(world.client("li").post(path, json={"action": "handle", "version": 2}), 409, "not_allowed")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"action": "mark_false", "version": 1}, 422, "out_of_range"),
        ({"action": "handle", "version": 1, "reason": "permitted"}, 422, "out_of_range"),
        ({"action": "retract", "version": 1}, 409, "not_allowed"),
        ({"action": "dance", "version": 1}, 422, "bad_request"),
        ({"action": "see", "version": 0}, 422, "bad_request"),
        ({"action": "see", "version": 1, "extra": 1}, 422, "bad_request"),
        ({"action": "see", "version": 1, "comment": "x" * 2001}, 422, "bad_request"),
        ({"action": "promote", "version": 1}, 403, "forbidden"),
    ],
)
def test_an_action_that_is_wrong_changes_nothing(world: World, body: dict[str, Any], status: int, code: str) -> None:
    world.add_people("wang")
    (incident_id,) = world.take(make_finding())
    client = world.client("wang")
    _error(client.post(f"/api/v1/incidents/{incident_id}/actions", json=body), status, code)
    assert client.get(f"/api/v1/incidents/{incident_id}").json()["incident"]["version"] == 1


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
        "cam-1": "online",
        "cam-2": "silent",
        "cam-3": "offline",
        "cam-4": "never heard",
        "gate-1": "unhealthy",
    }
    assert rows[0]["last_heard"] == "2026-11-23T10:13:19.000+08:00"


def test_health_tells_everybody_whether_and_few_what(world: World) -> None:
    world.add_people("boss", "wang")
    assert world.client().get("/api/v1/health").json() == {
        "status": "ok", "now_ms": T0, "seq": 0, "alarms": None, "figures": None,
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
