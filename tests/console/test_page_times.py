"""Time on the page: what is today at the site, and the browser's own time where its clock reads otherwise."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, expect

from console.api.server import Server
from contracts.events import SiteConfigured
from incidents.store.operator_alarms import AlarmCode, raise_alarm
from tests.console.browsing import NEEDS_CHROMIUM, log_in, new_context, new_page, picture
from tests.console.support import World, served
from tests.incidents.builders import ManualClock, make_finding

pytestmark = NEEDS_CHROMIUM


def at(text: str, zone: str = "Asia/Shanghai") -> int:
    """Epoch ms of a moment in a zone."""
    return int(datetime.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, ManualClock(at("2026-11-23 00:30")), heartbeat_s=1.0)
    world.add_people("boss", "wang", "li")
    return world


@pytest.fixture
def server(world: World) -> Iterator[Server]:
    with served(world) as running:
        yield running


TODAY = [
    ("2026-11-23 00:30", "2026-11-22T23:50:00.000+08:00", "11-22 23:50:00 +08:00"),
    ("2026-11-23 23:30", "2026-11-23T08:00:00.000+08:00", "08:00:00 +08:00"),
    ("2026-11-23 00:00", "2026-11-23T00:00:00.000+08:00", "00:00:00 +08:00"),
    ("2026-11-23 12:00", "2025-11-23T12:00:00.000+08:00", "11-23 12:00:00 +08:00"),
]
"""What it is at the site, a moment there, and how it is shown."""


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York", "Pacific/Kiritimati"])
def test_today_is_the_calendar_day_of_the_site_wherever_the_browser_is(
    browser: Browser, server: Server, zone: str
) -> None:
    page = new_page(new_context(browser, zone=zone))
    page.goto(server.url)
    script = """async (iso) => {
      const { Sites } = await import("/page/sites.js");
      const node = new Sites([{ site_id: "s", time_zone: "Asia/Shanghai" }]).time("s", iso);
      node.querySelector(".own-time")?.remove();
      return node.textContent;
    }"""
    for now, iso, shown in TODAY:
        page.clock.set_fixed_time(at(now) / 1000)
        assert page.evaluate(script, iso) == shown


def test_a_row_says_its_day_as_soon_as_the_next_one_has_begun(browser: Browser, server: Server, world: World) -> None:
    world.take(make_finding(onset_ms=at("2026-11-22 23:50")))
    page = log_in(browser, server, "wang", zone="Asia/Shanghai", now_ms=at("2026-11-22 23:59"))
    expect(page.locator(".row time")).to_have_text("23:50:00 +08:00")
    page.clock.fast_forward(70_000)
    expect(page.locator(".row time")).to_have_text("11-22 23:50:00 +08:00")


def test_the_browsers_time_stands_beside_where_it_differs_and_says_so(
    browser: Browser, server: Server, world: World
) -> None:
    world.take(make_finding(onset_ms=at("2026-11-23 00:10")))
    page = log_in(browser, server, "wang", zone="Europe/Berlin", now_ms=world.clock())
    expect(page.locator(".row time")).to_have_text("00:10:00 +08:00your time 11-22 17:10:00")
    page.locator(".row").click()
    whole = "2026-11-23 00:10:00.000 (UTC+08:00, Asia/Shanghai) · your time 2026-11-22 17:10:00.000 (UTC+01:00)"
    expect(page.locator(".facts")).to_contain_text(whole)
    expect(page.locator(".row time")).to_have_attribute("title", whole)
    picture(page, "two-times")
    chinese = log_in(browser, server, "wang", language="zh-CN", zone="Europe/Berlin", now_ms=world.clock())
    expect(chinese.locator(".row time")).to_contain_text("本机时间 11-22 17:10:00")


def test_a_browser_elsewhere_with_the_same_clock_shows_one_time(browser: Browser, server: Server, world: World) -> None:
    world.take(make_finding(onset_ms=at("2026-11-23 00:10")))
    page = log_in(browser, server, "wang", zone="Asia/Singapore", now_ms=world.clock())
    page.locator(".row").click()
    expect(page.locator(".facts")).to_contain_text("2026-11-23 00:10:00.000 (UTC+08:00, Asia/Shanghai)")
    expect(page.locator("body")).not_to_contain_text("your time")


def test_each_site_keeps_its_own_day_and_offset(browser: Browser, server: Server, world: World) -> None:
    world.directory.apply(
        SiteConfigured(
            event_id="c", site_id="s2", source_id="config", place_id="s2", at_ms=0, version=20, name="Berlin",
            time_zone="Europe/Berlin",
        )
    )  # fmt: skip
    world.take(make_finding(onset_ms=at("2026-11-23 00:10")))
    world.clock.advance(1000)
    world.take(make_finding(site="s2", onset_ms=at("2026-11-23 00:10")))
    page = log_in(browser, server, "li", zone="Asia/Shanghai", now_ms=world.clock())
    expect(page.locator(".row time")).to_have_count(2)
    berlin, shanghai = page.locator(".row time").all()
    expect(shanghai).to_have_text("00:10:00 +08:00")
    expect(berlin).to_have_text("17:10:00 +01:00your time 11-23 00:10:00")


def test_alarms_are_told_in_the_zone_that_the_sites_share(browser: Browser, server: Server, world: World) -> None:
    with world.store.write() as connection:
        raise_alarm(connection, next(iter(AlarmCode)), "subject", "detail", at("2026-11-23 00:10"))
    page = log_in(browser, server, "boss", zone="Europe/Berlin", now_ms=world.clock())
    page.click("a[data-view=health]")
    expect(page.locator(".table-view")).to_contain_text("2026-11-23 00:10:00 (Asia/Shanghai)")


def test_a_zone_that_the_browser_does_not_know_goes_by_the_offset(browser: Browser, server: Server) -> None:
    page = log_in(browser, server, "wang", zone="America/New_York", now_ms=at("2026-11-23 00:30"))
    script = """async (offset) => {
      const { Sites } = await import("/page/sites.js");
      return new Sites([{ site_id: "s", time_zone: "Mars/Olympus" }]).today("s", offset);
    }"""
    assert page.evaluate(script, "+08:00") == "2026-11-23"
    assert page.evaluate(script, "-03:30") == "2026-11-22"
