"""The page over its own certificate: secure cookies, limits before the handshake, renewal without a restart."""

from __future__ import annotations

import shutil
import socket
import ssl
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from app.settings.loading import load_settings
from app.wiring.console_tls import ConsoleTls
from console.api.connections import Deadlines
from console.api.server import Server, serve
from contracts.errors import ConfigurationError
from system.tls import TlsFiles, server_context
from tests.console.support import HEADERS, PASSWORD, World, wall_world
from tests.console.test_connections import HASTY, PATIENT, _connect, _is_hung_up_on, _until
from tests.support.authority import EXPIRED, Authority


def _served(world: World, files: TlsFiles, connections: int = 64, deadlines: Deadlines = HASTY) -> Server:
    return serve(world.app, "127.0.0.1", 0, connections, deadlines, server_context(files))


def _client(server: Server, authority: Authority) -> httpx.Client:
    return httpx.Client(base_url=server.url, verify=ssl.create_default_context(cafile=authority.ca_file), timeout=60)


def test_the_page_answers_over_https_with_secure_cookies_and_not_over_http(tmp_path: Path) -> None:
    authority, world = Authority(tmp_path / "tls"), wall_world(tmp_path)
    world.add_people("wang")
    server = _served(world, authority.issue("page"), deadlines=PATIENT)
    try:
        assert server.url.startswith("https://127.0.0.1:")
        with _client(server, authority) as client:
            answer = client.post("/api/v1/session", json={"name": "wang", "password": PASSWORD}, headers=HEADERS)
            assert answer.status_code == 200
            assert client.get("/api/v1/session").status_code == 200
            cookies = answer.headers.get_list("set-cookie")
            assert cookies
            assert all("Secure" in cookie for cookie in cookies)
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"http://127.0.0.1:{server.port}/api/v1/health")
        with pytest.raises(httpx.ConnectError, match="certificate"):
            httpx.get(f"{server.url}/api/v1/health")
    finally:
        server.stop()


def test_strangers_who_shake_no_hand_are_counted_and_hung_up_on(tmp_path: Path) -> None:
    authority, world = Authority(tmp_path / "tls"), wall_world(tmp_path)
    server = _served(world, authority.issue("page"), connections=8)
    try:
        with closing(_connect(server)) as idle, closing(_connect(server)) as half:
            half.sendall(b"\x16\x03\x01")
            assert _is_hung_up_on(idle)
            assert _is_hung_up_on(half)
        patient = [_connect(server, f"127.0.0.{n}") for n in range(2, 9)]
        with _client(server, authority) as client:
            _until(lambda: _answers(client))
        for one in patient:
            assert _is_hung_up_on(one)
            one.close()
    finally:
        server.stop()


def test_more_than_an_address_may_have_are_hung_up_on_at_once(tmp_path: Path) -> None:
    authority, world = Authority(tmp_path / "tls"), wall_world(tmp_path)
    server = _served(world, authority.issue("page"), connections=8, deadlines=PATIENT)
    try:
        held = [_connect(server) for _ in range(2)]
        with closing(_connect(server)) as over:
            assert _is_hung_up_on(over)
        assert all(_is_held(one) for one in held)
        for one in held:
            one.close()
        with _client(server, authority) as client:
            _until(lambda: _answers(client))  # what they held is free again
    finally:
        server.stop()


def _is_held(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return client.recv(1) != b""
    except BlockingIOError:
        return True


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/api/v1/session").status_code == 401
    except httpx.HTTPError:
        return False


def _settings(cert_file: Path | None, key_file: Path | None) -> ConsoleTls:
    named = {"LINLI_CONSOLE_CERT_FILE": cert_file, "LINLI_CONSOLE_KEY_FILE": key_file}
    return ConsoleTls(load_settings(None, {name: str(path) for name, path in named.items() if path is not None}))


def test_a_wrong_pair_is_one_sentence_each(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    one, two = authority.issue("one"), authority.issue("two")
    wrong = [
        (one.cert_file, two.key_file, "is not the key of the certificate in console.cert_file = "),
        (one.key_file, one.key_file, "console.cert_file = .* cannot be used: expected a certificate in PEM"),
        (one.cert_file, one.cert_file, "console.key_file = .* cannot be used: expected a private key in PEM"),
        (tmp_path / "missing", one.key_file, r"console.cert_file = .* cannot be used \\(FileNotFoundError\\)"),
        (one.cert_file, None, "console.cert_file is set and console.key_file is not"),
    ]
    for cert_file, key_file, said in wrong:
        with pytest.raises(ConfigurationError, match=said.replace("\\\\", "\\")) as caught:
            _settings(cert_file, key_file)
        assert str(caught.value).count("\n") == 0


def test_exchanged_files_are_shown_without_a_restart_and_a_wrong_pair_never(tmp_path: Path) -> None:
    authority, world = Authority(tmp_path / "tls"), wall_world(tmp_path)
    shown, old, new = authority.issue("shown", EXPIRED), authority.issue("old"), authority.issue("new")
    assert shown.cert_file is not None and shown.key_file is not None
    tls = _settings(shown.cert_file, shown.key_file)
    server = serve(world.app, "127.0.0.1", 0, 64, PATIENT, tls.context)
    try:
        with _client(server, authority) as client:
            assert not _answers(client)
        for files, key, answers in ((new, old.key_file, False), (new, new.key_file, True), (old, new.key_file, True)):
            shutil.copy(str(files.cert_file), shown.cert_file)
            shutil.copy(str(key), shown.key_file)
            tls.renew()
            with _client(server, authority) as client:
                assert _answers(client) is answers
    finally:
        server.stop()
