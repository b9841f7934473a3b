"""Where incidents and inventory lie, as the settings say it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from app.main import linli
from app.settings.loading import load_settings
from app.wiring.stores import (
    boxes_file,
    incidents_passwords,
    incidents_url,
    inventory_passwords,
    inventory_url,
    open_incidents,
    open_inventory,
)
from contracts.errors import ConfigurationError, Transient
from contracts.secrets import Secret
from inventory.inventory import Inventory
from tests.ingest.builders import site
from tests.inventory.test_inventory import TOML
from tests.support.postgres import PASSWORD
from tests.support.stores import postgresql_url

INCIDENTS = "postgresql://linli@db:5433/linli"


@pytest.mark.parametrize(
    ("environ", "where"),
    [
        ({}, "sqlite:///linli-data/config.db"),
        ({"LINLI_INCIDENTS_URL": "sqlite:///elsewhere/incidents.db"}, "sqlite:///linli-data/config.db"),
        ({"LINLI_INVENTORY_URL": ""}, "sqlite:///linli-data/config.db"),
        ({"LINLI_INVENTORY_URL": "", "LINLI_LOG_URL": "sqlite:///d"}, "sqlite:///d/config.db"),
        ({"LINLI_INCIDENTS_URL": INCIDENTS}, INCIDENTS),
        ({"LINLI_INCIDENTS_URL": INCIDENTS, "LINLI_INVENTORY_URL": ""}, INCIDENTS),
        ({"LINLI_INCIDENTS_URL": INCIDENTS, "LINLI_INVENTORY_URL": "sqlite:///c.db"}, "sqlite:///c.db"),
        ({"LINLI_INVENTORY_URL": "postgresql://i@db/i"}, "postgresql://i@db/i"),
    ],
)
def test_the_inventory_lies_with_the_incidents_in_postgresql_unless_it_is_told_where(
    environ: dict[str, str], where: str
) -> None:
    assert inventory_url(load_settings(None, environ)) == where


def test_a_password_comes_from_its_file_and_stands_in_no_setting(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("p@ss/word\n", encoding="utf-8")
    environ = {"LINLI_INCIDENTS_URL": INCIDENTS, "LINLI_INCIDENTS_PASSWORD_FILE": str(tmp_path / "secret")}
    settings = load_settings(None, environ)
    assert incidents_url(settings) == inventory_url(settings) == INCIDENTS
    for passwords in (incidents_passwords(settings), inventory_passwords(settings)):
        assert passwords is not None
        assert passwords() == [Secret("p@ss/word")]
    with pytest.raises(ConfigurationError, match="expected no password in the URL"):
        load_settings(None, {"LINLI_INCIDENTS_URL": "postgresql://linli:secret@db/linli"})
    with pytest.raises(ConfigurationError, match=r"incidents.password_file = 'none' cannot be read"):
        open_incidents(load_settings(None, environ | {"LINLI_INCIDENTS_PASSWORD_FILE": "none"}))


@pytest.mark.parametrize("port", ["many", "99999999"])
def test_a_url_that_is_none_is_named(tmp_path: Path, port: str) -> None:
    environ = {"LINLI_INCIDENTS_URL": f"postgresql://linli@db:{port}/linli"}
    with pytest.raises((ConfigurationError, Transient), match=r"incidents\.url|db"):
        open_incidents(load_settings(None, environ))


@pytest.mark.parametrize(
    ("log_url", "file"),
    [("sqlite:///here", "here/boxes.jsonl"), ("kafka://h:1", "data/boxes.jsonl")],
)
def test_the_boxes_tokens_lie_with_the_log_or_beside_the_evidence(log_url: str, file: str) -> None:
    settings = load_settings(None, {"LINLI_LOG_URL": log_url, "LINLI_EVIDENCE_FOLDER": "data/evidence"})
    assert boxes_file(settings) == Path(file)


@pytest.mark.service
@pytest.mark.patient
def test_incidents_and_inventory_share_one_database_without_meeting(tmp_path: Path) -> None:
    url = postgresql_url(tmp_path)
    (tmp_path / "secret").write_text(PASSWORD, encoding="utf-8")
    settings = load_settings(
        None,
        {
            "LINLI_INCIDENTS_URL": url.replace(f":{PASSWORD}", ""),
            "LINLI_INCIDENTS_PASSWORD_FILE": str(tmp_path / "secret"),
        },
    )
    store = open_incidents(settings)
    inventory: Inventory = open_inventory(settings)
    assert inventory.put([site()]) == 1
    assert [s.site_id for s in inventory.sites()] == ["s1"]
    with store.read() as connection:
        schemas = connection.exec_driver_sql(
            "SELECT schemaname FROM pg_tables WHERE tablename IN ('rows', 'incidents')"
        )
        assert sorted(schemas.scalars()) == ["inventory", "public"]
    inventory.close()
    store.close()


@pytest.mark.service
@pytest.mark.patient
def test_people_and_inventory_are_edited_in_postgresql_and_an_absent_server_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text(PASSWORD, encoding="utf-8")
    (tmp_path / "i.toml").write_text(TOML, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LINLI_INCIDENTS_PASSWORD_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("LINLI_INCIDENTS_URL", postgresql_url(tmp_path).replace(f":{PASSWORD}", ""))
    run = CliRunner().invoke
    assert "4 changed" in run(linli, ["inventory", "load", "i.toml"]).stderr
    added = run(linli, ["users", "add", "wang", "--role", "operator@s1", "--password-stdin"], input="a long password\n")
    assert added.exit_code == 0, added.output
    assert run(linli, ["users", "list"]).stdout == "wang\toperator@s1\n"
    assert run(linli, ["inventory", "list"]).stdout.startswith("s1\tg1\tgate")
    monkeypatch.setenv("LINLI_INCIDENTS_URL", "postgresql://linli@127.0.0.1:9/linli")
    for command in (["users", "list"], ["inventory", "list"]):
        away = run(linli, command).exception
        assert isinstance(away, Transient)
        assert str(away).startswith("postgresql://linli@127.0.0.1:9/linli does not answer")
