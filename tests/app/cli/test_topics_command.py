"""``linli topics``: made once, repeated at will, and what is not as it must be is said with what to do."""

from __future__ import annotations

import secrets

import pytest
from click.testing import CliRunner, Result

from app.main import linli
from app.settings.loading import load_settings
from app.wiring.district import log_partitions
from contracts.errors import ConfigurationError
from streams.kafka import KafkaCluster
from streams.topics import TopicNames as Names
from streams.topics import TopicState, differences, topic_specs
from tests.support.kafka import RunningKafka

TOPICS = ("log", "findings", "snapshots", "dead")


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(linli, ["topics", *arguments], catch_exceptions=False)


@pytest.fixture
def prefix(kafka: RunningKafka, monkeypatch: pytest.MonkeyPatch) -> str:
    """A district of three partitions, none of its topics made."""
    prefix = f"t{secrets.token_hex(4)}."
    monkeypatch.setenv("LINLI_LOG_URL", kafka.url)
    monkeypatch.setenv("LINLI_KAFKA_PREFIX", prefix)
    monkeypatch.setenv("LINLI_KAFKA_PARTITIONS", "3")
    return prefix


@pytest.mark.service
@pytest.mark.patient
def test_topics_are_made_with_what_is_configured_and_a_repetition_changes_nothing(
    kafka: RunningKafka, prefix: str
) -> None:
    missing = _run("check")
    assert (missing.exit_code, missing.stdout.count("is missing: run `linli topics create`")) == (1, 4)
    made = _run("create")
    assert (made.exit_code, made.stdout, made.stderr.count(": made,")) == (0, "", 4)
    checked = _run("check")
    assert (checked.exit_code, checked.stdout) == (0, "")
    with KafkaCluster(kafka.url) as cluster:
        before = [cluster.topic_state(prefix + name) for name in TOPICS]
        again = _run("create")
        assert (again.exit_code, again.stderr.count(": there already")) == (0, 4)
        assert [cluster.topic_state(prefix + name) for name in TOPICS] == before
    log, findings, snapshots, dead = before
    assert log and findings and snapshots and dead
    assert [t.partitions for t in (log, findings, snapshots, dead)] == [3, 3, 3, 1]
    assert log.replication == 1  # three, but there is one broker
    assert (log.config["retention.ms"], log.config["cleanup.policy"]) == (str(7 * 86_400_000), "delete")
    assert findings.config["retention.ms"] == log.config["retention.ms"]
    wanted = {"cleanup.policy": "compact", "segment.bytes": "33554432", "segment.ms": "60000"}
    wanted |= {"min.cleanable.dirty.ratio": "0.1", "max.compaction.lag.ms": "60000", "max.message.bytes": "9437184"}
    assert {key: snapshots.config[key] for key in wanted} == wanted


@pytest.mark.service
@pytest.mark.patient
def test_a_setting_that_differs_is_said_and_set_again(
    kafka: RunningKafka, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _run("create")
    monkeypatch.setenv("LINLI_LOG_RETENTION_DAYS", "2")
    found = _run("check")
    assert found.exit_code == 1
    assert found.stdout.splitlines() == [
        f"{prefix}{name} has retention.ms = 604800000, expected 172800000: run `linli topics create`"
        for name in ("log", "findings")
    ]
    assert _run("create").exit_code == 0
    assert _run("check").exit_code == 0


@pytest.mark.service
@pytest.mark.patient
def test_another_number_of_partitions_is_refused_and_nothing_is_changed(
    kafka: RunningKafka, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _run("create")
    monkeypatch.setenv("LINLI_KAFKA_PARTITIONS", "6")
    for name in ("check", "create"):
        result = _run(name)
        assert result.exit_code == 1
        assert f"{prefix}log has 3 partitions, expected 6: set kafka.partitions to what is there" in result.stdout
        assert len(result.stdout.splitlines()) == 3
    with KafkaCluster(kafka.url) as cluster:
        assert cluster.partitions(f"{prefix}log") == 3
        with pytest.raises(ConfigurationError, match=r"has 3 partitions, kafka\.partitions is 6"):
            log_partitions(cluster, load_settings())


def test_a_log_of_one_machine_has_no_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINLI_LOG_URL", "sqlite:///x")
    with pytest.raises(ConfigurationError, match="a district needs kafka://host:port"):
        _run("check")


def test_more_copies_than_asked_for_are_no_difference_fewer_are() -> None:
    specs = topic_specs(Names(), partitions=24, replication=2, retention_hours=168, retention_bytes=-1)
    for spec in specs:
        better = TopicState("id", spec.partitions, 3, {**spec.config, "min.insync.replicas": "2"})
        assert differences(spec, better) == []
        (line,) = differences(spec, TopicState("id", spec.partitions, 1, spec.config))
        assert "has 1 copies of each record, expected 2" in line
