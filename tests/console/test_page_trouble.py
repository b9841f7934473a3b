"""Only who is not logged in is asked for a password; any other error is said, and can be tried again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route, expect

from console.api.server import Server
from tests.console.browsing import NEEDS_CHROMIUM, fill_in, log_in, new_context, new_page, picture
from tests.console.support import World, served, wall_world
from tests.incidents.builders import make_finding

pytestmark = NEEDS_CHROMIUM


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = wall_world(tmp_path, heartbeat_s=1.0)
    world.add_people("wang")
    world.take(make_finding())
    return world


@pytest.fixture
def server(world: World) -> Iterator[Server]:
    with served(world) as running:
        yield running


def away(route: Route) -> None:
    route.abort("connectionrefused")


def proxy(route: Route) -> None:
    route.fulfill(status=502, content_type="text/html", body="<h1>Bad Gateway</h1>")


def database(route: Route) -> None:
    route.fulfill(status=503, json={"code": "unavailable", "message": "The service is not available."})


FAULTS = [
    (away, "The server cannot be reached."),
    (proxy, "The server answers with error 502."),
    (database, "The service is not available."),
]


@pytest.mark.parametrize(("fault", "said"), FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
def test_an_error_at_the_start_is_said_and_tried_again_without_a_login(
    browser: Browser, server: Server, fault: Callable[[Route], None], said: str
) -> None:
    page = log_in(browser, server, "wang")
    for path in ("session", "sites", "incidents"):
        page.route(f"**/api/v1/{path}?*", fault)
        page.reload()
        expect(page.locator("#trouble")).to_contain_text(said)
        expect(page.locator("#password")).to_have_count(0)
        picture(page, f"trouble-{fault.__name__}")
        page.click("#again")
        expect(page.locator("#again")).to_be_enabled()
        page.unroute_all()
        page.click("#again")
        expect(page.locator(".row")).to_have_count(1)


@pytest.mark.parametrize(("language", "said"), [("en", "Log in"), ("zh-CN", "登录")])
def test_who_is_not_logged_in_sees_the_login(browser: Browser, server: Server, language: str, said: str) -> None:
    page = new_page(new_context(browser, language=language))
    page.goto(server.url)
    expect(page.locator("button[type=submit]")).to_have_text(said)
    expect(page.locator("#trouble")).to_have_count(0)


def test_a_page_without_its_words_says_so_in_both_languages(browser: Browser, server: Server) -> None:
    page = new_page(new_context(browser))
    page.route("**/api/v1/catalogue*", away)
    page.goto(server.url)
    expect(page.locator("#trouble")).to_contain_text("无法连接服务器。 · The server cannot be reached.")
    picture(page, "trouble-no-words")
    page.unroute_all()
    page.click("#again")
    expect(page.locator("#password")).to_be_visible()


def test_a_session_that_ends_while_the_page_is_open_leads_to_the_login(browser: Browser, server: Server) -> None:
    page = log_in(browser, server, "wang")
    page.context.clear_cookies()
    page.select_option("#filter-state", "")
    expect(page.locator("#password")).to_be_visible()


def test_trouble_while_logging_in_is_said_on_the_form(browser: Browser, server: Server) -> None:
    page = new_page(new_context(browser))
    page.goto(server.url)
    expect(page.locator("#password")).to_be_visible()
    page.route("**/api/v1/session?*", proxy)
    fill_in(page, "wang")
    expect(page.locator(".form-error")).to_have_text("The server answers with error 502.")


def test_trouble_right_after_the_login_is_no_second_login(browser: Browser, server: Server) -> None:
    page = new_page(new_context(browser))
    page.goto(server.url)
    page.route("**/api/v1/sites?*", database)
    fill_in(page, "wang")
    expect(page.locator("#trouble")).to_contain_text("The service is not available.")
    page.unroute_all()
    page.click("#again")
    expect(page.locator(".row")).to_have_count(1)
