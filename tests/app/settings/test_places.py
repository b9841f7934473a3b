"""Where relative paths lie, which stores lie beside the log, and data that was looked for elsewhere before."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.settings.loading import Loaded, ValueOrigin, load, load_settings
from app.settings.settings import keys
from contracts.errors import ConfigurationError

FOLLOWERS = {
    "archive.folder": "archive",
    "inventory.url": "config.db",
    "incidents.url": "incidents.db",
    "results.url": "results.db",
    "results.spool": "results-spool.db",
    "evidence.folder": "evidence",
    "dead_letters.folder": "dead-letters",
    "erasure.key_file": "erasure.key",
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory is another one than that of the settings file."""
    (tmp_path / "cwd").mkdir()
    (tmp_path / "etc").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "etc" / "linli.toml"
    path.write_text(text, encoding="utf-8")
    return path


def places(loaded: Loaded) -> dict[str, str]:
    return {name: keys()[name].kind.text(keys()[name].value(loaded.settings)) for name in FOLLOWERS}


def in_folder(folder: str) -> dict[str, str]:
    prefix = {name: "sqlite:///" if name.endswith("url") else "" for name in FOLLOWERS}
    return {name: f"{prefix[name]}{folder}/{file}" for name, file in FOLLOWERS.items()}


def test_stores_follow_the_log_unless_they_are_set() -> None:
    loaded = load(None, {"LINLI_LOG_URL": "sqlite:///there", "LINLI_EVIDENCE_FOLDER": "pictures"})
    assert places(loaded) == in_folder("there") | {"evidence.folder": "pictures"}
    origins = {name: loaded.origins[name] for name in FOLLOWERS}
    assert origins == dict.fromkeys(FOLLOWERS, ValueOrigin.FOLLOWS_LOG) | {"evidence.folder": ValueOrigin.ENVIRONMENT}


def test_every_key_that_follows_the_log_is_known_here() -> None:
    assert {name: key.beside_log for name, key in keys().items() if key.beside_log} == FOLLOWERS


@pytest.mark.parametrize("log", [{}, {"LINLI_LOG_URL": "kafka://h:1"}], ids=["default", "kafka"])
def test_without_a_folder_of_the_log_they_lie_where_they_lie_by_default(log: dict[str, str]) -> None:
    loaded = load(None, log)
    assert places(loaded) == in_folder("linli-data")
    assert {loaded.origins[name] for name in FOLLOWERS} == {ValueOrigin.DEFAULT}


def test_the_inventory_lies_with_incidents_that_are_in_postgresql() -> None:
    environ = {"LINLI_INCIDENTS_URL": "postgresql://linli@db/linli", "LINLI_LOG_URL": "sqlite:///there"}
    loaded = load(None, environ)
    assert (loaded.settings.inventory.url, loaded.origins["inventory.url"]) == ("", ValueOrigin.FOLLOWS_INCIDENTS)


def test_relative_paths_in_the_file_lie_under_its_folder(tmp_path: Path) -> None:
    text = (
        '[log]\nurl = "sqlite:///data"\n[evidence]\nfolder = "../pictures"\n[mqtt]\npassword_file = "mqtt"\n'
        '[incidents]\nurl = "sqlite:////srv/incidents.db"\n[archive]\nfolder = ""\n'
    )
    settings = load_settings(written(tmp_path, text), {})
    assert settings.log.folder() == tmp_path / "etc" / "data"
    assert settings.evidence.folder == tmp_path / "etc" / "../pictures"
    assert settings.mqtt.password_file == tmp_path / "etc" / "mqtt"
    assert settings.incidents.url == "sqlite:////srv/incidents.db"
    assert settings.archive.folder is None
    assert settings.results.spool == tmp_path / "etc" / "data" / "results-spool.db"


def test_relative_paths_of_environment_and_defaults_lie_under_the_working_directory(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, "[console]\nport = 1\n"), {"LINLI_MQTT_PASSWORD_FILE": "mqtt"})
    assert settings.mqtt.password_file == Path("mqtt")
    assert settings.log.folder() == Path("linli-data")


def test_a_file_here_and_a_file_named_with_its_folder_mean_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = written(tmp_path, '[log]\nurl = "sqlite:///data"\n')
    monkeypatch.chdir(path.parent)
    here = load_settings(None, {}).log.folder()
    assert here.absolute() == load_settings(path, {}).log.folder()


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()


def test_a_store_left_where_it_was_looked_for_before_is_named_with_both_places(tmp_path: Path) -> None:
    touch(tmp_path / "cwd" / "linli-data", "incidents.db")
    touch(tmp_path / "cwd" / "there", "engine.db")
    (tmp_path / "cwd" / "pictures").mkdir()
    path = written(tmp_path, '[evidence]\nfolder = "pictures"\n')
    with pytest.raises(ConfigurationError) as caught:
        load_settings(path, {"LINLI_LOG_URL": "sqlite:///there"})
    message = str(caught.value)
    assert f"incidents.url: there is {tmp_path}/cwd/linli-data/incidents.db" in message
    assert f"now {tmp_path}/cwd/there/incidents.db would be (it follows log.url)" in message
    assert f"evidence.folder: there is {tmp_path}/cwd/pictures" in message
    assert f"now {tmp_path}/etc/pictures would be (it is relative to the file)" in message
    assert message.count("; ") == 1


def test_a_log_that_a_relative_path_in_the_file_named_before_is_not_passed_over(tmp_path: Path) -> None:
    touch(tmp_path / "cwd" / "data", "engine.db")
    with pytest.raises(ConfigurationError, match=r"log\.url: there is .*cwd/data, which was used before"):
        load_settings(written(tmp_path, '[log]\nurl = "sqlite:///data"\n'), {})


@pytest.mark.parametrize(
    ("default", "there"),
    [
        (["incidents.db"], []),  # nothing has run there yet
        (["incidents.db", "engine.db"], ["engine.db"]),  # those of another community
        (["incidents.db"], ["engine.db", "incidents.db"]),  # moved, or begun anew by a person
    ],
)
def test_what_another_community_keeps_and_what_was_moved_are_no_matter(
    tmp_path: Path, default: list[str], there: list[str]
) -> None:
    touch(tmp_path / "cwd" / "linli-data", *default)
    touch(tmp_path / "cwd" / "there", *there)
    assert load_settings(None, {"LINLI_LOG_URL": "sqlite:///there"}).incidents.url == "sqlite:///there/incidents.db"


def test_a_store_that_is_set_is_where_it_is_set(tmp_path: Path) -> None:
    touch(tmp_path / "cwd" / "linli-data", "incidents.db")
    touch(tmp_path / "cwd" / "there", "engine.db")
    environ = {"LINLI_LOG_URL": "sqlite:///there", "LINLI_INCIDENTS_URL": "sqlite:///other.db"}
    assert load_settings(None, environ).incidents.url == "sqlite:///other.db"
