"""Settings are checked as a whole: every key, from the file and from the environment, is a typed value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.settings.kinds import Kind
from app.settings.loading import ValueOrigin, load, load_settings
from app.settings.receivers import webhook_receiver
from app.settings.servers import BrokerChoice, Language
from app.settings.settings import Key, Settings, keys
from contracts.errors import ConfigurationError
from contracts.events import Origin
from contracts.findings import Severity
from delivery.receivers.webhook.settings import WebhookSettings as ReceivedWebhook
from streams.broker_security import SaslMechanism

OTHERS: dict[str, tuple[str, Any]] = {
    "mqtt.url": ("mqtts://broker:8883", "mqtts://broker:8883"),
    "mqtt.embedded": ("amqtt", BrokerChoice.AMQTT),
    "mqtt.client_id": ("north", "north"),
    "mqtt.password_file": ("/etc/mqtt", Path("/etc/mqtt")),
    "mqtt.ca_file": ("/etc/ca", Path("/etc/ca")),
    "mqtt.cert_file": ("/etc/crt", Path("/etc/crt")),
    "mqtt.key_file": ("/etc/key", Path("/etc/key")),
    "log.url": ("sqlite:////var/log", "sqlite:////var/log"),
    "log.retention_days": ("3", 3),
    "log.retention_gb": ("0", 0),
    "archive.folder": ("", None),
    "archive.key_file": ("/etc/keys", Path("/etc/keys")),
    "archive.retention_days": ("31", 31),
    "archive.site_days": ("site-1=90, site-2=1", {"site-1": 90, "site-2": 1}),
    "kafka.partitions": ("12", 12),
    "kafka.replication": ("3", 3),
    "kafka.retention_bytes": ("1000000000000", 10**12),
    "kafka.prefix": ("north.", "north."),
    "kafka.tls": ("true", True),
    "kafka.ca_file": ("/etc/ca", Path("/etc/ca")),
    "kafka.cert_file": ("/etc/crt", Path("/etc/crt")),
    "kafka.key_file": ("/etc/key", Path("/etc/key")),
    "kafka.password_file": ("/etc/kafka", Path("/etc/kafka")),
    "kafka.mechanism": ("SCRAM-SHA-256", SaslMechanism.SCRAM_SHA_256),
    "inventory.url": ("postgresql://linli@db/linli", "postgresql://linli@db/linli"),
    "inventory.password_file": ("/etc/db", Path("/etc/db")),
    "inventory.ca_file": ("/etc/ca", Path("/etc/ca")),
    "incidents.url": ("postgresql://linli@db/linli", "postgresql://linli@db/linli"),
    "incidents.password_file": ("/etc/db", Path("/etc/db")),
    "incidents.ca_file": ("/etc/ca", Path("/etc/ca")),
    "incidents.retention_days": ("30", 30),
    "results.url": ("influx://db:8086/linli?version=1", "influx://db:8086/linli?version=1"),
    "results.token_file": ("/etc/token", Path("/etc/token")),
    "results.password_file": ("/etc/influx", Path("/etc/influx")),
    "results.ca_file": ("/etc/ca", Path("/etc/ca")),
    "results.retention_days": ("1", 1),
    "results.spool": ("/var/spool.db", Path("/var/spool.db")),
    "results.spool_mb": ("1", 1),
    "results.backlog_hours": ("0", 0),
    "evidence.folder": ("/var/evidence", Path("/var/evidence")),
    "evidence.retention_hours": ("1", 1),
    "console.host": ("0.0.0.0", "0.0.0.0"),
    "console.port": ("0", 0),
    "console.language": ("en", Language.ENGLISH),
    "console.cert_file": ("/etc/crt", Path("/etc/crt")),
    "console.key_file": ("/etc/key", Path("/etc/key")),
    "console.trusted_proxies": ("127.0.0.1, 10.0.0.0/8", ("127.0.0.1", "10.0.0.0/8")),
    "metrics.host": ("::1", "::1"),
    "metrics.port": ("off", None),
    "webhook.url": ("https://receiver", "https://receiver"),
    "webhook.secret_file": ("/etc/hmac", Path("/etc/hmac")),
    "webhook.origins": ("live, drill", (Origin.LIVE, Origin.DRILL)),
    "webhook.unverified": ("true", True),
    "webhook.min_severity": ("critical", Severity.CRITICAL),
    "ingest.sites": ("site-1,site-2", ("site-1", "site-2")),
    "dead_letters.folder": ("/var/dead", Path("/var/dead")),
    "erasure.key_file": ("/etc/erasure", Path("/etc/erasure")),
}
"""A text other than the default's for each key, and what it is."""

_POSTGRESQL = {"incidents.url": "postgresql://linli@db/linli"}
BESIDE: dict[str, dict[str, str]] = {
    "mqtt.cert_file": {"mqtt.url": "mqtts://broker", "mqtt.key_file": "/k"},
    "mqtt.key_file": {"mqtt.url": "mqtts://broker", "mqtt.cert_file": "/c"},
    "console.cert_file": {"console.key_file": "/k"},
    "console.key_file": {"console.cert_file": "/c"},
    "kafka.ca_file": {"kafka.tls": "true"},
    "kafka.cert_file": {"kafka.tls": "true", "kafka.key_file": "/k"},
    "kafka.key_file": {"kafka.tls": "true", "kafka.cert_file": "/c"},
    "kafka.password_file": {"kafka.tls": "true"},
    "inventory.ca_file": _POSTGRESQL,
    "incidents.ca_file": _POSTGRESQL,
    "results.ca_file": {"results.url": "influx://db/linli?version=1&tls=true"},
}
"""What a key cannot be set without."""

WRONG: dict[str, str] = {
    "mqtt.url": "http://broker",
    "mqtt.embedded": "rabbit",
    "log.url": "sqlite://relative",
    "log.retention_days": "0",
    "log.retention_gb": "-1",
    "archive.retention_days": "0",
    "archive.site_days": "site-1=90,site-1=80",
    "kafka.partitions": "²",
    "kafka.replication": "16",
    "kafka.retention_bytes": "-1",
    "kafka.prefix": "North",
    "kafka.tls": "yes",
    "kafka.mechanism": "scram",
    "inventory.url": "mysql://db",
    "incidents.url": "mysql://db",
    "incidents.retention_days": "29",
    "results.url": "influx://db",
    "results.retention_days": "0",
    "results.spool": "",
    "results.spool_mb": "0",
    "results.backlog_hours": "-1",
    "evidence.retention_hours": "0",
    "console.port": "65536",
    "console.language": "fr",
    "console.trusted_proxies": "proxy.example",
    "metrics.port": "on",
    "webhook.url": "ftp://x",
    "webhook.origins": "",
    "webhook.unverified": "yes",
    "webhook.min_severity": "severe",
    "ingest.sites": "site 1",
}


def written(folder: Path, text: str) -> Path:
    path = folder / "linli.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_key_has_an_example_here() -> None:
    differing = sorted({*OTHERS} ^ {*keys()})
    assert differing == [], "OTHERS of this file: an example of another value than the default is missing, or its key"
    assert list(OTHERS) == list(keys()), "OTHERS of this file: in the order of the settings"


def test_every_key_that_refuses_something_says_what_here() -> None:
    missing = sorted(key.name for key in keys().values() if key.name not in WRONG and _refuses(key.kind, "²"))
    assert missing == [], "WRONG of this file: a text that must be refused is missing"


def _refuses(kind: Kind[Any], text: str) -> bool:
    try:
        kind.parse(text)
    except ValueError:
        return True
    return False


def test_defaults_alone_are_the_struct_without_arguments() -> None:
    loaded = load(None, {})
    assert loaded.settings == Settings()
    assert set(loaded.origins.values()) == {ValueOrigin.DEFAULT}
    assert set(loaded.origins) == set(keys())


@pytest.mark.parametrize("key", keys().values(), ids=list(keys()))
def test_every_key_from_the_environment_is_the_typed_value(key: Key) -> None:
    text, value = OTHERS[key.name]
    beside = {keys()[name].variable: other for name, other in BESIDE.get(key.name, {}).items()}
    loaded = load(None, beside | {key.variable: text})
    assert key.value(loaded.settings) == value != key.default
    assert isinstance(key.value(loaded.settings), type(value))
    assert loaded.origins[key.name] is ValueOrigin.ENVIRONMENT


@pytest.mark.parametrize("key", keys().values(), ids=list(keys()))
def test_every_key_from_the_file_is_the_typed_value(tmp_path: Path, key: Key) -> None:
    text, value = OTHERS[key.name]
    beside = {keys()[name].variable: other for name, other in BESIDE.get(key.name, {}).items()}
    loaded = load(written(tmp_path, f'[{key.table}]\n{key.field} = "{text}"\n'), beside)
    assert key.value(loaded.settings) == value
    assert loaded.origins[key.name] is ValueOrigin.FILE


@pytest.mark.parametrize("key", keys().values(), ids=list(keys()))
def test_what_a_value_is_written_as_is_read_as_that_value(key: Key) -> None:
    for value in (key.default, OTHERS[key.name][1]):
        assert key.kind.parse(key.kind.text(value)) == value


@given(text=st.text(max_size=40), name=st.sampled_from(sorted(keys())))
def test_any_text_is_a_value_that_can_be_written_or_says_what_was_expected(text: str, name: str) -> None:
    kind: Kind[Any] = keys()[name].kind
    try:
        value = kind.parse(text)
    except ValueError as error:
        wrong = str(error)
    else:
        wrong = ""
        assert kind.parse(kind.text(value)) == value
    assert not wrong or wrong.startswith(("expected ", "results.url"))


def test_toml_numbers_truths_and_lists_are_taken_as_well(tmp_path: Path) -> None:
    text = '[console]\nport = 9000\n[webhook]\nunverified = true\norigins = ["live", "drill"]\n'
    text += '[ingest]\nsites = ["a", "b"]\n'
    settings = load_settings(written(tmp_path, text), {})
    assert settings.console.port == 9000
    assert settings.webhook.unverified is True
    assert settings.webhook.origins == (Origin.LIVE, Origin.DRILL)
    assert settings.ingest.sites == ("a", "b")


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    path = written(tmp_path, '[log]\nurl = "kafka://here:1"\nretention_days = 3\n')
    loaded = load(path, {"LINLI_LOG_URL": "kafka://there:1"})
    assert (loaded.settings.log.url, loaded.origins["log.url"]) == ("kafka://there:1", ValueOrigin.ENVIRONMENT)
    assert (loaded.settings.log.retention_days, loaded.origins["log.retention_days"]) == (3, ValueOrigin.FILE)
    assert (loaded.settings.log.retention_gb, loaded.origins["log.retention_gb"]) == (20, ValueOrigin.DEFAULT)


def test_every_mistake_is_named_at_once_with_the_nearest_name(tmp_path: Path) -> None:
    path = written(tmp_path, '[log]\nurll = "x"\n[console]\nport = "many"\n[lgo]\nretention_days = 3\n')
    with pytest.raises(ConfigurationError) as caught:
        load_settings(path, {"LINLI_LOG_UURL": "x", "LINLI_WEBHOOK_URL": "ftp://x", "LINLI_SHARED": "no setting"})
    message = str(caught.value)
    assert "'log.urll' (did you mean 'log.url'?)" in message
    assert "'lgo.retention_days' (did you mean 'log.retention_days'?)" in message
    assert "LINLI_LOG_UURL is no setting (did you mean 'LINLI_LOG_URL'?)" in message
    assert "console.port = 'many' (from file): expected a port" in message
    assert "webhook.url = 'ftp://x' (from environment): expected a URL with http:// or https://" in message
    assert message.count("; ") == 4


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("LINLI_LOG_UURL", "did you mean 'LINLI_LOG_URL'?"),
        ("LINLI_CONSOLE_PORTS", "did you mean 'LINLI_CONSOLE_PORT'?"),
        ("LINLI_FOO", "`linli check-config --markdown` prints them all"),
        ("LINLI_RECEIVER", "`linli check-config --markdown` prints them all"),
    ],
)
def test_a_variable_that_is_no_setting_is_like_one_or_like_none(variable: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(None, {variable: "x"})
    assert str(caught.value) == f"environment: {variable} is no setting ({said})"


def test_every_wrong_value_is_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(None, {keys()[name].variable: text for name, text in WRONG.items()})
    message = str(caught.value)
    missing = [name for name, text in WRONG.items() if f"{name} = {text!r} (from environment): " not in message]
    assert missing == []


@pytest.mark.parametrize("text", ["[log", "port = 3\n", "[log]\nurl = 1.5\n", "\x00", '[receiver]\nkind = "x"\n'])
def test_a_file_that_is_no_settings_file_is_a_clear_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"linli\.toml"):
        load_settings(written(tmp_path, text), {})


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        load_settings(tmp_path / "none.toml", {})


def test_a_kafka_log_has_no_folder() -> None:
    with pytest.raises(ConfigurationError, match="sqlite:///PATH"):
        load_settings(None, {"LINLI_LOG_URL": "kafka://h:1"}).log.folder()


HOOK = '[[receiver]]\nkind = "webhook"\nname = "duty"\nurl = "https://duty.example"\nsecret_file = "duty.secret"\n'


def test_the_webhook_of_before_is_a_receiver_with_its_name(tmp_path: Path) -> None:
    environ = {
        "LINLI_WEBHOOK_URL": "https://receiver.example",
        "LINLI_WEBHOOK_SECRET_FILE": "hook.secret",
        "LINLI_WEBHOOK_ORIGINS": "live,drill",
        "LINLI_WEBHOOK_MIN_SEVERITY": "major",
    }
    settings = load_settings(written(tmp_path, HOOK), environ)
    (duty,), webhook = settings.receiver, webhook_receiver(settings.webhook)
    assert (duty.name, webhook.name, webhook.kind) == ("duty", "webhook", "webhook")
    assert webhook.profile.origins == (Origin.LIVE, Origin.DRILL)
    assert webhook.profile.min_severity is Severity.MAJOR
    own = webhook.own
    assert isinstance(own, ReceivedWebhook) and isinstance(duty.own, ReceivedWebhook)
    assert duty.own.secret_file == tmp_path / "duty.secret"
    assert own.secret_file == Path("hook.secret").absolute()
    assert own == ReceivedWebhook(url="https://receiver.example", secret_file=own.secret_file)


def test_what_is_wrong_with_receivers_is_named_with_all_the_rest(tmp_path: Path) -> None:
    path = written(tmp_path, HOOK + HOOK + "[console]\nport = -1\n")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(path, {})
    message = str(caught.value)
    assert "console.port = '-1' (from file): expected a port" in message
    assert "[[receiver]] 2 (duty): name = 'duty' is that of [[receiver]] 1 too" in message


def test_a_table_may_not_have_the_name_of_the_webhook_of_before(tmp_path: Path) -> None:
    path = written(tmp_path, HOOK.replace("duty", "webhook"))
    assert [one.name for one in load_settings(path, {}).receiver] == ["webhook"]
    with pytest.raises(ConfigurationError, match="name = 'webhook' is that of"):
        load_settings(path, {"LINLI_WEBHOOK_URL": "https://receiver.example"})


def test_what_is_wrong_with_the_webhook_of_before_is_said_where_it_is_opened() -> None:
    webhook = load_settings(None, {"LINLI_WEBHOOK_URL": "http://receiver.example"}).webhook
    with pytest.raises(ConfigurationError) as caught:
        webhook_receiver(webhook)
    assert str(caught.value) == (
        "webhook.secret_file is empty: name a file that holds the secret; "
        "webhook.url 'http://receiver.example' is not encrypted: "
        "use https, or a [[receiver]] table of kind webhook with allow_http = true"
    )
