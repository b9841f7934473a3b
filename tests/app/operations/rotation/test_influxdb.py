"""The password of an InfluxDB is exchanged while results are written, and none of them is lost."""

from __future__ import annotations

import base64
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError

import pytest
from click.testing import CliRunner, Result

from app.main import exit_code, linli
from app.operations.rotation.exchange import SecretFile
from app.settings.loading import load_settings
from app.wiring.results import open_results
from contracts.errors import ConfigurationError, Transient
from ingest.session.broker import free_port
from streams.results.influx_account import InfluxAccount
from streams.results.points import Point, point
from streams.results.target import StoreMisconfigured
from system.next_secret import next_of
from tests.support.influx import Server, influxd

pytestmark = [pytest.mark.service, pytest.mark.patient]
OLD = "old one"
ADMIN = 'admin:it\'s "quoted"'


class Place:
    """A server with an administrator and our account, and our settings."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.server, self.file, self.admin_file = server, folder / "influx", folder / "admin"
        self.file.write_text(f"linli:{OLD}\n", encoding="utf-8")
        self.admin_file.write_text(f"{ADMIN}\n", encoding="utf-8")
        url = f"influx://127.0.0.1:{server.port}/linli?version=1"
        self.environment = {"LINLI_RESULTS_URL": url, "LINLI_RESULTS_PASSWORD_FILE": str(self.file)}

    def set_up(self) -> None:
        quoted = ADMIN.partition(":")[2].replace("'", "\\'")
        assert self.ask(f"CREATE USER admin WITH PASSWORD '{quoted}' WITH ALL PRIVILEGES", "") == 200
        for statement in (
            f"CREATE USER linli WITH PASSWORD '{OLD}'",
            "CREATE DATABASE linli",
            "GRANT ALL ON linli TO linli",
        ):
            assert self.ask(statement, ADMIN) == 200

    def ask(self, statement: str, by: str) -> int:
        """The status of an answer."""
        proof = {"Authorization": f"Basic {base64.b64encode(by.encode()).decode()}"} if by else {}
        body = urllib.parse.urlencode({"q": statement}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.server.port}/query", body, proof)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                assert b"error" not in answer.read()
                return int(answer.status)
        except HTTPError as error:
            return error.code

    def takes(self, password: str) -> bool:
        return self.ask("SHOW DATABASES", f"linli:{password}") == 200

    def password(self) -> str:
        return self.file.read_text(encoding="utf-8").strip().removeprefix("linli:")

    def rotate(self, *options: str, **other: str) -> Result:
        words = ["secrets", "rotate", "influxdb", *options]
        return CliRunner().invoke(linli, words, env=self.environment | other)

    def by_admin(self) -> Result:
        return self.rotate("--admin-file", str(self.admin_file))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with influxd(tmp_path, auth=True) as server:
        place = Place(tmp_path, server)
        place.set_up()
        yield place


def _points(n: int) -> list[Point]:
    return [point("losses", {"cause": "log"}, {"n": n}, 1_795_400_000_000 + n)]


def test_results_are_written_before_and_after_by_one_process(place: Place) -> None:
    with closing(open_results(load_settings(None, place.environment))) as store:
        store.write(_points(1))
        result = place.by_admin()
        assert result.exit_code == 0, result.output
        assert place.password() not in result.output
        store.write(_points(2))
        place.file.unlink()
        store.write(_points(3))  # what it knew is still right
    assert not place.takes(OLD)


def test_the_file_has_the_one_that_counts_and_the_old_one_is_refused(place: Place) -> None:
    assert place.by_admin().exit_code == 0
    assert place.password() != OLD
    assert place.takes(place.password())
    assert not place.takes(OLD)
    assert not next_of(place.file).exists()


@pytest.mark.parametrize("step", ["prepared", "changed"])
def test_killed_between_the_steps_and_run_again_it_comes_out_right(
    place: Place, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        kind, name = (InfluxAccount, "change") if step == "prepared" else (SecretFile, "take_next")
        killed.setattr(kind, name, _killed)
        place.by_admin()
    assert place.password() == OLD
    assert place.takes(OLD) == (step == "prepared")
    with closing(open_results(load_settings(None, place.environment))) as store:
        store.write(_points(1))  # whichever it is
    waiting = next_of(place.file).read_text(encoding="utf-8").strip()
    assert place.by_admin().exit_code == 0
    assert waiting == f"linli:{place.password()}"
    assert place.takes(place.password())
    assert not place.takes(OLD)


def _killed(*_given: object) -> None:
    raise KeyboardInterrupt


def test_an_account_that_may_not_is_told_what_to_give(place: Place) -> None:
    result = place.rotate()
    assert isinstance(result.exception, ConfigurationError)
    assert "linli may not change the password" in str(result.exception)
    assert "--admin-file" in str(result.exception)
    assert place.takes(OLD)
    place.ask("GRANT ALL PRIVILEGES TO linli", ADMIN)
    assert place.rotate().exit_code == 0  # it goes on with the one that waited
    assert not place.takes(OLD)


def test_a_wrong_password_is_refused_before_anything_is_changed(place: Place) -> None:
    place.file.write_text("linli:wrong", encoding="utf-8")
    result = place.by_admin()
    assert f"does not take the password in {place.file}" in str(result.exception)
    assert not next_of(place.file).exists()
    with closing(open_results(load_settings(None, place.environment))) as store, pytest.raises(StoreMisconfigured):
        store.write(_points(1))


def test_a_server_that_asks_for_none_is_left_alone(tmp_path: Path) -> None:
    with influxd(tmp_path) as server:
        place = Place(tmp_path, server)
        assert "asks for no password" in str(place.by_admin().exception)
        assert not next_of(place.file).exists()


def test_a_token_that_was_put_into_the_file_is_taken_by_the_same_process(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("the first\n", encoding="utf-8")
    with closing(TokenServer("the first")) as server:
        url = f"influx://127.0.0.1:{server.port}/linli?version=2&org=linli"
        settings = load_settings(None, {"LINLI_RESULTS_URL": url, "LINLI_RESULTS_TOKEN_FILE": str(file)})
        with closing(open_results(settings)) as store:
            store.write(_points(1))
            server.token = "the second"
            with pytest.raises(StoreMisconfigured):
                store.write(_points(2))
            file.write_text("the second\n", encoding="utf-8")
            store.write(_points(2))
    assert server.kept == 2


class TokenServer:
    """Stands for an InfluxDB 2, which no test here has: it keeps what comes with its token."""

    def __init__(self, token: str) -> None:
        self.token, self.kept = token, 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                right = self.headers["Authorization"] == f"Token {server.token}"
                server.kept += right
                self.send_response(204 if right else 401)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_said: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def test_what_is_wrong_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "influx"
    file.write_text("nobody", encoding="utf-8")
    away = f"influx://127.0.0.1:{free_port()}/linli?version=1"
    for url, path, said in (
        ("sqlite:///results.db", str(file), "no password of InfluxDB is ours to exchange"),
        (away, "", "no password of InfluxDB is ours to exchange"),
        (away, str(file), "expected one line user:password"),
        ("influx://127.0.0.1/linli?version=2&org=linli", str(file), "a token proves us"),
    ):
        monkeypatch.setenv("LINLI_RESULTS_URL", url)
        monkeypatch.setenv("LINLI_RESULTS_PASSWORD_FILE", path)
        assert exit_code(["secrets", "rotate", "influxdb"]) == 2
        told = capsys.readouterr().err
        assert said in told
        assert told.count("\n") == 1
    file.write_text("linli:password", encoding="utf-8")
    monkeypatch.setenv("LINLI_RESULTS_URL", away)
    result = CliRunner().invoke(linli, ["secrets", "rotate", "influxdb"])
    assert isinstance(result.exception, Transient)
