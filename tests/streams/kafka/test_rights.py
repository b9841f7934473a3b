"""Brokers that know rights: what the page gives a district's account is enough, and without its groups it is said."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka.admin import (  # type: ignore[import-untyped]
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
)

from app.operations.doctor.district import partitions, workers
from app.operations.doctor.report import CheckResult, Level
from app.settings.loading import load_settings
from streams.kafka import KafkaCluster
from tests.support.authority import Authority
from tests.support.district import District
from tests.support.kafka import kafka_port, need_kafka, running_kafka
from tests.support.waiting import until

PAGE = Path(__file__).resolve().parents[3] / "docs" / "operations.md"
ACCOUNT, PASSWORD = "linli", "pass:word"
EXTRA = """
sasl.enabled.mechanisms=SCRAM-SHA-512
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,OURS:SASL_SSL
listener.name.ours.ssl.keystore.type=PEM
listener.name.ours.ssl.keystore.location={chain}
listener.name.ours.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
"""

pytestmark = [pytest.mark.service, pytest.mark.patient, pytest.mark.slow]


class Guarded:
    """A district on brokers with an authorizer: tests come in as its administrators, Linli with its account."""

    def __init__(self, url: str, ours: int, folder: Path, ca_file: Path) -> None:
        self.over = District(url, folder, partitions=2)
        account = folder / "account"
        account.write_text(f"{ACCOUNT}:{PASSWORD}", encoding="utf-8")
        account.chmod(0o600)
        self.over.settings |= {
            "LINLI_LOG_URL": f"kafka://127.0.0.1:{ours}",
            "LINLI_KAFKA_TLS": "true",
            "LINLI_KAFKA_CA_FILE": str(ca_file),
            "LINLI_KAFKA_PASSWORD_FILE": str(account),
        }
        self.prefix = self.over.names.prefix

    def allow(self, rights: list[ACL]) -> None:
        with KafkaCluster(self.over.url, "admin") as cluster:
            cluster._ask("to allow", lambda admin: admin.create_acls(rights))

    def told(self) -> dict[int, tuple[int, str]]:
        return self.over.cluster.told_offsets(self.over.names.judged, self.over.names.log)

    def doctor(self) -> list[CheckResult]:
        settings = load_settings(None, self.over.settings)
        return [*partitions(settings), *workers(settings)]


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    need_kafka()
    authority, ours = Authority(tmp_path / "authority"), kafka_port()
    extra = tmp_path / "extra.properties"
    extra.write_text(EXTRA.format(chain=authority.chain("broker")), encoding="utf-8")
    options = ["--listener", f"OURS://127.0.0.1:{ours}", "--settings", str(extra)]
    options += ["--scram", f"SCRAM-SHA-512=[name={ACCOUNT},password={PASSWORD}]"]
    with running_kafka(options=options) as broker:
        guarded = Guarded(broker.url, ours, tmp_path, authority.ca_file)
        try:
            yield guarded
        finally:
            guarded.over.close()


def rights_of_the_page(prefix: str) -> list[ACL]:
    """What the page's commands give the account, under the test's own prefix."""
    commands = re.findall(r"^kafka-acls\.sh .*(?:\n  .*)*", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [right for command in commands for right in _rights(shlex.split(command.replace("\\\n", " ")), prefix)]


def _rights(words: list[str], prefix: str) -> Iterator[ACL]:
    given = [(words[n], words[n + 1]) for n in range(len(words) - 1) if words[n].startswith("--")]
    (principal,) = (value for name, value in given if name == "--allow-principal")
    for name, value in given:
        if name in {"--topic", "--group"}:
            assert dict(given)["--resource-pattern-type"] == "prefixed"
            what = ResourceType.TOPIC if name == "--topic" else ResourceType.GROUP
            resource = ResourcePattern(what, value.replace("linli.", prefix), ACLResourcePatternType.PREFIXED)
        elif name == "--cluster":
            resource = ResourcePattern(ResourceType.CLUSTER, "kafka-cluster", ACLResourcePatternType.LITERAL)
        else:
            continue
        for operation in (value for key, value in given if key == "--operation"):
            yield ACL(
                principal,
                "*",
                ACLOperation[re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation).upper()],
                ACLPermissionType.ALLOW,
                resource,
            )


def test_with_the_rights_of_the_page_a_worker_judges_and_tells_how_far_it_is(guarded: Guarded) -> None:
    guarded.allow(rights_of_the_page(guarded.prefix))
    with guarded.over.workers("worker") as (worker,):
        guarded.over.mark()
        until(lambda: len(guarded.told()) == 2, "both partitions to be told")
        assert [line for line in guarded.doctor() if line.level is not Level.OK] == []
        assert "progress_not_told" not in worker.said()
        assert worker.stop() == 0


def test_an_account_without_the_group_of_what_is_judged_is_named_by_the_doctor(guarded: Guarded) -> None:
    streams = ResourcePattern(ResourceType.GROUP, f"{guarded.prefix}streams", ACLResourcePatternType.LITERAL)
    judged = ResourcePattern(ResourceType.GROUP, f"{guarded.prefix}judged", ACLResourcePatternType.LITERAL)
    given = [
        right
        for right in rights_of_the_page(guarded.prefix)
        if right.resource_pattern.resource_type != ResourceType.GROUP
    ]
    allow = ACLPermissionType.ALLOW
    given += [
        ACL(f"User:{ACCOUNT}", "*", operation, allow, streams)
        for operation in (ACLOperation.READ, ACLOperation.DESCRIBE)
    ]
    guarded.allow([*given, ACL(f"User:{ACCOUNT}", "*", ACLOperation.DESCRIBE, allow, judged)])
    with guarded.over.workers("worker") as (worker,):
        guarded.over.mark()
        until(lambda: "progress_not_told" in worker.said(), "the worker to say that it may not tell")
        (wrong,) = (line for line in guarded.doctor() if line.level is not Level.OK)
        assert (wrong.level, wrong.what) == (Level.WARN, "workers")
        assert guarded.over.names.judged in wrong.remedy
