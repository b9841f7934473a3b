"""The console behind proxies: whose address counts, who is believed about it, and cookies for HTTPS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from console.api.forwarded import client_address, networks_of
from tests.console.support import PASSWORD, World

PROXIES = networks_of(["10.0.0.0/8", "::1"])


@pytest.mark.parametrize(
    ("forwarded_for", "address"),
    [
        ([], "10.0.0.1"),
        (["192.0.2.9"], "192.0.2.9"),
        (["192.0.2.9:4711"], "192.0.2.9"),
        (["[2001:db8::9]:4711"], "2001:db8::9"),
        (["203.0.113.5, 192.0.2.9"], "192.0.2.9"),
        (["203.0.113.5", "192.0.2.9"], "192.0.2.9"),
        (["203.0.113.5, 192.0.2.9, 10.1.1.1"], "192.0.2.9"),
        (["10.2.2.2, 10.1.1.1"], "10.2.2.2"),
        (["192.0.2.9, garbage"], "10.0.0.1"),
        (["192.0.2.9, garbage, 10.1.1.1"], "10.1.1.1"),
        (["192.0.2.9, ::ffff:10.1.1.1"], "192.0.2.9"),
        ([",,,"], "10.0.0.1"),
    ],
)
def test_the_nearest_hop_that_is_no_proxy_is_the_client(forwarded_for: list[str], address: str) -> None:
    assert client_address("10.0.0.1", forwarded_for, PROXIES) == address


def _try(world: World, password: str, **headers: str) -> Any:
    return world.client().post("/api/v1/session", json={"name": "wang", "password": password}, headers=headers)


def test_behind_a_proxy_each_address_has_its_own_failures(tmp_path: Path) -> None:
    world = World(tmp_path, trusted_proxies=["127.0.0.1"])
    world.add_people("wang")
    statuses = [_try(world, "wrong wrong", **{"X-Forwarded-For": "203.0.113.5"}).status_code for _ in range(6)]
    assert statuses == [401] * 5 + [429]
    assert _try(world, PASSWORD, **{"X-Forwarded-For": "192.0.2.9"}).status_code == 200


def test_nobody_but_a_proxy_is_believed_about_the_address(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.add_people("wang")
    statuses = [_try(world, "wrong wrong", **{"X-Forwarded-For": f"203.0.113.{n}"}).status_code for n in range(6)]
    assert statuses == [401] * 5 + [429]


def test_a_client_behind_a_proxy_cannot_choose_its_address(tmp_path: Path) -> None:
    world = World(tmp_path, trusted_proxies=["127.0.0.1"])
    world.add_people("wang")
    chosen = [f"203.0.113.{n}, 192.0.2.66" for n in range(6)]
    statuses = [_try(world, "wrong wrong", **{"X-Forwarded-For": text}).status_code for text in chosen]
    assert statuses == [401] * 5 + [429]


@pytest.mark.parametrize(
    ("options", "headers", "secure"),
    [
        ({}, {}, False),
        ({}, {"X-Forwarded-Proto": "https"}, False),
        ({}, {"Origin": "https://testserver"}, True),
        ({"trusted_proxies": ["127.0.0.1"]}, {"X-Forwarded-Proto": "https"}, True),
        ({"trusted_proxies": ["127.0.0.1"]}, {"X-Forwarded-Proto": "http, https"}, True),
        ({"trusted_proxies": ["127.0.0.1"]}, {"X-Forwarded-Proto": "https, http"}, False),
        ({"trusted_proxies": ["127.0.0.1"]}, {"X-Forwarded-Proto": "gopher"}, False),
        ({"secure_cookies": True}, {}, True),
    ],
)
def test_the_cookie_is_for_https_alone_once_the_browser_uses_it(
    tmp_path: Path, options: dict[str, Any], headers: dict[str, str], secure: bool
) -> None:
    world = World(tmp_path, **options)
    world.add_people("wang")
    answer = _try(world, PASSWORD, **headers)
    assert answer.status_code == 200
    assert ("Secure" in answer.headers["set-cookie"]) is secure
