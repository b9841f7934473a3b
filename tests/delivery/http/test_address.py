"""Which addresses a receiver may have."""

from __future__ import annotations

import pytest

from contracts.errors import ConfigurationError
from delivery.http.address import parse_address, target_of


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/",
        "https://",
        "https://user:pw@example.org/",
        "https://example.org/#part",
        "http://example.org/",
        "https://example.org:99999/",
        "https://example.org:0/",
        "https://[::1",
        "",
    ],
)
def test_an_address_that_cannot_work_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="url"):
        parse_address(url)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://example.org", "/"),
        ("https://example.org:8443/linli?site=s1", "/linli?site=s1"),
        ("http://127.0.0.1:9/x", "/x"),
        ("http://[::1]:9/x", "/x"),
        ("http://localhost/x", "/x"),
    ],
)
def test_a_usable_address_names_what_is_posted_to(url: str, target: str) -> None:
    assert target_of(parse_address(url)) == target


def test_plain_http_needs_leave_outside_this_machine() -> None:
    assert parse_address("http://10.0.0.7/x", allow_http=True).hostname == "10.0.0.7"
    with pytest.raises(ConfigurationError, match="not encrypted: use https or set allow_http"):
        parse_address("http://10.0.0.7/x")
    with pytest.raises(ConfigurationError, match="not encrypted: go inside"):
        parse_address("http://10.0.0.7/x", remedy="go inside")


@pytest.mark.parametrize("url", ["https://wang:hush@example.org/x", "http://example.org/x?key=hush"])
def test_a_refusal_shows_neither_password_nor_query(url: str) -> None:
    with pytest.raises(ConfigurationError, match="example") as caught:
        parse_address(url)
    assert "hush" not in str(caught.value)
