"""Receivers from the settings: ``[webhook]`` is one of them, beside any ``[[receiver]]`` tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from app.settings.loading import load_settings
from app.wiring.receivers import receivers_of
from contracts.errors import ConfigurationError
from contracts.events import Origin
from contracts.findings import Severity
from delivery.profiles import ReceiverProfile
from delivery.receiver import Receiver

OLD = {
    "LINLI_WEBHOOK_URL": "https://receiver.example/linli",
    "LINLI_WEBHOOK_SECRET_FILE": "hook.secret",
    "LINLI_WEBHOOK_ORIGINS": "live, drill",
    "LINLI_WEBHOOK_UNVERIFIED": "true",
    "LINLI_WEBHOOK_MIN_SEVERITY": "major",
}
POLICE = {"kind": "webhook", "name": "police", "url": "https://police.example/", "secret_file": "police.secret"}


@pytest.fixture(autouse=True)
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # what the environment names lies under the working folder
    for name in ("hook.secret", "police.secret"):
        (tmp_path / name).write_text("0123456789abcdef\n", encoding="utf-8")


def opened(
    environ: dict[str, str], tables: Sequence[Mapping[str, object]], folder: Path
) -> list[tuple[ReceiverProfile, Receiver]]:
    file = folder / "linli.toml"
    lines = [
        line for table in tables for line in ["[[receiver]]", *(f'{key} = "{value}"' for key, value in table.items())]
    ]
    file.write_text("\n".join(lines), encoding="utf-8")
    return receivers_of(load_settings(file, environ))


def test_webhook_is_one_receiver_of_that_name(tmp_path: Path) -> None:
    ((profile, receiver),) = opened(OLD, [], tmp_path)
    assert receiver.name == "webhook"
    assert profile == ReceiverProfile(
        name="webhook", origins=(Origin.LIVE, Origin.DRILL), unverified=True, min_severity=Severity.MAJOR
    )


def test_webhook_and_tables_are_all_told(tmp_path: Path) -> None:
    assert [receiver.name for _, receiver in opened(OLD, [POLICE], tmp_path)] == ["police", "webhook"]


def test_without_either_nobody_is_told(tmp_path: Path) -> None:
    assert opened({}, [], tmp_path) == []


@pytest.mark.parametrize(
    ("environ", "tables", "said"),
    [
        (OLD | {"LINLI_WEBHOOK_URL": "http://receiver.example/"}, [], r"webhook\.url .* is not encrypted"),
        ({"LINLI_WEBHOOK_URL": "https://receiver.example/"}, [], r"webhook\.secret_file is empty"),
        (OLD, [POLICE | {"name": "webhook"}], r"\[\[receiver\]\] 2 .*: name = 'webhook' is that of \[\[receiver\]\] 1"),
        ({}, [POLICE | {"secret_file": "none"}], r"police\.secret_file = .*none' cannot be read: FileNotFoundError"),
        ({}, [POLICE | {"urll": ""}], r"\[\[receiver\]\] 1 \(police\): unknown key 'urll'"),
    ],
)
def test_a_receiver_that_cannot_be_opened_is_named(
    environ: dict[str, str], tables: list[dict[str, object]], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        opened(environ, tables, tmp_path)
