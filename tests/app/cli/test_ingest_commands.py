"""``linli inventory`` and ``linli dead-letters``: data on stdout, progress on stderr, exit code 2 with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.main import linli
from contracts.errors import ConfigurationError, RejectReason
from ingest.shard.dead_letters import DeadLetters, dead_letter
from inventory.inventory import Inventory
from inventory.pending import PendingDevice, PendingTopic
from tests.ingest.builders import NOW_MS
from tests.inventory.test_inventory import TOML


@pytest.fixture
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LINLI_INVENTORY_URL", f"sqlite:///{tmp_path}/config.db")
    monkeypatch.setenv("LINLI_DEAD_LETTERS_FOLDER", str(tmp_path / "dead"))


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(linli, arguments, catch_exceptions=True)


@pytest.mark.usefixtures("_settings")
def test_an_inventory_is_loaded_listed_and_loaded_again_without_change(tmp_path: Path) -> None:
    (tmp_path / "i.toml").write_text(TOML, encoding="utf-8")
    first, second = _run("inventory", "load", "i.toml"), _run("inventory", "load", "i.toml")
    assert (first.exit_code, first.stdout) == (0, "")
    assert "4 records read, 4 changed" in first.stderr
    assert "4 records read, 0 changed" in second.stderr
    listed = _run("inventory", "list")
    assert listed.stdout == "s1\tg1\tgate\tgate-1\t-\t180 s\t\n"
    assert _run("inventory", "list", "--site", "s2").stdout == ""


@pytest.mark.usefixtures("_settings")
def test_a_missing_file_is_a_configuration_error() -> None:
    result = _run("inventory", "load", "nowhere.toml")
    assert isinstance(result.exception, ConfigurationError)
    assert "nowhere.toml cannot be read" in str(result.exception)


@pytest.mark.usefixtures("_settings")
def test_who_is_pending_is_printed(tmp_path: Path) -> None:
    assert _run("inventory", "pending").stderr == "nobody is pending\n"
    inventory = Inventory(tmp_path / "config.db")
    inventory.waiting.put(
        [PendingDevice("s1", "g9", "gate", 3, "door_changed", NOW_MS)], [PendingTopic("x/y", 2, 10, NOW_MS)]
    )
    assert _run("inventory", "pending").stdout == (
        "device\ts1\tg9\tgate\t3\tdoor_changed\t2026-11-18T11:06:40Z\tthe inventory has no site 's1'\n"
        "topic\tx/y\t2\t10 bytes\t2026-11-18T11:06:40Z\t'x/y' is not linli/v1/site/class/device/channel\n"
    )
    assert _run("devices", "pending").stdout == _run("inventory", "pending").stdout


@pytest.mark.usefixtures("_settings")
def test_dead_letters_are_listed_shown_and_purged(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path / "dead")
    letters.add(dead_letter(RejectReason.NOT_JSON, "byte 0", ("s1", "g1"), "linli/v1/s1/gate/g1/evt", b"on", NOW_MS))
    letters.flush(NOW_MS)
    assert _run("dead-letters", "list").stdout == "1\t2026-11-18T11:06:40Z\tnot_json\ts1/g1\t2 bytes\tbyte 0\n"
    assert _run("dead-letters", "list", "--reason", "too_old").stdout == ""
    assert "sha256   " in _run("dead-letters", "show", "1").stdout
    assert isinstance(_run("dead-letters", "show", "7").exception, ConfigurationError)
    assert _run("dead-letters", "list", "--reason", "bad_luck").exit_code == 2
    assert "1 letters deleted" in _run("dead-letters", "purge", "--yes").stderr
    assert letters.list(9) == []
