"""Settings about TLS and accounts that contradict each other are refused together, before anything starts."""

from __future__ import annotations

import pytest

from app.settings.loading import load_settings
from contracts.errors import ConfigurationError

POSTGRESQL = "postgresql://linli@db/linli"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"MQTT_CERT_FILE": "c", "MQTT_URL": "mqtts://b"}, "mqtt.cert_file is set and mqtt.key_file is not"),
        ({"KAFKA_KEY_FILE": "k", "KAFKA_TLS": "true"}, "kafka.key_file is set and kafka.cert_file is not"),
        ({"MQTT_CERT_FILE": "c", "MQTT_KEY_FILE": "k"}, "mqtt.cert_file needs TLS: begin mqtt.url with mqtts:"),
        ({"KAFKA_PASSWORD_FILE": "p"}, "kafka.password_file needs kafka.tls = true"),
        ({"KAFKA_CA_FILE": "a"}, "kafka.ca_file needs kafka.tls = true"),
        ({"INCIDENTS_CA_FILE": "a"}, "incidents.ca_file is for PostgreSQL"),
        (
            {"INCIDENTS_CA_FILE": "a", "INCIDENTS_URL": f"{POSTGRESQL}?sslmode=require"},
            "incidents.ca_file asks for sslmode=verify-full, incidents.url for sslmode=require",
        ),
        ({"INVENTORY_CA_FILE": "a", "INVENTORY_URL": "sqlite:///x.db"}, "inventory.ca_file is for PostgreSQL"),
        ({"RESULTS_CA_FILE": "a", "RESULTS_URL": "influx://db/x?version=1"}, "results.ca_file needs TLS"),
    ],
)
def test_what_would_be_ignored_or_sent_in_clear_is_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(None, {f"LINLI_{name}": text for name, text in given.items()})
    assert said in str(caught.value)


def test_all_contradictions_are_said_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(None, {"LINLI_KAFKA_PASSWORD_FILE": "p", "LINLI_INCIDENTS_CA_FILE": "a"})
    assert {"kafka.password_file", "incidents.ca_file"} <= set(str(caught.value).replace(";", " ").split())


def test_what_agrees_is_taken_and_so_is_everything_from_before() -> None:
    before = {"LINLI_MQTT_CA_FILE": "/etc/ca", "LINLI_INCIDENTS_URL": f"{POSTGRESQL}?sslmode=verify-full"}
    assert load_settings(None, before).mqtt.ca_file is not None
    given = {"LINLI_KAFKA_TLS": "true", "LINLI_KAFKA_PASSWORD_FILE": "p", "LINLI_INCIDENTS_CA_FILE": "a"}
    assert load_settings(None, before | given).kafka.tls
