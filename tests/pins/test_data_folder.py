"""A data folder that ``linli run`` of commit d579f9d left opens, goes on and exports the same ids.

``make_fixtures.py`` beside this wrote it: three hours of two sites, judged, told to a webhook, drained.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import tarfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.pins import reach
from tests.pins.standing import FIXTURES, fallen, golden

EXPECTED: dict[str, Any] = json.loads((FIXTURES / "data-folder.json").read_text(encoding="utf-8"))
PATIENCE_S = 120.0


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which ``linli run`` was started, with its settings file; this process is in it."""
    with tarfile.open(FIXTURES / "data-folder.tar.xz") as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", None)  # from Python 3.11.4 on
        tar.extractall(tmp_path)
    for name in [name for name in os.environ if name.startswith("LINLI_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _exported() -> list[str]:
    """Of the rules of that time: a new one finds more."""
    findings = map(json.loads, reach.invoke("findings", "export", "--json").splitlines())
    return [finding["finding_id"] for finding in findings if finding["rule"] in golden("rules")]


def _ask(file: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(file)) as db:
        return [text for (text,) in db.execute(query)]


def _rows(data: Path) -> dict[str, dict[str, int]]:
    return {
        name: {table: _ask(data / name, f"SELECT count(*) FROM {table}")[0] for table in tables}
        for name, tables in EXPECTED["rows"].items()
    }


def _ids(data: Path) -> dict[str, list[str]]:
    """As the fixture's list has them."""
    queries = {
        "incidents": "SELECT incident_id || ' ' || number || ' ' || state FROM incidents ORDER BY ordinal",
        "deliveries": "SELECT delivery_id || ' ' || state FROM deliveries ORDER BY delivery_id",
        "users": "SELECT name FROM users ORDER BY name",
        "actions": "SELECT incident_id || ' ' || action FROM incident_actions ORDER BY incident_id, version",
        "versions": "SELECT version || ' ' || name FROM schema_version ORDER BY version",
    }
    return {what: _ask(data / "incidents.db", query) for what, query in queries.items()}


@pytest.mark.usefixtures("folder")
def test_its_findings_are_exported_under_the_same_ids() -> None:
    assert _exported() == EXPECTED["exported"]


def test_the_rules_go_on_without_being_told_that_a_cut_is_accepted(folder: Path) -> None:
    data = folder / "linli-data"
    before = reach.newest_manifest(data)
    assert before == ("3aa9a349452d2be0201b493e", True)
    reach.append_events(data, folder / "later.jsonl")
    assert reach.judge_to_the_end(data) == []
    assert reach.newest_manifest(data) == (reach.digest(reach.rules()), False)  # a new rule is a new version
    assert _exported() == EXPECTED["exported_after"]
    in_order = _ask(data / "engine.db", "SELECT finding_id FROM findings ORDER BY n")
    assert set(in_order[: len(EXPECTED["exported"])]) == set(EXPECTED["exported"])
    assert len(in_order) == len(set(in_order))


def test_incidents_open_and_migrate_and_nothing_of_them_is_lost(folder: Path) -> None:
    data = folder / "linli-data"
    assert reach.audit_is_whole(data / "incidents.db")
    found = _ids(data)
    assert found["versions"][: len(EXPECTED["ids"]["versions"])] == EXPECTED["ids"]["versions"]
    assert {**found, "versions": []} == {**EXPECTED["ids"], "versions": []}


def test_inventory_holds_users_and_archive_are_read_as_they_were(folder: Path) -> None:
    listed = reach.invoke("inventory", "list").splitlines()
    kinds = _ask(folder / "linli-data/config.db", "SELECT kind FROM rows")
    assert len(listed) == kinds.count("device_configured") > 0
    assert "file 7/2026" in reach.invoke("hold", "list")
    assert "admin" in reach.invoke("users", "list")
    segments = reach.invoke("archive", "list").splitlines()
    assert len(segments) == EXPECTED["rows"]["archive/archive.db"]["segments"] > 0
    reach.invoke("archive", "verify")


@pytest.mark.service
@pytest.mark.slow
def test_linli_run_goes_on_over_it_and_shows_the_same_metrics(folder: Path) -> None:
    data, log = folder / "linli-data", folder / "said"
    with log.open("wb") as output:
        run = subprocess.Popen([*reach.PROGRAM, "run"], cwd=folder, env=_settings(), stdout=output, stderr=output)
    try:
        _wait(run, log, lambda: re.search(r"\bready\b", log.read_text()) is not None)
        found = re.search(r"\burl=(http://\S+/metrics)", log.read_text())
        assert found is not None
        with urllib.request.urlopen(found[1], timeout=30) as answer:
            shown = dict(re.findall(r"^# TYPE (\S+) (\S+)$", answer.read().decode(), re.MULTILINE))
        run.send_signal(signal.SIGTERM)
        assert run.wait(PATIENCE_S) == 0, log.read_text()
    finally:
        run.kill()
        run.wait()
    assert fallen(golden("metrics")["shown by linli run"], shown) == []
    assert set(EXPECTED["exported"]) <= set(_exported())
    assert set(EXPECTED["ids"]["deliveries"]) <= set(_ids(data)["deliveries"])
    rows = _rows(data)
    assert rows["config.db"]["rows"] == EXPECTED["rows"]["config.db"]["rows"]
    assert rows["results.db"]["points"] >= EXPECTED["rows"]["results.db"]["points"]


def _settings() -> dict[str, str]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    return {**os.environ, "LINLI_MQTT_URL": f"mqtt://127.0.0.1:{port}", "LINLI_MQTT_EMBEDDED": "amqtt"}


def _wait(run: subprocess.Popen[bytes], log: Path, done: Callable[[], bool]) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not done():
        assert run.poll() is None, log.read_text()
        assert time.monotonic() < end_s, log.read_text()
        time.sleep(0.1)
