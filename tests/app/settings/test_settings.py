"""Configuration is checked as a whole and says where each value came from."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli.check_config import command
from app.settings.settings import KEYS, Source, environment_name, load_settings, sqlite_path
from contracts.errors import ConfigurationError


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "linli.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_alone_are_a_valid_configuration() -> None:
    settings = load_settings(None, {})
    assert {v.source for v in settings.values.values()} == {Source.DEFAULT}
    assert settings.folder() == Path("linli-data")


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    path = _file(tmp_path, '[log]\nurl = "sqlite:///here"\nretention_days = 3\n')
    settings = load_settings(path, {"LINLI_LOG_URL": "sqlite:///there"})
    assert (settings["log.url"], settings.values["log.url"].source) == ("sqlite:///there", Source.ENVIRONMENT)
    assert (settings["log.retention_days"], settings.values["log.retention_days"].source) == ("3", Source.FILE)


@pytest.mark.parametrize("key", sorted(KEYS))
def test_every_key_can_be_set_from_the_environment(key: str) -> None:
    default = KEYS[key].default
    settings = load_settings(None, {environment_name(key): default})
    assert settings.values[key].source is Source.ENVIRONMENT


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    path = _file(tmp_path, '[log]\nurll = "x"\n[console]\nport = "many"\n[webhook]\nurl = "ftp://x"\n')
    with pytest.raises(ConfigurationError) as caught:
        load_settings(path, {"LINLI_LOG_UURL": "x"})
    message = str(caught.value)
    for part in ("did you mean 'log.url'", "console.port = 'many'", "webhook.url = 'ftp://x'", "LINLI_LOG_UURL"):
        assert part in message


@pytest.mark.parametrize("text", ["[log", "port = 3\n", "[log]\nurl = 1.5\n", "\x00"])
def test_a_file_that_is_no_settings_file_is_a_clear_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"linli\.toml"):
        load_settings(_file(tmp_path, text), {})


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        load_settings(tmp_path / "none.toml", {})


def test_a_kafka_log_has_no_folder() -> None:
    with pytest.raises(ConfigurationError, match="sqlite:///PATH"):
        sqlite_path(load_settings(None, {"LINLI_LOG_URL": "kafka://h:1"}), "log.url")


def test_check_config_prints_every_key_and_exits_cleanly(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["--config", str(_file(tmp_path, "[console]\nport = 9000\n"))])
    assert result.exit_code == 0
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert set(lines) == set(KEYS)
    assert "9000" in lines["console.port"] and " file " in lines["console.port"]
