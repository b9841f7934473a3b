"""The district of docker-compose.yml without containers: each service's own command line and environment, run here.

mosquitto runs with the files its container mounts; Kafka and PostgreSQL are those of the tests. InfluxDB is left away:
results wait for it.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from app.wiring.children import Child, linli_arguments
from app.wiring.run_child import environment, start_child
from contracts.hops import Hop
from ingest.session.broker import free_port
from tests.support.district_broker import DistrictBroker
from tests.support.kafka import kafka_port, need_kafka, running_kafka
from tests.support.postgres import PASSWORD, USER, Postgres, running_postgres

COMPOSE = Path(__file__).resolve().parents[2] / "docker-compose.yml"
PATIENCE_S = 240.0
MAP = "listener.security.protocol.map"
ONCE = ("district-set-up", "district-simulator", "doctor")

pytestmark = [pytest.mark.service, pytest.mark.patient, pytest.mark.slow, pytest.mark.timeout(900)]


class Natively:
    """The services of the profile ``district`` as processes, each in a folder of its own."""

    def __init__(self, folder: Path, broker: DistrictBroker, kafka_port: int, postgres: Postgres) -> None:
        self.folder = folder
        compose: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
        self.services: dict[str, dict[str, Any]] = {
            name: service
            for name, service in compose["services"].items()
            if {"district", "doctor"} & set(service.get("profiles", ())) and service["image"] == "linli"
            if name not in {"secrets", "kafka-account", "influx-tokens"}
        }
        self._secrets = broker.secrets
        for share in ("results", "doctor"):  # influx-tokens.sh puts them there
            (broker.secrets / f"for-{share}" / "influx-token").write_text("none", encoding="utf-8")
        for file in broker.secrets.glob("for-*/postgres"):
            file.unlink()
            file.write_text(PASSWORD, encoding="utf-8")
        self._places = {
            "mqtts://broker:8883": f"mqtts://127.0.0.1:{broker.port}",
            "mqtts://broker:8884": f"mqtts://127.0.0.1:{broker.platform_port}",
            "kafka://kafka:9092": f"kafka://127.0.0.1:{kafka_port}",
            "postgresql://linli@postgres/linli": f"postgresql://{USER}@127.0.0.1:{postgres.port}/{postgres.create()}",
            "influx://influxdb:8086": f"influx://127.0.0.1:{free_port()}",
            "0.0.0.0": "127.0.0.1",
        }
        self._prefix = f"c{broker.port}."

    def settings(self, name: str) -> dict[str, str]:
        """The environment of a service, with this machine's places in it, and only four partitions."""
        given = {key: self.placed(value, name) for key, value in self.services[name]["environment"].items()}
        own = {"LINLI_METRICS_PORT": "0", "LINLI_CONSOLE_PORT": "0"}
        return given | own | {"LINLI_KAFKA_PREFIX": self._prefix, "LINLI_KAFKA_PARTITIONS": "4"}

    def placed(self, text: str, name: str) -> str:
        """Return a text of a service with this machine's places in it; its secrets are those of its own volume."""
        for volume in self.services[name].get("volumes", ()):
            if volume.startswith("secrets-for-"):
                share, inside = volume.split(":")[:2]
                text = text.replace(inside, str(self._secrets / share.removeprefix("secrets-")))
        for place, here in self._places.items():
            text = text.replace(place, here)
        return text

    def command(self, name: str) -> list[str]:
        return [self.placed(word, name) for word in self.services[name]["command"]]

    def run_set_up(self) -> None:
        """``set-up.sh`` as its container runs it, ``linli`` being this interpreter's."""
        program = self.folder / "bin" / "linli"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {" ".join(linli_arguments())} "$@"\n', encoding="utf-8")
        program.chmod(0o755)
        script = COMPOSE.parent / "deploy" / "compose" / "district" / "set-up.sh"
        variables = environment(self.settings("district-set-up"))
        done = subprocess.run(
            [str(script)],
            env=variables | {"PATH": f"{program.parent}:{variables['PATH']}", "PYTHONPATH": str(COMPOSE.parent)},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def linli(self, *arguments: str, settings: str = "console") -> subprocess.CompletedProcess[str]:
        """A command with a service's settings."""
        return subprocess.run(
            linli_arguments(*arguments),
            env=environment(self.settings(settings)) | {"PYTHONPATH": str(COMPOSE.parent)},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def start(self, name: str) -> Child:
        folder = self.folder / name
        folder.mkdir()
        return start_child(name, folder, *self.command(name), settings=self.settings(name))


@pytest.fixture(scope="module")
def district(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Natively]:
    need_kafka()
    folder = tmp_path_factory.mktemp("district")
    broker, port = DistrictBroker(folder / "broker"), kafka_port()
    own = broker.secrets / "for-postgres"
    with running_kafka(options=_kafka_options(folder, broker, port)), running_postgres() as postgres:
        postgres.show(own / "postgres.crt", own / "postgres.key")
        yield Natively(folder, broker, port, postgres)
    broker.stop()


def _kafka_options(folder: Path, broker: DistrictBroker, port: int) -> list[str]:
    """Return what the Compose file's broker has for its clients, as settings of one that runs here."""
    own = broker.secrets / "for-kafka"
    compose: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    given: dict[str, str] = compose["services"]["kafka"]["environment"]
    lines = ["inter.broker.listener.name=PLAINTEXT", f"{MAP}=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,CLIENTS:SASL_SSL"]
    for name, value in given.items():
        if name.startswith(("KAFKA_LISTENER_NAME_", "KAFKA_SASL_")):
            key = name.removeprefix("KAFKA_").lower().replace("___", "-").replace("_", ".")  # as the image reads it
            lines.append(f"{key}={value.replace('/run/secrets/servers', str(own))}")
    assert "CLIENTS:SASL_SSL" in given["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"]
    settings = folder / "kafka.properties"
    settings.write_text("\n".join(lines) + "\n", encoding="utf-8")
    account = f"SCRAM-SHA-512=[name=linli,password={(own / 'kafka-password').read_text(encoding='utf-8')}]"
    return ["--listener", f"CLIENTS://127.0.0.1:{port}", "--settings", str(settings), "--scram", account]


def _until(children: dict[str, Child], done: object, what: str) -> None:
    assert callable(done)
    end_s = time.monotonic() + PATIENCE_S
    while not done():
        for child in children.values():
            child.check()
        assert time.monotonic() < end_s, what + "\n" + "\n".join(f"{n}: {c.tail()}" for n, c in children.items())
        time.sleep(0.2)


def _hops(children: dict[str, Child]) -> dict[str, float]:
    """How often each hop was counted, over all processes."""
    counted: dict[str, float] = {}
    for child in children.values():
        found = re.search(r"metrics .*url=(http://\S+)", child.tail(1_000_000))
        if found is None:
            continue
        with urllib.request.urlopen(found[1], timeout=30) as answer:
            for family in text_string_to_metric_families(answer.read().decode()):
                for sample in family.samples:
                    if sample.name == "linli_hop_seconds_count":
                        counted[sample.labels["hop"]] = counted.get(sample.labels["hop"], 0) + sample.value
    return counted


def _well(district: Natively) -> bool:
    """Whether the doctor finds everything there, nothing behind or stopped, nothing wrong but the absent InfluxDB."""
    said = district.linli("doctor", "--json", settings="doctor").stdout
    print(said)  # noqa: T201 - for who looks at a failure
    lines = [json.loads(line) for line in said.splitlines()]
    failing = {line["what"] for line in lines if line["level"] == "fail"}
    every = {"kafka", "partitions", "workers", "readers", "clock", "mqtt"}
    return every <= {line["what"] for line in lines} and failing <= {"results"}


def test_every_service_runs_tells_its_metrics_and_a_simulated_alarm_goes_all_the_way(district: Natively) -> None:
    district.run_set_up()
    with ExitStack() as stack:
        children: dict[str, Child] = {}
        for name in (name for name in district.services if name not in ONCE):
            child = children[name] = district.start(name)  # once: its replicas have the same command line
            stack.callback(child.stop)
        assert sorted(children) == ["archive", "console", "incidents", "ingest-0", "ingest-1", "results", "workers"]
        for name, child in children.items():
            ready = r"metrics .*url=" if name == "workers" else r"ready "
            _until({name: child}, lambda c=child, r=ready: re.search(r, c.tail(1_000_000)), f"{name} was not ready")
        simulator = district.command("district-simulator")
        stack.callback(start_child("simulator", district.folder, *simulator, "--speed=2000", settings={}).stop)
        wanted = {Hop.DEVICE_TO_ACCEPTED, Hop.ACCEPTED_TO_DURABLE, Hop.DUE_TO_DECIDED, Hop.DUE_TO_INCIDENT}
        _until(
            children, lambda: {hop for hop, n in _hops(children).items() if n} >= wanted, "not every hop was counted"
        )
        said = "\n".join(child.tail(1_000_000) for name, child in children.items() if name == "incidents")
        opened = re.findall(r"incident_opened .*", said)
        assert opened
        assert all("trace=" in line for line in opened)
        incident = re.findall(r"incident_opened .*incident=(\w+)", said)[0]
        traced = district.linli("trace", incident).stdout
        assert [line.split()[1] for line in traced.splitlines()][-2:] == ["taken", "incident"]
        assert {Hop.DUE_TO_DECIDED, Hop.DECIDED_TO_INCIDENT} <= set(traced.split())
        _until(children, lambda: _well(district), "not everything is well")
