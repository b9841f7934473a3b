"""The feed's order: critical rows that nobody has dealt with stand above the rest, on every page and live."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from console.api.server import Server
from contracts.findings import Finding, Phase, Severity
from contracts.incidents import AlertAction
from incidents.alerts.actions import Command
from system.clock import wall_ms
from tests.console.browsing import NEEDS_CHROMIUM, log_in, picture
from tests.console.support import World, served
from tests.incidents.builders import ManualClock, make_finding

pytestmark = NEEDS_CHROMIUM
MINUTE_MS = 60_000


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, ManualClock(wall_ms()), heartbeat_s=1.0)
    world.add_people("wang", "li")
    return world


@pytest.fixture
def server(world: World) -> Iterator[Server]:
    with served(world) as running:
        yield running


def opened(world: World, *findings: Finding) -> list[str]:
    """Incidents opened a minute apart, so that none is folded."""
    ids = []
    for finding in findings:
        world.clock.advance(MINUTE_MS)
        ids += world.take(finding)
    return ids


def shown(page: Page) -> list[str]:
    """The incidents on the page, from above."""
    return [row.get_attribute("data-id") or "" for row in page.locator(".row").all()]


def finding(key: str, *, critical: bool = False, site: str = "s1") -> Finding:
    return make_finding(key=key, site=site, rule="smoke_or_heat" if critical else "stranger_entry")


def test_a_critical_row_stands_above_newer_ones_until_it_is_handled(
    browser: Browser, server: Server, world: World
) -> None:
    fire, first, second = opened(world, finding("a", critical=True), finding("b"), finding("c"))
    page = log_in(browser, server, "wang")
    expect(page.locator(".row")).to_have_count(3)
    assert shown(page) == [fire, second, first]
    (third,) = opened(world, finding("d"))
    expect(page.locator(".row")).to_have_count(4)
    assert shown(page) == [fire, third, second, first]
    picture(page, "urgent")
    page.select_option("#filter-state", "")
    act(world, fire, AlertAction.SEE)
    expect(page.locator(f"[data-id='{fire}'] .st-seen")).to_be_visible()
    assert shown(page)[0] == fire
    act(world, fire, AlertAction.HANDLE)
    expect(page.locator(".row").first).not_to_have_attribute("data-id", fire)
    assert shown(page) == [third, second, first, fire]


def act(world: World, incident_id: str, action: AlertAction) -> None:
    version = {AlertAction.SEE: 1, AlertAction.HANDLE: 2}[action]
    world.actions.act("li", Command(incident_id=incident_id, action=action, version=version))


def test_the_row_that_is_handled_keeps_its_place_for_the_next_key(
    browser: Browser, server: Server, world: World
) -> None:
    older, newer, *_ = opened(world, finding("a", critical=True), finding("b", critical=True), finding("c"))
    page = log_in(browser, server, "wang")
    expect(page.locator(".row")).to_have_count(3)
    page.keyboard.press("j")
    page.keyboard.press("h")
    expect(page.locator("#detail .st-handled").first).to_be_visible()
    assert shown(page)[:2] == [newer, older]
    page.keyboard.press("j")
    expect(page.locator(".row.selected")).to_have_attribute("data-id", older)
    expect(page.locator(".row")).to_have_count(2)


def test_pages_bring_every_row_once_with_the_urgent_ones_first(browser: Browser, server: Server, world: World) -> None:
    (fire,) = opened(world, finding("fire", critical=True))
    rows = opened(world, *(finding(f"k{n}") for n in range(60)))
    page = log_in(browser, server, "wang")
    expect(page.locator(".row")).to_have_count(50)
    assert shown(page) == [fire, *rows[:10:-1]]
    page.click(".more")
    expect(page.locator(".row")).to_have_count(61)
    assert shown(page) == [fire, *rows[::-1]]
    expect(page.locator(".more")).to_have_count(0)


def test_a_row_that_no_page_has_brought_rises_when_it_becomes_critical(
    browser: Browser, server: Server, world: World
) -> None:
    rows = opened(world, *(finding(f"k{n}") for n in range(60)))
    page = log_in(browser, server, "wang")
    expect(page.locator(".row")).to_have_count(50)
    world.take(make_finding(key="k3", nth=1, phase=Phase.UPDATE))
    world.take(make_finding(key="k2", nth=1, phase=Phase.UPDATE, severity=Severity.CRITICAL))
    expect(page.locator(".row").first).to_have_attribute("data-id", rows[2])
    assert shown(page) == [rows[2], *rows[:9:-1]]
    page.click(".more")
    expect(page.locator(".row")).to_have_count(60)
    assert shown(page) == [rows[2], *rows[:2:-1], rows[1], rows[0]]


def test_with_more_urgent_rows_than_a_page_holds_the_rest_waits_below_them(
    browser: Browser, server: Server, world: World
) -> None:
    rest = opened(world, finding("a"))
    fires = opened(world, *(finding(f"k{n}", critical=True) for n in range(55)))
    page = log_in(browser, server, "wang")
    expect(page.locator(".row")).to_have_count(50)
    rest += opened(world, finding("b"))
    fires += opened(world, finding("k55", critical=True))
    expect(page.locator(".row")).to_have_count(51)
    assert shown(page) == fires[:5:-1] + fires[5:4:-1]
    page.click(".more")
    expect(page.locator(".row")).to_have_count(58)
    assert shown(page) == fires[::-1] + rest[::-1]


@pytest.mark.parametrize(("name", "names"), [("li", ["s2花园", "s1花园"]), ("wang", [])])
def test_rows_name_their_site_when_the_reader_sees_several(
    browser: Browser, server: Server, world: World, name: str, names: list[str]
) -> None:
    opened(world, finding("a"), finding("b", site="s2"))
    page = log_in(browser, server, name)
    expect(page.locator(".row")).to_have_count(2 if names else 1)
    assert page.locator(".row .site").all_text_contents() == names
    picture(page, f"sites-{name}")
