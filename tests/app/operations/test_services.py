"""``linli services``: what to run for the settings in force, and units that systemd itself finds right."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli.command_line import with_config
from app.cli.services import placed
from app.main import linli
from app.operations.services import ProcessCounts, Service, services_of
from app.operations.systemd import TARGET, units_of
from app.settings.loading import load_settings

DEPLOY = Path(__file__).resolve().parents[3] / "deploy" / "systemd"
KAFKA = {"LINLI_LOG_URL": "kafka://127.0.0.1:9092"}
PROGRAM = Path("/opt/linli/bin/linli")
CONFIG = Path("/etc/linli/linli.toml")
SECRETS = {"LINLI_MQTT_PASSWORD_FILE": "/etc/linli/mqtt", "LINLI_WEBHOOK_SECRET_FILE": "/etc/linli/webhook"}


def _district(**changes: str) -> list[Service]:
    return services_of(load_settings(None, KAFKA | changes), ProcessCounts())


def test_one_machine_is_one_process_and_a_district_has_one_command_for_each() -> None:
    (machine,) = services_of(load_settings(None, {}), ProcessCounts())
    assert machine.arguments == ("run",)
    assert [" ".join(service.arguments) for service in _district()] == [
        "ingest run --shard 0/2",
        "ingest run --shard 1/2",
        *["streams run"] * 3,
        *["incidents run"] * 2,
        "console run",
        "results run",
        "archive run",
    ]


def test_each_has_a_metrics_port_of_its_own_unless_metrics_are_off() -> None:
    ports = [service.metrics_port for service in _district(LINLI_METRICS_PORT="9500")]
    assert ports == list(range(9500, 9510))
    assert {service.metrics_port for service in _district(LINLI_METRICS_PORT="off")} == {None}
    assert len({service.metrics_port for service in _district()}) == 10


def commands_of(services: list[Service]) -> list[tuple[str, ...]]:
    return sorted({service.arguments for service in services})


@pytest.mark.parametrize(
    "arguments", commands_of([*_district(), *services_of(load_settings(None, {}), ProcessCounts())])
)
def test_every_command_it_prints_is_one_with_and_without_a_settings_file(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    config = tmp_path / "linli.toml"
    config.touch()
    parsed(arguments)
    parsed(with_config(linli, arguments, config))
    assert str(config) in with_config(linli, arguments, config)


def parsed(arguments: tuple[str, ...]) -> None:
    """Nothing, when click knows every word of the command line: the help that is asked for last is given."""
    result = CliRunner().invoke(linli, [*arguments, "--help"])
    assert result.exit_code == 0, result.output


def test_it_prints_a_line_a_process_and_writes_a_unit_each_and_their_target(tmp_path: Path) -> None:
    folder = tmp_path / "units"
    result = CliRunner().invoke(linli, ["services", "--workers", "1", "--systemd", str(folder)], env=KAFKA | SECRETS)
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 8
    assert {path.name for path in folder.iterdir()} == {f"{s.name}.service" for s in _one_worker()} | {TARGET}


def _one_worker() -> list[Service]:
    return services_of(load_settings(None, KAFKA), ProcessCounts(workers=1))


def test_secrets_reach_a_service_as_credentials_and_never_stand_in_the_unit(tmp_path: Path) -> None:
    settings = load_settings(None, KAFKA | SECRETS)
    text = units_of(settings, placed(linli, _one_worker(), CONFIG), linli=PROGRAM)["linli-ingest-0.service"]
    assert f"ExecStart={PROGRAM} ingest --config {CONFIG} run --shard 0/2\n" in text
    assert "LoadCredential=mqtt-password_file:/etc/linli/mqtt\n" in text
    assert "Environment=LINLI_MQTT_PASSWORD_FILE=%d/mqtt-password_file\n" in text
    assert "Environment=LINLI_METRICS_PORT=9310\n" in text


EVERYTHING = KAFKA | {
    "LINLI_MQTT_PASSWORD_FILE": "/etc/linli/mqtt",
    "LINLI_KAFKA_TLS": "true",
    "LINLI_KAFKA_CA_FILE": "/etc/linli/ca",
    "LINLI_KAFKA_PASSWORD_FILE": "/etc/linli/kafka",
    "LINLI_INCIDENTS_URL": "postgresql://linli@db/linli",
    "LINLI_INCIDENTS_PASSWORD_FILE": "/etc/linli/postgres",
    "LINLI_RESULTS_URL": "influx://db/linli?version=1",
    "LINLI_RESULTS_PASSWORD_FILE": "/etc/linli/influx",
    "LINLI_WEBHOOK_URL": "https://r.example",
    "LINLI_WEBHOOK_SECRET_FILE": "/etc/linli/webhook",
    "LINLI_ARCHIVE_FOLDER": "/srv/archive",
    "LINLI_ARCHIVE_KEY_FILE": "/srv/keys/archive",
    "LINLI_CONSOLE_CERT_FILE": "/etc/linli/page.crt",
    "LINLI_CONSOLE_KEY_FILE": "/etc/linli/page.key",
    "LINLI_EVIDENCE_FOLDER": "/srv/evidence",
}
STORES = {"kafka", "postgres"}


@pytest.mark.parametrize(
    ("name", "given", "written"),
    [
        ("linli-ingest-0", STORES | {"mqtt"}, set()),
        ("linli-streams-0", {"kafka"}, set()),
        ("linli-incidents-0", STORES | {"webhook"}, set()),
        ("linli-console", STORES | {"page.crt", "page.key"}, {"/srv/evidence"}),
        ("linli-results", STORES | {"influx"}, set()),
        ("linli-archive", STORES, {"/srv/archive", "/srv/evidence", "/srv/keys"}),
    ],
)
def test_each_process_gets_its_own_secrets_and_cannot_open_the_others(
    name: str, given: set[str], written: set[str]
) -> None:
    settings = load_settings(None, EVERYTHING)
    text = units_of(settings, placed(linli, services_of(settings, ProcessCounts()), CONFIG), linli=PROGRAM)
    lines = text[f"{name}.service"].splitlines()
    loaded = {Path(line).name for line in lines if line.startswith("LoadCredential=")}
    hidden = {Path(line).name for line in lines if line.startswith("InaccessiblePaths=")}
    assert loaded == given | {"ca"}
    every = {Path(path).name for key, path in EVERYTHING.items() if key.endswith("_FILE")}
    assert loaded | hidden == every - ({"archive"} if name == "linli-archive" else set())
    assert not loaded & hidden
    assert {line.partition("=-")[2] for line in lines if line.startswith("ReadWritePaths=")} == written


def test_the_units_in_deploy_are_those_that_the_command_writes() -> None:
    district = load_settings(None, KAFKA | SECRETS)
    machine = load_settings(None, SECRETS)
    for name, settings in {"district": district, "machine": machine}.items():
        expected = units_of(settings, placed(linli, services_of(settings, ProcessCounts()), CONFIG), linli=PROGRAM)
        found = {path.name: path.read_text(encoding="utf-8") for path in (DEPLOY / name).iterdir()}
        assert found == expected


@pytest.mark.parametrize("name", ["district", "machine"])
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path, name: str) -> None:
    """``systemd-analyze verify`` where it is installed; that every line is in a section and known, everywhere."""
    paths = []
    for source in sorted((DEPLOY / name).iterdir()):
        path = tmp_path / source.name
        path.write_text(source.read_text(encoding="utf-8").replace(str(PROGRAM), sys.executable), encoding="utf-8")
        paths.append(str(path))
        parser = configparser.ConfigParser(strict=False, interpolation=None)
        parser.read(path)
        assert parser.sections() == (["Unit", "Install"] if source.name == TARGET else ["Unit", "Service", "Install"])
    program = shutil.which("systemd-analyze")
    if program is None:
        return
    done = subprocess.run(
        [program, "verify", "--man=no", "--recursive-errors=no", *paths],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    )
    about_ours = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "linli" in line]
    assert about_ours == []
