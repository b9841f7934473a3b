"""While nothing is judged every view says so, to everybody who is logged in; a quiet page is no quiet night."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from console.api.server import Server
from incidents.store.operator_alarms import AlarmCode, clear_alarm, raise_alarm
from tests.console.browsing import NEEDS_CHROMIUM, log_in
from tests.console.support import World, served, wall_world
from tests.incidents.builders import make_finding

pytestmark = NEEDS_CHROMIUM
TEN_S = 10_000.0


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = wall_world(tmp_path, heartbeat_s=1.0)
    world.add_people("wang", "boss")
    world.take(make_finding())
    return world


@pytest.fixture
def server(world: World) -> Iterator[Server]:
    with served(world) as running:
        yield running


@pytest.mark.parametrize(
    ("name", "language", "said"), [("wang", "en", "Nothing judged since"), ("boss", "zh", "未进行研判")]
)
def test_every_view_says_that_nothing_is_judged_until_it_is(
    browser: Browser, world: World, server: Server, name: str, language: str, said: str
) -> None:
    page = log_in(browser, server, name, language=language)
    banner = page.locator("#nothing-judged")
    expect(banner).to_be_hidden()
    with world.store.write() as connection:
        raise_alarm(connection, AlarmCode.NOTHING_JUDGED, "rules", "since then", world.clock())
    expect(banner).to_contain_text(said, timeout=TEN_S)
    for view in ("devices", "") if name == "wang" else ("devices", "health", ""):
        page.evaluate(f"location.hash = '#/{view}'")
        expect(banner).to_be_visible()
    with world.store.write() as connection:
        clear_alarm(connection, AlarmCode.NOTHING_JUDGED, "rules", world.clock())
    expect(banner).to_be_hidden(timeout=TEN_S)
