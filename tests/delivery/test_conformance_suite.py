"""The conformance suite sees a receiver that does not conform: the webhook, spoilt in one place each."""

from __future__ import annotations

import ssl
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from contracts.errors import Transient
from delivery.conformance.bench import Bench
from delivery.conformance.cases import CASES
from delivery.conformance.suite import CHECKS, ConformanceError, check_case
from delivery.deliveries import Delivery
from delivery.http import exchange
from delivery.http.exchange import HttpPeer, HttpResponse
from delivery.receiver import Receipt
from delivery.receivers.webhook import client, mapping

_BY_NAME = {case.name: case for case in CASES}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench(tmp_path_factory.mktemp("conformance")) as shared:
        yield shared


def believe_anyone(_ca_file: object) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def follow_redirects(peer: HttpPeer, headers: Mapping[str, str], body: bytes) -> HttpResponse:
    parts = vars(peer)["_address"]
    request = urllib.request.Request(parts.geturl(), body, dict(headers))
    with urllib.request.urlopen(request, timeout=30) as response:
        return HttpResponse(response.status, None, response.read(), complete=True)


def repeat_what_the_peer_says(_peer: HttpPeer, _headers: object, _body: bytes) -> HttpResponse:
    raise Transient("the peer said what-the-peer-said")


def show_the_secret(*_arguments: object, **_options: object) -> dict[str, str]:
    raise Transient("signed with 0123456789abcdef")


def sign_with_another(delivery: Delivery, _secret: bytes, **options: Any) -> dict[str, str]:
    return mapping.headers_of(delivery, b"another secret, also long", **options)


def accept_every_status(_status: int, _retry_after_s: float | None) -> None:
    return


SPOILT: list[tuple[object, str, Callable[..., object], str, str]] = [
    (client, "raise_for_status", accept_every_status, "a status of 500", "came to delivered '' instead of retry"),
    (
        client,
        "retry_after_s",
        lambda _header: 1e9,
        "a 503 that asks to wait '7'",
        "waits 1000000000.0 s instead of 7.0 s",
    ),
    (
        client,
        "read_receipt",
        lambda *_: Receipt.CONFIRMED,
        "a success with a proxy's page",
        "came to delivered",
    ),
    (client, "headers_of", show_the_secret, "a status of 200", "shows webhook.secret"),
    (client, "headers_of", sign_with_another, "a status of 200", "a strict peer would refuse the request: signature"),
    (HttpPeer, "post", repeat_what_the_peer_says, "a status of 500", "shows what the peer said"),
    (HttpPeer, "post", repeat_what_the_peer_says, "a status of 500", "sent 0 requests instead of 1"),
    (HttpPeer, "post", follow_redirects, "a 302 to another server is not followed", "was led to another server"),
    (exchange, "_tls_context", believe_anyone, "a certificate that has expired", "came to delivered"),
    (exchange, "_tls_context", believe_anyone, "a certificate of another host", "sent 1 requests instead of 0"),
]


@pytest.mark.parametrize(("where", "name", "spoilt", "case", "said"), SPOILT)
def test_a_spoilt_receiver_fails_its_case(
    where: object,
    name: str,
    spoilt: Callable[..., object],
    case: str,
    said: str,
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(where, name, spoilt)
    with pytest.raises(ConformanceError) as caught:
        check_case("webhook", _BY_NAME[case], bench)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "spoilt", "check", "said"),
    [
        ("secrets.token_hex", lambda _: "0" * 32, "a delivery that is sent again", "x-linli-nonce is the same"),
        ("body_of", lambda delivery: delivery.payload + b" ", "the golden messages", "golden/closed.http: sent"),
    ],
)
def test_a_spoilt_receiver_fails_its_check(
    name: str, spoilt: Callable[..., object], check: str, said: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{client.__name__}.{name}", spoilt)
    with pytest.raises(ConformanceError) as caught:
        CHECKS[check]("webhook", bench)
    assert said in str(caught.value)
