"""The API: the feed, one incident, and what people do to it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from contracts.events import Origin, SiteConfigured
from contracts.findings import Phase, Severity
from tests.console.support import World, error_of
from tests.incidents.builders import SHA_A, T0, make_finding, still

pytestmark = pytest.mark.usefixtures("on_both")


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
    error_of(client.get("/api/v1/incidents/none?lang=en"), 404, "not_found")


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
    error_of(client.get("/api/v1/incidents?cursor=0-7"), 422, "bad_request")
    error_of(client.get("/api/v1/incidents?cursor=7&order=urgent"), 422, "bad_request")
    error_of(client.get("/api/v1/incidents?cursor=3-7&order=urgent"), 422, "bad_request")


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
    error_of(world.client("wang").get(f"/api/v1/incidents?{query}"), 422, "bad_request")


def test_who_comes_second_hears_who_was_first_in_words(world: World) -> None:
    world.add_people("wang", "li")
    (incident_id,) = world.take(make_finding())
    path = f"/api/v1/incidents/{incident_id}/actions"
    false_alarm = {"action": "mark_false", "reason": "permitted", "comment": "搬家", "version": 1}
    assert world.client("wang").post(path, json=false_alarm).json()["state_text"] == "误报"
    body = error_of(
        world.client("li").post(path + "?lang=en", json={"action": "handle", "version": 1}), 409, "conflict"
    )
    assert body["message"] == "wang marked it a false alarm at 10:13:20 (UTC+08:00)."
    assert (body["first"]["actor"], body["first"]["action"]) == ("wang", "mark_false")
    assert (body["incident"]["state"], body["incident"]["version"], body["incident"]["actions"]) == (
        "false_alarm",
        2,
        [],
    )
    error_of(world.client("li").post(path, json={"action": "handle", "version": 2}), 409, "not_allowed")


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
    error_of(client.post(f"/api/v1/incidents/{incident_id}/actions", json=body), status, code)
    assert client.get(f"/api/v1/incidents/{incident_id}").json()["incident"]["version"] == 1
