"""docker-compose.yml is a valid Compose file, and every file and setting it names exists."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from app.main import COMMANDS
from app.settings.loading import load_settings
from app.settings.settings import keys
from edge.config import load_config
from inventory.file_import import parse_inventory
from tests.support.district_broker import secrets_module

REPOSITORY = Path(__file__).resolve().parents[2]
COMPOSE = REPOSITORY / "docker-compose.yml"
TOKENS = {"results", "grafana", "doctor"}
"""Shares into which InfluxDB's own tokens are put."""
NAMED_ELSEWHERE = {"secrets", "set-up", "simulator", "district-simulator", "edge-box"}
"""Services without secrets, or that name theirs in a command line or a file."""


def _services() -> dict[str, dict[str, Any]]:
    services: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    return services


def _schema() -> dict[str, Any]:
    """The Compose specification's own schema, as check-jsonschema carries it (its command needs a newer click)."""
    spec = importlib.util.find_spec("check_jsonschema")
    assert spec is not None and spec.origin is not None
    path = Path(spec.origin).parent / "builtin_schemas" / "vendor" / "compose-spec.json"
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


def test_it_satisfies_the_compose_schema() -> None:
    jsonschema.validate(yaml.safe_load(COMPOSE.read_text(encoding="utf-8")), _schema())


def test_every_mounted_file_is_in_the_repository() -> None:
    mounts = [v for service in _services().values() for v in service.get("volumes", ()) if v.startswith("./")]
    assert mounts
    assert [m for m in mounts if not (REPOSITORY / m.split(":")[0]).exists()] == []


def test_every_command_and_setting_it_uses_exists() -> None:
    services = _services()
    commands = [service["command"][0] for service in services.values() if "command" in service]
    assert commands
    assert set(commands) <= set(COMMANDS)
    environment = services["linli"]["environment"]
    assert set(environment) <= {key.variable for key in keys().values()}
    load_settings(None, environment)


def test_its_box_and_inventory_are_valid_and_agree(tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / "deploy" / "compose" / "box.toml", tmp_path)
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / "facade.mp4").touch()  # set-up.sh renders it
    box = load_config(tmp_path / "box.toml")
    text = (REPOSITORY / "deploy" / "compose" / "inventory.toml").read_text(encoding="utf-8")
    known = {getattr(record, "device_id", None) for record in parse_inventory(text, toml=True, now_ms=1)}
    assert {box.box.id, *(camera.id for camera in box.camera)} <= known


def _own(service: dict[str, Any]) -> set[str]:
    """Return the shares of secrets that a service mounts."""
    names = {volume.split(":")[0] for volume in service.get("volumes", ())}
    return {name.removeprefix("secrets-for-") for name in names if name.startswith("secrets-for-")}


def test_every_service_mounts_only_its_own_secrets_and_nothing_else_has_any() -> None:
    shares = secrets_module().SHARES
    mounted = {name: _own(service) for name, service in _services().items() if name != "secrets"}
    assert all(len(own) <= 1 for name, own in mounted.items() if name != "influx-tokens")
    assert set().union(*mounted.values()) == set(shares)
    for name, service in _services().items():
        volumes = {volume.split(":")[0] for volume in service.get("volumes", ())}
        sources = {"secrets-broker", "secrets-servers", "secrets-linli"}
        assert not volumes & sources or name == "secrets"


def test_a_service_has_the_secrets_that_its_settings_name_and_no_more() -> None:
    shares = secrets_module().SHARES
    for name, service in _services().items():
        if service.get("image") != "linli" or name in NAMED_ELSEWHERE:
            continue
        named = {Path(v).name for k, v in service["environment"].items() if k.endswith("_FILE")}
        (share,) = _own(service)
        made = {"influx-token"} if share in TOKENS else set()
        assert (name, named | {"ca.crt"}) == (name, set(shares[share]) | made)


def test_only_influxdb_itself_and_who_makes_tokens_have_its_administrators_token() -> None:
    shares = secrets_module().SHARES
    assert {name for name, own in shares.items() if "influx-token" in own} == {"influxdb", "influx-tokens"}
    service, made = _services()["influx-tokens"], set()
    for volume in service["volumes"]:
        source, inside = volume.split(":")[:2]
        if inside.startswith("/secrets/for-"):
            assert source == f"secrets-{inside.removeprefix('/secrets/')}"
            made.add(source.removeprefix("secrets-for-"))
    assert made == TOKENS
    text = (REPOSITORY / "deploy/compose/district/influx-tokens.sh").read_text(encoding="utf-8")
    rights = {line.split("/")[2]: line.split()[3:] for line in text.splitlines() if line.startswith("token /secrets/")}
    assert {name for name, given in rights.items() if "--write-bucket" in given} == {"for-results"}
    assert all(set(given[::2]) <= {"--read-bucket", "--write-bucket"} for given in rights.values())


def test_no_port_of_a_server_is_published_but_those_for_devices_and_people() -> None:
    published = {name: service["ports"] for name, service in _services().items() if "ports" in service}
    devices, page = ["127.0.0.1:8883:8883"], ["127.0.0.1:8080:8080"]
    assert published == {
        "mosquitto": devices, "broker": devices, "linli": page, "console": page, "grafana": ["127.0.0.1:3000:3000"]
    }  # fmt: skip


def test_a_broken_compose_file_would_be_noticed() -> None:
    broken = COMPOSE.read_text(encoding="utf-8").replace("    volumes:", "    volums:", 1)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(broken), _schema())
