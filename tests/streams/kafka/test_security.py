"""Kafka with TLS and SCRAM accounts: both clients get in with what is right, and say in a sentence what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import pytest

from contracts.errors import ConfigurationError, Transient
from contracts.secrets import Secret
from streams.broker_security import KafkaSecurity, SaslMechanism
from streams.kafka import KafkaCluster
from streams.runtime.faust_app import FaustReader, ReaderSettings
from streams.topics import TopicSpec
from system.tls import TlsFiles
from tests.support.authority import EXPIRED, FUTURE, Authority
from tests.support.kafka import kafka_port, need_kafka, running_kafka

PATIENCE_S = 60.0
PASSWORD = "pass:word"
LISTENERS = ("GOOD", "EXPIRED", "FUTURE", "MUTUAL")

pytestmark = [pytest.mark.service, pytest.mark.patient]


class Secured:
    """One broker with a listener for each certificate; all but MUTUAL ask for an account, and MUTUAL for ours."""

    def __init__(self, folder: Path) -> None:
        self.authority, self.other = Authority(folder / "ours"), Authority(folder / "other", "another authority")
        self.ports = {name: kafka_port() for name in LISTENERS}
        chains = {"GOOD": self.authority.chain("broker"), "MUTUAL": self.authority.chain("mutual")}
        chains |= {"EXPIRED": self.authority.chain("old", EXPIRED), "FUTURE": self.authority.chain("new", FUTURE)}
        self.settings = folder / "extra.properties"
        lines = ["sasl.enabled.mechanisms=SCRAM-SHA-512,SCRAM-SHA-256", "inter.broker.listener.name=PLAINTEXT"]
        kinds = {name: "SSL" if name == "MUTUAL" else "SASL_SSL" for name in LISTENERS}
        known = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT"} | kinds
        lines.append("listener.security.protocol.map=" + ",".join(f"{name}:{kind}" for name, kind in known.items()))
        for name, chain in chains.items():
            prefix = f"listener.name.{name.lower()}.ssl"
            lines += [f"{prefix}.keystore.type=PEM", f"{prefix}.keystore.location={chain}"]
            lines += [
                f"listener.name.{name.lower()}.{mechanism}.sasl.jaas.config="
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
                for mechanism in ("scram-sha-512", "scram-sha-256")
            ]
        lines += [
            "listener.name.mutual.ssl.client.auth=required",
            "listener.name.mutual.ssl.truststore.type=PEM",
            f"listener.name.mutual.ssl.truststore.location={self.authority.ca_file}",
        ]
        self.settings.write_text("\n".join(lines) + "\n", encoding="utf-8")

    @property
    def options(self) -> list[str]:
        """Of ``run.sh``."""
        listeners = [part for n, port in self.ports.items() for part in ("--listener", f"{n}://127.0.0.1:{port}")]
        accounts = [
            part
            for mechanism in ("SCRAM-SHA-512", "SCRAM-SHA-256")
            for part in ("--scram", f"{mechanism}=[name=linli,password={PASSWORD}]")
        ]
        return [*listeners, "--settings", str(self.settings), *accounts]

    def url(self, listener: str) -> str:
        return f"kafka://127.0.0.1:{self.ports[listener]}"

    def security(self, **other: object) -> KafkaSecurity:
        """What is right; ``other`` is in its place."""
        files = TlsFiles(table="kafka", ca_file=self.authority.ca_file)
        right = KafkaSecurity(tls=files, user="linli", password=Secret(PASSWORD))
        return msgspec.structs.replace(right, **other)

    def refuses(self, listener: str, **other: object) -> Exception:
        """How asking for the brokers ends once they have said why: busy ones may hang up before."""
        for _ in range(10):
            error = self.fails(listener, **other)
            if isinstance(error, ConfigurationError):
                break
        return error

    def fails(self, listener: str, **other: object) -> Exception:
        """How asking for the brokers ends."""
        with (
            KafkaCluster(self.url(listener), "test", self.security(**other), answer_s=3.0) as cluster,
            pytest.raises((Transient, ConfigurationError)) as caught,
        ):
            cluster.brokers()
        return caught.value


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    need_kafka()
    secured = Secured(tmp_path_factory.mktemp("secured"))
    with running_kafka(options=secured.options):
        yield secured


class Heard:
    """Who is told what Faust delivers."""

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.is_assigned = False

    def assigned(self, partitions: Iterable[int]) -> None:
        self.is_assigned = self.is_assigned or bool(list(partitions))

    def revoked(self, partitions: Iterable[int]) -> None:
        """Keep what was heard."""

    def delivered(self, partition: int, position: int, data: bytes, written_ms: int = 0) -> None:
        self.records.append(data)


@pytest.mark.parametrize("mechanism", [SaslMechanism.SCRAM_SHA_512, SaslMechanism.SCRAM_SHA_256])
def test_what_one_client_writes_the_other_hears_over_tls_with_an_account(
    secured: Secured, mechanism: SaslMechanism
) -> None:
    _through_both(secured, "GOOD", secured.security(mechanism=mechanism), f"log-{mechanism.value.lower()}")


def test_a_certificate_of_ours_is_enough_where_the_brokers_ask_for_one(secured: Secured) -> None:
    files = msgspec.structs.replace(secured.authority.issue("linli"), table="kafka")
    _through_both(secured, "MUTUAL", KafkaSecurity(tls=files), "log-mutual")


def _through_both(secured: Secured, listener: str, security: KafkaSecurity, topic: str) -> None:
    heard = Heard()
    with KafkaCluster(secured.url(listener), "test", security) as cluster:
        cluster.create_topic(TopicSpec(topic, 1, 1, {}))
        asyncio.run(_hear(cluster, security, topic, heard))
    assert heard.records == [b"one", b"two"]


async def _hear(cluster: KafkaCluster, security: KafkaSecurity, topic: str, heard: Heard) -> None:
    reader = FaustReader(
        ReaderSettings(servers=tuple(cluster.servers), topic=topic, group=f"of-{topic}", security=security), heard
    )
    starting = asyncio.ensure_future(reader.start())
    await _until(lambda: heard.is_assigned and reader.member, reader)
    sender = cluster.producer()
    for record in (b"one", b"two"):
        await asyncio.to_thread(sender.send(topic, 0, record).wait, PATIENCE_S)
    await _until(lambda: len(heard.records) == 2, reader)
    await starting
    await reader.stop()


async def _until(done: object, reader: FaustReader) -> None:
    assert callable(done)
    async with asyncio.timeout(PATIENCE_S):
        while not done():
            reader.check()
            await asyncio.sleep(0.05)


def test_a_wrong_password_or_user_is_one_sentence_that_names_the_file(secured: Secured) -> None:
    for other in ({"password": Secret("wr0ng")}, {"user": "somebody"}):
        error = secured.refuses("GOOD", **other)
        assert isinstance(error, ConfigurationError), error
        assert "the user or password in kafka.password_file is not what the brokers have" in str(error)
        assert "wr0ng" not in str(error)
        assert PASSWORD not in str(error)


def test_a_mechanism_that_the_brokers_do_not_offer_is_named(secured: Secured) -> None:
    assert "kafka.mechanism PLAIN" in str(secured.refuses("GOOD", mechanism=SaslMechanism.PLAIN))


def test_an_authority_that_is_not_ours_is_one_sentence_that_names_the_setting(secured: Secured) -> None:
    error = secured.fails("GOOD", tls=TlsFiles(table="kafka", ca_file=secured.other.ca_file))
    assert isinstance(error, Transient)
    assert "of no authority that we trust: name its authority in kafka.ca_file" in str(error)


@pytest.mark.parametrize(("listener", "state"), [("EXPIRED", "has expired"), ("FUTURE", "is not valid yet")])
def test_a_certificate_out_of_its_time_is_waited_for_and_the_clock_is_named(
    secured: Secured, listener: str, state: str
) -> None:
    error = secured.fails(listener)
    assert isinstance(error, Transient)
    assert f"the certificate of the other side {state}, or this machine's clock (2" in str(error)


def test_who_shows_no_certificate_or_anothers_is_told_which_setting(secured: Secured) -> None:
    theirs = msgspec.structs.replace(secured.other.issue("linli"), table="kafka", ca_file=secured.authority.ca_file)
    for files in (TlsFiles(table="kafka", ca_file=secured.authority.ca_file), theirs):
        error = secured.fails("MUTUAL", tls=files, user="")
        assert "does not take our certificate" in str(error)
        assert "kafka.cert_file" in str(error)


def test_clear_text_where_tls_is_spoken_is_said(secured: Secured) -> None:
    with (
        KafkaCluster(secured.url("GOOD"), "test", answer_s=3.0) as cluster,
        pytest.raises(Transient, match="does not answer"),
    ):
        cluster.brokers()
