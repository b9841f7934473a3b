"""``linli check-config`` prints every key with its origin, and no output of the settings shows a secret."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.main import exit_code, linli
from app.settings.description import keys_as_table
from app.settings.loading import load_settings
from app.settings.secret_files import files_named, read_secret, read_secret_if_named
from app.settings.settings import keys
from contracts.errors import ConfigurationError
from delivery.http.address import parse_address
from delivery.receivers.webhook.settings import WebhookSettings
from ingest.settings import broker_address
from streams.kafka.cluster import parse_kafka_url
from streams.results.influx_url import parse_influx

SECRET = "tulip-4711"


def lines(environ: dict[str, str], config: Path | None = None) -> dict[str, str]:
    arguments = [] if config is None else ["--config", str(config)]
    result = CliRunner().invoke(linli, ["check-config", *arguments], env=environ)
    assert result.exit_code == 0, result.output
    return {line[:26].strip(): line for line in result.stdout.splitlines()}


def test_it_prints_every_key_with_its_value_and_origin(tmp_path: Path) -> None:
    file = tmp_path / "linli.toml"
    file.write_text(
        '[console]\nport = 9000\n[[receiver]]\nkind = "webhook"\nname = "duty"\n'
        'url = "https://duty.example"\nsecret_file = "duty.secret"\n',
        encoding="utf-8",
    )
    found = lines({"LINLI_LOG_URL": f"sqlite:///{tmp_path}", "LINLI_METRICS_PORT": "off"}, file)
    assert set(found) == {*keys(), "receiver duty"}
    assert found["console.port"].split()[1:3] == ["9000", "file"]
    assert found["metrics.port"].split()[1:3] == ["off", "environment"]
    assert found["log.retention_days"].split()[1:3] == ["7", "default"]
    assert f"{tmp_path}/evidence" in found["evidence.folder"] and "follows log.url" in found["evidence.folder"]
    assert "(none)" in found["mqtt.password_file"]
    assert found["receiver duty"].split()[2:4] == ["webhook", "file"]


def test_it_prints_the_webhook_of_before_as_a_receiver_also_without_its_secret() -> None:
    found = lines({"LINLI_WEBHOOK_URL": "http://receiver.example"})
    assert found["receiver webhook"].split()[2:4] == ["webhook", "environment"]
    assert "(none)" in found["webhook.secret_file"]


def test_it_prints_the_session_in_force_where_none_is_named() -> None:
    assert lines({})["mqtt.client_id"].split()[1:3] == ["linli-ingest-0", "default"]
    assert lines({"LINLI_MQTT_CLIENT_ID": "north"})["mqtt.client_id"].split()[1:3] == ["north", "environment"]


def test_it_shows_no_secret_wherever_one_is_written(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET, encoding="utf-8")
    environ = {key.variable: str(secret) for key in keys().values() if key.field.endswith("_file")} | {
        "LINLI_MQTT_URL": f"mqtts://ingest:{SECRET}@broker:1883",
        "LINLI_KAFKA_TLS": "true",
        "LINLI_INCIDENTS_URL": "postgresql://linli@db/linli",
        "LINLI_RESULTS_URL": "influx://db/linli?version=1&tls=true",
        "LINLI_WEBHOOK_URL": f"https://robot.example/send?token={SECRET}",
    }
    text = "\n".join(lines(environ).values())
    assert SECRET not in text
    assert "mqtts://ingest:***@broker:1883" in text
    assert "https://robot.example/***?***" in text
    assert str(secret) in text


@pytest.mark.parametrize(
    "environ",
    [
        {"LINLI_INCIDENTS_URL": f"postgresql://linli:{SECRET}@db/linli"},
        {"LINLI_MQTT_URL": f"http://linli:{SECRET}@broker"},
        {"LINLI_WEBHOOK_URL": f"ftp://receiver?key={SECRET}"},
        {"LINLI_RESULTS_URL": f"influx://user:{SECRET}@db/x"},
    ],
)
def test_an_error_about_a_url_does_not_show_its_password(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(None, environ)
    assert SECRET not in str(caught.value)


def test_a_secret_file_is_read_as_a_secret_and_shown_by_nothing(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n", encoding="utf-8")
    secret = read_secret(file, "mqtt.password_file")
    assert secret.reveal() == SECRET
    assert SECRET not in f"{secret} {secret!r}"
    assert not read_secret_if_named(None, "mqtt.password_file")


def test_a_secret_file_that_is_missing_or_not_named_says_which_setting_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"webhook\.secret_file is empty"):
        read_secret(None, "webhook.secret_file")
    with pytest.raises(ConfigurationError, match=r"mqtt.password_file = .*none.* cannot be read: FileNotFoundError"):
        read_secret_if_named(tmp_path / "none", "mqtt.password_file")


def test_the_files_that_settings_name_are_known_by_key() -> None:
    environ = {"LINLI_MQTT_CA_FILE": "/etc/ca", "LINLI_RESULTS_TOKEN_FILE": "/etc/token"}
    assert files_named(load_settings(None, environ)) == {
        "mqtt.ca_file": Path("/etc/ca"),
        "results.token_file": Path("/etc/token"),
    }


def test_the_table_of_keys_has_a_row_for_each() -> None:
    rows = keys_as_table().splitlines()
    assert [row.split("`")[1] for row in rows[2:]] == list(keys())
    assert rows[2] == "| `mqtt.url` | `mqtt://127.0.0.1:1883` | the broker that devices publish to |"
    assert CliRunner().invoke(linli, ["check-config", "--markdown"]).stdout == keys_as_table()


ODD = f"{SECRET}/?#@"
"""A password with every character that ends a part of a URL."""
WRITTEN = {
    "LINLI_MQTT_URL": f"mqtt://ingest:{ODD}@broker:1883",
    "LINLI_LOG_URL": f"kafka://linli:{ODD}@broker:9092",
    "LINLI_INCIDENTS_URL": f"postgresql://linli:{ODD}@db/linli",
    "LINLI_INVENTORY_URL": f"postgresql://linli:{ODD}@db/linli",
    "LINLI_RESULTS_URL": f"influx://linli:{ODD}@db:8086/linli?version=1&token={SECRET}",
    "LINLI_WEBHOOK_URL": f"https://linli:{ODD}@robot.example/send/{SECRET}?access_token={SECRET}#{SECRET}",
}
"""A secret in every URL that there is."""


@pytest.mark.parametrize("variable", WRITTEN)
@pytest.mark.parametrize("scheme", ["as it is", "wrong"])
def test_no_url_is_shown_with_its_secret_by_a_list_an_error_or_repr(variable: str, scheme: str) -> None:
    url = WRITTEN[variable] if scheme == "as it is" else WRITTEN[variable].replace("://", "x://", 1)
    said = CliRunner().invoke(linli, ["check-config"], env={variable: url})
    assert SECRET not in said.output and SECRET not in repr(said.exception)
    assert said.exception is None or isinstance(said.exception, ConfigurationError | SystemExit)
    assert SECRET not in _said_by(lambda: load_settings(None, {variable: url}))


def test_every_setting_that_is_a_url_is_tried_here() -> None:
    assert set(WRITTEN) == {key.variable for key in keys().values() if key.field == "url"}


@pytest.mark.parametrize(
    "use",
    [
        lambda: broker_address(WRITTEN["LINLI_MQTT_URL"].replace(ODD, f"x:{SECRET}")),
        lambda: broker_address(f"mqtt://broker:{SECRET}"),
        lambda: parse_kafka_url(WRITTEN["LINLI_LOG_URL"]),
        lambda: parse_influx(WRITTEN["LINLI_RESULTS_URL"]),
        lambda: parse_address(WRITTEN["LINLI_WEBHOOK_URL"]),
        lambda: parse_address(f"http://robot.example/send/{SECRET}"),
    ],
)
def test_what_takes_a_url_apart_names_no_secret(use: Callable[[], object]) -> None:
    assert SECRET not in _said_by(use)


def _said_by(use: Callable[[], object]) -> str:
    """What a person may read of it: the error's text, or what is made, as it is printed."""
    try:
        made = use()
    except ConfigurationError as error:
        return str(error)
    return f"{made} {made!r}"


def test_a_receivers_address_is_not_shown_by_what_holds_it(tmp_path: Path) -> None:
    file = tmp_path / "linli.toml"
    file.write_text(
        f'[[receiver]]\nkind = "webhook"\nname = "duty"\nurl = "https://duty.example/{SECRET}?key={SECRET}"\n'
        'secret_file = "duty.secret"\n',
        encoding="utf-8",
    )
    loaded = load_settings(file, {})
    assert SECRET not in repr(loaded) + "\n".join(lines({}, file).values())
    own = loaded.receiver[0].own
    assert isinstance(own, WebhookSettings) and own.url == f"https://duty.example/{SECRET}?key={SECRET}"


@pytest.mark.parametrize(
    ("variable", "written"),
    [
        ("LINLI_INCIDENTS_URL", f"host=db password={SECRET} dbname=x"),
        ("LINLI_INCIDENTS_URL", f"postgresql:host=db password={SECRET}"),
        ("LINLI_INCIDENTS_URL", f"postgresql://db/x password={SECRET}"),
        ("LINLI_INVENTORY_URL", f"host=db password={SECRET}"),
        ("LINLI_MQTT_URL", f"mqtt:ingest:{SECRET}"),
        ("LINLI_MQTT_URL", f"ingest:{SECRET}"),
        ("LINLI_MQTT_URL", f"mqtt://ingest:{SECRET}"),
        ("LINLI_WEBHOOK_URL", f"https:{SECRET}"),
        ("LINLI_LOG_URL", f"kafka:{SECRET}"),
    ],
)
def test_what_is_written_in_another_way_is_shown_nowhere(
    variable: str, written: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, written)
    for command in (["check-config"], ["doctor"], ["hold", "list"]):
        with suppress(SystemExit):
            exit_code(command)
        said = capsys.readouterr()
        assert SECRET not in said.out + said.err


@pytest.mark.parametrize("value", [f'{{ address = "https://h/{SECRET}" }}', f'[{{ a = "https://h/{SECRET}" }}]', "1.5"])
def test_a_value_of_another_type_is_not_quoted(tmp_path: Path, value: str) -> None:
    file = tmp_path / "linli.toml"
    file.write_text(f"[webhook]\nurl = {value}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"webhook\.url") as raised:
        load_settings(file, {})
    assert SECRET not in str(raised.value)


def test_a_number_of_thousands_of_digits_is_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "linli.toml"
    file.write_text(f"[console]\nport = {'9' * 5_000}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"linli\.toml: a number with thousands of digits"):
        load_settings(file, {})
