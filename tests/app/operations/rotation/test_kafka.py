"""The password of Kafka's account is exchanged while processes work: both clients go on, and connect anew with it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.main import exit_code, linli
from app.operations.rotation.exchange import SecretFile
from app.operations.rotation.kafka import KafkaAccount
from app.settings.loading import load_settings
from app.settings.settings import Settings
from app.wiring.district import kafka_security, open_cluster
from contracts.errors import ConfigurationError, Transient
from contracts.secrets import Secret
from streams.broker_security import SaslMechanism
from streams.kafka import KafkaCluster
from streams.runtime.faust_app import FaustReader, ReaderSettings
from streams.topics import TopicSpec
from system.next_secret import next_of
from tests.ingest.clients import wait_until
from tests.streams.kafka.test_security import PASSWORD, Heard, Secured, _until
from tests.support.kafka import RunningKafka, need_kafka, running_kafka

PATIENCE_S = 60.0
pytestmark = [pytest.mark.service, pytest.mark.patient]


class Place:
    """A broker with our account, and our settings, with the password that is right at the beginning."""

    def __init__(self, folder: Path, secured: Secured, broker: RunningKafka) -> None:
        self.secured, self.broker, self.file = secured, broker, folder / "kafka"
        self.first = self.password_now
        self.write(self.first)
        self.environment = {
            "LINLI_LOG_URL": secured.url("GOOD"),
            "LINLI_KAFKA_TLS": "true",
            "LINLI_KAFKA_CA_FILE": str(secured.authority.ca_file),
            "LINLI_KAFKA_PASSWORD_FILE": str(self.file),
        }

    password_now = PASSWORD
    """What the broker, which all tests share, takes."""

    def write(self, password: str) -> None:
        self.file.write_text(f"linli:{password}\n", encoding="utf-8")

    def password(self) -> str:
        return self.file.read_text(encoding="utf-8").strip().removeprefix("linli:")

    def settings(self) -> Settings:
        return load_settings(None, self.environment)

    def takes(self, password: str) -> bool:
        security = self.secured.security(password=Secret(password))
        with KafkaCluster(self.secured.url("GOOD"), "test", security) as cluster:
            return cluster.takes_password()

    def rotate(self, *options: str, **other: str) -> Result:
        words = ["secrets", "rotate", "kafka", *options]
        result = CliRunner().invoke(linli, words, env=self.environment | other)
        type(self).password_now = self.password()
        return result

    def restart(self) -> None:
        self.broker.stop()
        self.broker.start()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Secured, RunningKafka]]:
    need_kafka()
    secured = Secured(tmp_path_factory.mktemp("rotated"))
    with running_kafka(options=secured.options) as broker:
        yield secured, broker


@pytest.fixture
def place(tmp_path: Path, running: tuple[Secured, RunningKafka]) -> Place:
    return Place(tmp_path, *running)


def test_the_old_one_is_refused_and_what_was_open_connects_again(place: Place) -> None:
    with open_cluster(place.settings(), "test") as cluster, closing(cluster.producer()) as sender:
        cluster.create_topic(TopicSpec("log-kept", 1, 1, {}))
        sender.send("log-kept", 0, b"one").wait(PATIENCE_S)
        result = place.rotate()
        assert result.exit_code == 0, result.output
        assert place.password() not in result.output
        assert not next_of(place.file).exists()
        sender.send("log-kept", 0, b"two").wait(PATIENCE_S)  # on the connection that was open
        place.restart()
        assert wait_until(lambda: _sent(sender), PATIENCE_S)
        assert wait_until(lambda: _answers(cluster), PATIENCE_S)
    assert place.takes(place.password())
    assert not place.takes(place.first)


def _sent(sender: object) -> bool:
    try:
        sender.send("log-kept", 0, b"three").wait(PATIENCE_S)  # type: ignore[attr-defined]
    except Transient:
        return False
    return True


def _answers(cluster: KafkaCluster) -> bool:
    try:
        return cluster.brokers() == 1
    except Transient:
        return False


def test_a_worker_hears_on_after_the_exchange_and_a_brokers_restart(place: Place) -> None:
    heard = Heard()
    with open_cluster(place.settings(), "test") as cluster:
        cluster.create_topic(TopicSpec("log-heard", 1, 1, {}))
        asyncio.run(_hear(place, cluster, heard))
    assert heard.records == [b"before", b"after"]


async def _hear(place: Place, cluster: KafkaCluster, heard: Heard) -> None:
    security = kafka_security(place.settings())
    settings = ReaderSettings(servers=tuple(cluster.servers), topic="log-heard", group="rotated", security=security)
    reader = FaustReader(settings, heard)
    starting = asyncio.ensure_future(reader.start())
    await _until(lambda: heard.is_assigned and reader.member, reader)
    sender = cluster.producer()
    await asyncio.to_thread(sender.send("log-heard", 0, b"before").wait, PATIENCE_S)
    await _until(lambda: len(heard.records) == 1, reader)
    assert (await asyncio.to_thread(place.rotate)).exit_code == 0
    await asyncio.to_thread(place.restart)
    await asyncio.to_thread(sender.send("log-heard", 0, b"after").wait, PATIENCE_S)
    await _until(lambda: len(heard.records) == 2, reader)
    await starting
    await reader.stop()
    sender.close()


@pytest.mark.parametrize("step", ["prepared", "changed"])
def test_killed_between_the_steps_and_run_again_it_comes_out_right(
    place: Place, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        kind, name = (KafkaAccount, "change") if step == "prepared" else (SecretFile, "take_next")
        killed.setattr(kind, name, _killed)
        place.rotate()
    assert place.password() == place.first
    assert place.takes(place.first) == (step == "prepared")
    waiting = next_of(place.file).read_text(encoding="utf-8").strip()
    assert place.rotate().exit_code == 0
    assert waiting == f"linli:{place.password()}"
    assert place.takes(place.password())
    assert not place.takes(place.first)


def _killed(*_given: object) -> None:
    raise KeyboardInterrupt


def test_who_was_let_in_waits_when_it_is_refused_later_and_who_was_not_ends(place: Place) -> None:
    with open_cluster(place.settings(), "test") as cluster:
        assert cluster.brokers() == 1
        place.write("wrong")
        place.restart()
        with pytest.raises(Transient, match="refuses us"):
            _until_refused(cluster)
        place.write(place.first)
        assert wait_until(lambda: _answers(cluster), PATIENCE_S)
    place.write("wrong")
    with open_cluster(place.settings(), "test") as cluster, pytest.raises(ConfigurationError, match="refuses us"):
        _until_refused(cluster)


def _until_refused(cluster: KafkaCluster) -> None:
    """Ask until it says that we are refused, and not only that nobody answered yet."""
    for _ in range(100):
        try:
            cluster.brokers()
        except Transient as error:  # ConfigurationError goes on to the test
            if "refuses us" in str(error):
                raise


def test_an_administrator_that_is_named_changes_our_account(place: Place, tmp_path: Path) -> None:
    admin, password = tmp_path / "admin", Secret("the administrator's")
    admin.write_text(f"boss:{password.reveal()}\n", encoding="utf-8")
    with open_cluster(place.settings(), "test") as cluster:
        cluster.set_password("boss", SaslMechanism.SCRAM_SHA_512, password)
    security = place.secured.security(user="boss", password=password)
    with KafkaCluster(place.secured.url("GOOD"), "test", security) as boss:
        assert wait_until(boss.takes_password, PATIENCE_S)
        assert place.rotate("--admin-file", str(admin)).exit_code == 0
        assert boss.takes_password()
    assert place.takes(place.password())
    assert not place.takes(place.first)


def test_what_is_wrong_is_one_sentence_and_changes_nothing(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    admin = tmp_path / "admin"
    admin.write_text("nobody:wrong", encoding="utf-8")
    for given, options, said in (
        ({"LINLI_KAFKA_PASSWORD_FILE": ""}, [], "no password of Kafka is ours to exchange"),
        ({"LINLI_KAFKA_MECHANISM": "PLAIN"}, [], "stand in the brokers' own settings"),
        ({"LINLI_LOG_URL": "sqlite:///x"}, [], "is one machine's log"),
        (
            {"LINLI_KAFKA_MECHANISM": "SCRAM-SHA-512"},
            ["--admin-file", str(admin)],
            "do not take the password of nobody",
        ),
    ):
        for name, value in (place.environment | given).items():
            monkeypatch.setenv(name, value)
        assert exit_code(["secrets", "rotate", "kafka", *options]) == 2
        told = capsys.readouterr().err
        assert said in told
        assert told.count("\n") == 1
    next_of(place.file).unlink()
    place.write("wrong")
    assert exit_code(["secrets", "rotate", "kafka"]) == 2
    assert f"does not take the password in {place.file}" in capsys.readouterr().err
    assert not next_of(place.file).exists()
    assert place.takes(place.first)
