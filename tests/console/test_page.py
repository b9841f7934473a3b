"""The page in Chromium: log in, see an incident arrive, open it, look at it, decide, and lose a race politely."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route, expect

from console.api.server import Server
from console.catalogue import catalogue
from contracts.findings import Fact, Phase, Subject, SubjectKind
from contracts.incidents import AlertAction
from detectors.registry import rule_facts
from evidence.content_range import ContentRange
from evidence.uploads import name_of
from identity.box_credentials import Box
from incidents.alerts.actions import Command
from incidents.store.history import history_of
from system.clock import wall_ms
from tests.console.browsing import NEEDS_CHROMIUM, log_in, picture
from tests.console.support import World, served, wall_world
from tests.incidents.builders import make_finding, still

JPEG = bytes.fromhex(
    "ffd8ffe000104a46494600010100000100010000ffdb004300" + "08" * 64 + "ffc0000b080001000101011100ffc4001400010000000"
    "0000000000000000000000008ffc40014100100000000000000000000000000000000ffda0008010100003f0037ffd9"
)

pytestmark = NEEDS_CHROMIUM


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = wall_world(tmp_path, heartbeat_s=1.0)
    world.add_people("wang", "li")
    return world


@pytest.fixture
def server(world: World) -> Iterator[Server]:
    with served(world) as running:
        yield running


def fall(world: World, *, key: str = "r1203") -> str:
    """A fall with a still that has arrived."""
    sha256 = hashlib.sha256(JPEG).hexdigest()
    finding = make_finding(
        rule="high_altitude_throw",
        key=key,
        onset_ms=wall_ms() - 2000,
        subject=Subject(SubjectKind.PLACE, key),
        source_id="gate-1",
        facts=(
            Fact(code="drop_m", value=31.4, unit="m"),
            Fact(code="gravity_ms2", value=9.62, unit="m/s²", limit=7.0),
            Fact(code="calibrated", value=True),
        ),
        evidence=(still(sha256, bytes=len(JPEG)),),
    )
    (incident_id,) = world.take(finding)
    box = Box("box-1", "s1", "0" * 64)
    assert world.uploads.begin(box, sha256, ContentRange(0, len(JPEG), len(JPEG)))
    with world.files.upload(name_of(box), sha256, 0) as part:
        part.append(JPEG)
    assert world.uploads.end(box, sha256, len(JPEG))
    return incident_id


def test_the_feed_is_filtered_by_any_of_the_rules_in_the_readers_language(browser: Browser, server: Server) -> None:
    page = log_in(browser, server, "wang", language="zh-CN")
    options = page.locator("#filter-scenario option")
    expect(options).to_have_count(1 + len(rule_facts()))
    assert set(options.all_text_contents()[1:]) == {catalogue("zh-CN").word("scenario", rule) for rule in rule_facts()}
    page.select_option("#filter-scenario", "stranger_entry")
    expect(page.locator("#lamp")).to_have_text("实时")


def test_an_incident_arrives_live_is_opened_and_marked_a_false_alarm_for_all_to_see(
    browser: Browser, server: Server, world: World
) -> None:
    wang, li = log_in(browser, server, "wang"), log_in(browser, server, "li")
    expect(wang.locator(".row")).to_have_count(0)
    incident_id = fall(world)
    for page in (wang, li):
        row = page.locator(".row")
        expect(row).to_have_count(1)
        expect(row).to_contain_text("Object thrown from height")
        row.click()
        expect(page.locator("#detail")).to_contain_text("measured acceleration 9.62 m/s² (limit 7 m/s²)")
        expect(page.locator("#detail img")).to_be_visible()
    picture(wang, "detail")
    wang.keyboard.press("f")
    expect(wang.locator("#reason-form")).to_be_visible()
    wang.check("input[value=mistaken_object]")
    wang.fill("#comment", "a paper bag")
    picture(wang, "reason")
    wang.click("#confirm-false")
    expect(wang.locator("#detail .st-false_alarm").first).to_be_visible()
    expect(wang.locator("#detail")).to_contain_text("a paper bag")
    expect(li.locator("#detail")).to_contain_text("wang marked it a false alarm")
    expect(li.locator("#do-handle")).to_have_count(0)
    with world.store.read() as connection:
        (step,) = history_of(connection, incident_id)
    assert (step.actor, step.reason, step.comment) == ("wang", "mistaken_object", "a paper bag")


def test_who_comes_second_sees_who_was_first(browser: Browser, server: Server, world: World) -> None:
    incident_id = fall(world)
    page = log_in(browser, server, "li")
    page.locator(".row").click()
    expect(page.locator("#do-handle")).to_be_visible()
    # The page hears of wang's step only by its own request: the stream is held while the action is under way.
    page.route("**/actions*", lambda route: wang_is_faster(world, incident_id, route))
    page.keyboard.press("h")
    expect(page.locator("#toast")).to_contain_text("wang marked it handled at ")
    expect(page.locator("#detail .st-handled").first).to_be_visible()
    picture(page, "conflict")


def wang_is_faster(world: World, incident_id: str, route: Route) -> None:
    """Wang acts between the press of the key and the arrival of its request."""
    world.actions.act("wang", Command(incident_id=incident_id, action=AlertAction.HANDLE, version=1))
    route.continue_()


def test_the_keyboard_moves_and_decides(browser: Browser, server: Server, world: World) -> None:
    now_ms = wall_ms()
    world.take(*(make_finding(key=f"k{n}", onset_ms=now_ms + n) for n in range(3)))
    page = log_in(browser, server, "wang")
    expect(page.locator(".row")).to_have_count(3)
    for key in ("j", "j"):
        page.keyboard.press(key)
    expect(page.locator(".row").nth(1)).to_have_class("row sev-major st-new selected")
    page.keyboard.press("s")
    expect(page.locator(".row").nth(1)).to_have_class("row sev-major st-seen selected")
    page.keyboard.press("k")
    expect(page.locator(".row").nth(0)).to_have_class("row sev-major st-new selected")
    page.keyboard.press("h")
    expect(page.locator("#detail .st-handled").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".row")).to_have_count(2)


def test_folded_rows_open_filters_filter_and_the_language_switches(
    browser: Browser, server: Server, world: World
) -> None:
    world.take(*(make_finding(key=f"k{n}") for n in range(24)), make_finding(rule="smoke_or_heat", key="r1203"))
    page = log_in(browser, server, "wang", language="zh-CN")
    expect(page.locator(".row")).to_have_count(21)
    expect(page.locator(".fold")).to_have_text("还有 4 条同时段告警")
    page.locator(".fold").click()
    expect(page.locator(".row")).to_have_count(25)
    page.select_option("#filter-min_severity", "critical")
    expect(page.locator(".row")).to_have_count(1)
    expect(page.locator(".row")).to_contain_text("烟雾或高温")
    page.click("#language")
    expect(page.locator("#lamp")).to_have_text("Live")
    expect(page.locator(".row").first).to_contain_text("Smoke or heat")


def test_a_lost_server_is_shown_and_the_feed_goes_on_when_it_is_back(browser: Browser, world: World) -> None:
    with served(world) as server:
        page = log_in(browser, server, "wang")
        page.context.set_offline(True)
        world.take(make_finding(onset_ms=wall_ms()))
        page.context.set_offline(False)
        expect(page.locator(".row")).to_have_count(1, timeout=15_000)


def test_it_reads_well_on_a_phone(browser: Browser, server: Server, world: World) -> None:
    fall(world)
    world.take(
        make_finding(onset_ms=wall_ms() - 9000, verified=False),
        make_finding(onset_ms=wall_ms() - 9000, nth=1, phase=Phase.UPDATE, verified=False),
    )
    page = log_in(browser, server, "wang", language="zh-CN", width=390)
    expect(page.locator(".row")).to_have_count(2)
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390
    picture(page, "phone-list")
    page.locator(".row").first.click()
    expect(page.locator("#do-handle")).to_be_visible()
    expect(page.locator(".feed")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    picture(page, "phone-detail")
    page.locator(".back").click()
    expect(page.locator(".feed")).to_be_visible()


def test_devices_and_health_are_a_tab_away(browser: Browser, server: Server, world: World) -> None:
    page = log_in(browser, server, "wang")
    page.click("a[data-view=devices]")
    expect(page.locator(".table-view")).to_contain_text("门禁一")
    expect(page.locator(".table-view")).to_contain_text("never heard")
    picture(page, "devices")
    page.click("a[data-view=health]")
    expect(page.locator(".table-view")).to_contain_text("Everything works")
    page.click("#log-out")
    expect(page.locator("#password")).to_be_visible()
    picture(page, "login")
