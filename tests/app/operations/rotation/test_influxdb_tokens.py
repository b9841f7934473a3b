"""A token of InfluxDB 2 is exchanged: against a stand-in for its API, since no test here has the real server."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner, Result

from app.main import exit_code, linli
from app.operations.rotation.exchange import SecretFile
from app.settings.loading import load_settings
from app.wiring.results import open_results
from contracts.errors import ConfigurationError, Transient
from ingest.session.broker import free_port
from streams.results.influx_tokens import InfluxTokens
from streams.results.points import point
from system.next_secret import next_of

OLD, OPERATOR, READER = "our token", "the operator's token", "a token that may read only"
RIGHTS = [
    {"action": action, "resource": {"type": "buckets", "id": "b1", "orgID": "o1"}} for action in ("read", "write")
]


class TokenServer:
    """Tokens as InfluxDB 2 keeps them, and a place to write to for those that may."""

    def __init__(self) -> None:
        self._ids = itertools.count(10)
        self.tokens: dict[str, dict[str, Any]] = {}
        self.hidden, self.kept = False, 0
        self.add({"description": "results", "permissions": RIGHTS, "orgID": "o1"}, OLD)
        self.operators = {OPERATOR}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def add(self, wanted: dict[str, Any], token: str = "") -> dict[str, Any]:
        number = f"{next(self._ids):016x}"
        made = {name: wanted[name] for name in ("description", "permissions", "orgID")}
        self.tokens[number] = made | {"id": number, "token": token or f"token {number}", "status": "active"}
        return self.tokens[number]

    def valid(self) -> set[str]:
        return {str(one["token"]) for one in self.tokens.values()}

    def answer(self, method: str, path: str, token: str, body: bytes) -> tuple[int, object]:
        """Status and body of an answer."""
        if path == "/api/v2/write":
            self.kept += token in self.valid()
            return (204, None) if token in self.valid() else (401, {"code": "unauthorized"})
        if token not in self.operators:
            return (403 if token == READER else 401), {"code": "unauthorized"}
        if method == "POST":
            return 201, self.add(json.loads(body))
        if method == "DELETE":
            return (204, None) if self.tokens.pop(path.rpartition("/")[2], None) else (404, {"code": "not found"})
        shown = [one | ({"token": None} if self.hidden else {}) for one in self.tokens.values()]
        return 200, {"authorizations": shown}

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler(server: TokenServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            token = (self.headers["Authorization"] or "").removeprefix("Token ")
            status, said = server.answer(self.command, urlsplit(self.path).path, token, body)
            text = b"" if said is None else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - the library's names

        def log_message(self, *_said: object) -> None:
            """Say nothing."""

    return Handler


class Place:
    """The server, our settings and our files."""

    def __init__(self, folder: Path, server: TokenServer) -> None:
        self.server, self.file, self.operator = server, folder / "token", folder / "operator"
        self.file.write_text(f"{OLD}\n", encoding="utf-8")
        self.operator.write_text(f"{OPERATOR}\n", encoding="utf-8")
        url = f"influx://127.0.0.1:{server.port}/linli?version=2&org=linli"
        self.environment = {"LINLI_RESULTS_URL": url, "LINLI_RESULTS_TOKEN_FILE": str(self.file)}

    def words(self) -> list[str]:
        return ["secrets", "rotate", "influxdb", "--operator-token-file", str(self.operator)]

    def rotate(self, **other: str) -> Result:
        return CliRunner().invoke(linli, self.words(), env=self.environment | other)

    def token(self) -> str:
        return self.file.read_text(encoding="utf-8").strip()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with closing(TokenServer()) as server:
        yield Place(tmp_path, server)


def test_one_token_with_the_same_rights_is_left_and_results_are_written_on(place: Place) -> None:
    with closing(open_results(load_settings(None, place.environment))) as store:
        for n in range(3):
            result = place.rotate()
            assert result.exit_code == 0, result.output
            assert place.token() not in result.output
            store.write([point("losses", {"cause": "log"}, {"n": n}, 1_795_400_000_000 + n)])
    (left,) = place.server.tokens.values()
    assert (left["token"], left["permissions"], left["orgID"]) == (place.token(), RIGHTS, "o1")
    assert str(left["description"]).startswith("results (follows ")
    assert str(left["description"]).count("follows") == 1
    assert place.server.kept == 3
    assert not next_of(place.file).exists()


@pytest.mark.parametrize("step", ["write_next", "end_predecessor", "take_next"])
def test_killed_between_the_steps_and_run_again_it_comes_out_right(
    place: Place, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr(InfluxTokens if step == "end_predecessor" else SecretFile, step, _killed)
        place.rotate()
    with closing(open_results(load_settings(None, place.environment))) as store:
        store.write([point("losses", {"cause": "log"}, {"n": 1}, 1_795_400_000_000)])
    assert place.server.kept == 1
    made = place.server.valid() - {OLD}
    assert place.rotate().exit_code == 0
    assert place.server.valid() == made == {place.token()}


def _killed(*_given: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda place: place.operator.write_text("nobody", encoding="utf-8"), "does not take the token in --operator"),
        (lambda place: place.operator.write_text(READER, encoding="utf-8"), "does not allow this to the token in"),
        (lambda place: place.operator.write_text("", encoding="utf-8"), "does not take the token in --operator"),
        (lambda place: place.operator.unlink(), "cannot be read"),
        (lambda place: place.file.write_text("wrong", encoding="utf-8"), "shows the operator no token like that"),
        (lambda place: setattr(place.server, "hidden", True), "tokens are hidden there"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_changes_nothing(
    place: Place, spoil: Any, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(place)
    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)
    assert exit_code(place.words()) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert place.server.valid() == {OLD}
    assert not next_of(place.file).exists()


def test_a_server_that_is_away_and_one_without_such_tokens_are_named(place: Place) -> None:
    away = f"influx://127.0.0.1:{free_port()}/linli?version=2&org=linli"
    assert isinstance(place.rotate(LINLI_RESULTS_URL=away).exception, Transient)
    for url in ("sqlite:///results.db", "influx://127.0.0.1/linli?version=1"):
        assert isinstance(place.rotate(LINLI_RESULTS_URL=url).exception, ConfigurationError)
    given = [*place.words(), "--prepare"]
    assert "is for InfluxDB 2" in str(CliRunner().invoke(linli, given, env=place.environment).exception)
