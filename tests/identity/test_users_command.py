"""``linli users``: people are added, listed and removed; data on stdout, the rest on stderr."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.main import linli
from contracts.errors import ConfigurationError
from identity.users import Users
from incidents.store.store import Store
from inventory.inventory import Inventory
from tests.ingest.builders import site


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LINLI_INCIDENTS_URL", f"sqlite:///{tmp_path}/incidents.db")
    inventory = Inventory(tmp_path / "linli-data" / "config.db")
    inventory.put([site("s1")])
    inventory.close()
    return tmp_path


def run(*arguments: str, given: str = "") -> Result:
    return CliRunner().invoke(linli, ["users", *arguments], input=given, catch_exceptions=True)


def test_a_person_is_added_with_a_password_printed_once_and_can_log_in(folder: Path) -> None:
    result = run("add", "wang", "--role", "operator@s1", "--role", "viewer@*")
    assert result.exit_code == 0
    password = result.stdout.strip()
    store = Store(f"sqlite:///{folder}/incidents.db")
    _, session = Users(store).log_in("wang", password, "")
    store.close()
    assert session.person.grants == {"s1": "operator", "*": "viewer"}
    assert run("list").stdout == "wang\tviewer@* operator@s1\n"


def test_a_password_from_standard_input_is_not_printed(folder: Path) -> None:
    result = run("add", "wang", "--role", "admin@*", "--password-stdin", given="a long password\n")
    assert (result.exit_code, result.stdout) == (0, "")
    assert run("password", "wang").stdout.strip() not in {"", "a long password"}
    assert run("remove", "wang").exit_code == 0
    assert run("list").stdout == ""


@pytest.mark.parametrize("role", ["operator", "king@s1", "@s1", "operator@"])
def test_a_role_that_does_not_exist_is_a_configuration_error(folder: Path, role: str) -> None:
    error = run("add", "wang", "--role", role).exception
    assert isinstance(error, ConfigurationError)
    assert "viewer, operator, supervisor, admin" in str(error)
