"""What disks, brokers, receivers and people know by name stands as it is written in ``golden/``."""

from __future__ import annotations

import re
import secrets
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from app.settings.settings import keys
from tests.pins import reach
from tests.pins.standing import bare, fallen, golden, unwritten


def tables_of(file: Path) -> dict[str, Any]:
    """Table → its columns, each with type, NOT NULL, default and place in the key; and the indexes."""
    with closing(sqlite3.connect(file)) as db:
        names = db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
        indexes = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL").fetchall()
        tables = {
            name: {column[1]: list(column[2:]) for column in db.execute(f"PRAGMA table_info({name})")}
            for (name,) in names
        }
    return {"tables": tables, "indexes": {name: " ".join(sql.split()) for name, sql in indexes}}


def files(folder: Path) -> dict[str, Any]:
    """Every file's tables."""
    return {name: tables_of(path) for name, path in reach.make_every_file(folder).items()}


@cache
def schemas() -> dict[str, Any]:
    """Every schema, bare."""
    return {name: bare(schema) for name, schema in reach.schemas().items()}


def test_each_rule_goes_into_the_digest_as_before() -> None:
    assert fallen(golden("rules"), reach.rules()) == []


def test_every_rule_is_written_down() -> None:
    assert list(unwritten(golden("rules"), reach.rules())) == []


def test_every_rule_has_a_finding_whose_id_is_written_down() -> None:
    assert {rule for _, rule, *_ in golden("ids")["findings"]} == {*reach.rules()}


def test_the_rules_of_each_time_have_the_same_digest_together() -> None:
    """They are others since rules know when something of a gate could not be taken and when a site is gone.

    Four became version 2 then: what they decide is another.
    """
    assert reach.digest(golden("rules").keys() - {"camera_impaired"}) == "bb0a606ee2f8fef3eb71f1ae"
    assert reach.digest(golden("rules")) == "437d0a85d71a5a77f6c3b04e"


def test_findings_have_the_same_ids() -> None:
    found = [[*parts, reach.id_of_finding(*parts)] for *parts, _ in golden("ids")["findings"]]
    assert found == golden("ids")["findings"]
    retracted = [[open_id, reach.id_of_retraction(open_id)] for open_id, _ in golden("ids")["retractions"]]
    assert retracted == golden("ids")["retractions"]


def test_sites_lie_in_the_same_partitions() -> None:
    found = [[site, count, reach.partition(site, count)] for site, count, _ in golden("ids")["partitions"]]
    assert found == golden("ids")["partitions"]


def parts(statements: dict[str, str]) -> dict[str, dict[str, str]]:
    """Table or index → what its statement makes: columns by name; keys, of which there may be several, as a whole."""
    made: dict[str, dict[str, str]] = {}
    for name, statement in statements.items():
        head, _, body = statement.partition(" ( ")
        inside = re.split(r", (?![^(]*\))", body.removesuffix(" )")) if body else [head]
        words = ((part.partition(" ")[0], part) for part in inside)
        made[name] = {part if word.isupper() else word: part for word, part in words}
    return made


def test_files_have_the_same_tables_columns_and_indexes(tmp_path: Path) -> None:
    assert fallen(golden("files"), files(tmp_path)) == []


def test_incidents_have_the_same_tables_in_postgresql() -> None:
    assert fallen(parts(golden("incidents_postgresql")), parts(reach.tables_of_incidents())) == []


@pytest.mark.parametrize("name", ["files", "incidents_postgresql"])
def test_every_table_and_column_is_written_down(name: str, tmp_path: Path) -> None:
    if name == "files":
        missing = list(unwritten(golden(name), files(tmp_path)))
    else:
        missing = list(unwritten(parts(golden(name)), parts(reach.tables_of_incidents())))
    assert missing == [], f"tests/pins/golden/{name}.json: add what each of these is:\n" + "\n".join(missing)


def test_topics_of_kafka_have_the_same_names_and_are_kept_the_same_way() -> None:
    assert fallen(golden("kafka_topics"), reach.topics()) == []


def test_topics_of_mqtt_have_the_same_names() -> None:
    assert fallen(golden("mqtt"), reach.mqtt_names()) == []


@pytest.mark.parametrize("name", golden("schemas"))
def test_what_goes_over_the_wire_has_the_same_schema(name: str) -> None:
    assert fallen(golden("schemas")[name], schemas().get(name), name) == []


def test_every_setting_is_written_down() -> None:
    missing = sorted(set(keys()) - set(golden("settings")))
    assert missing == [], "tests/pins/golden/settings.json: add a line for each of these (variable, a value)"


def test_settings_may_be_given_by_the_same_variables_and_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # relative paths in a file lie beside it, those of the environment here
    given = {key: row for key, row in golden("settings").items() if key != "inventory.url"}  # empty: as without it
    from_environment = reach.settings_in_force(dict(given.values()))
    assert {key: from_environment.get(key) for key in given} == {k: (v, "environment") for k, (_, v) in given.items()}
    file = Path("linli.toml")
    file.write_text("\n".join(f'{key} = "{value}"' for key, (_, value) in given.items()), encoding="utf-8")
    from_file = reach.settings_in_force({}, file)
    assert {key: from_file.get(key) for key in given} == {k: (v, "file") for k, (_, v) in given.items()}


def test_commands_take_the_same_options_and_arguments() -> None:
    assert fallen(golden("commands"), reach.commands()) == []


def test_metrics_have_the_same_names_and_types(tmp_path: Path) -> None:
    assert fallen(golden("metrics")["counted"], reach.metrics(tmp_path)) == []


def told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The requests that a webhook gets for the findings of the golden file, byte for byte."""
    monkeypatch.setattr(secrets, "token_hex", lambda size=32: "ab" * size)  # the nonce
    given = golden("webhook")
    with listener() as (port, requests):
        reach.told(folder, given["records"], given["findings"], f"http://127.0.0.1:{port}/alerts?k=v", given["now_ms"])
    return [request.decode().replace(f"127.0.0.1:{port}", "127.0.0.1:PORT") for request in requests]


def test_a_webhook_is_told_in_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(tmp_path, monkeypatch) == golden("webhook")["requests"]


@contextmanager
def listener() -> Iterator[tuple[int, list[bytes]]]:
    """Somebody who keeps every request as it came and is content with it."""
    requests: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_listen, args=(server, requests), daemon=True)
        thread.start()
        yield server.getsockname()[1], requests
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def _listen(server: socket.socket, requests: list[bytes]) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            came = b""
            while not _complete(came):
                came += connection.recv(65_536)
            requests.append(came)
            connection.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")


def _complete(request: bytes) -> bool:
    head, gap, body = request.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    return bool(gap) and len(body) >= int(lengths[0])
