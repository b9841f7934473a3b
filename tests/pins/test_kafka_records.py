"""Records that a district of commit d579f9d left on Kafka are read, judged on and exported under the same ids.

``make_fixtures.py`` beside this wrote them: log, findings and snapshots of three partitions that a worker had drained.
The new log counts as the topic that the old one was, since snapshots are of that one alone.
"""

from __future__ import annotations

import base64
import json
import lzma
from typing import Any

import pytest
from kafka import KafkaProducer  # type: ignore[import-untyped]

from tests.pins import reach
from tests.pins.standing import FIXTURES
from tests.support.kafka import RunningKafka, make_topics

pytestmark = [pytest.mark.service, pytest.mark.patient, pytest.mark.slow]
EXPECTED: dict[str, Any] = json.loads((FIXTURES / "kafka-records.json").read_text(encoding="utf-8"))


class District:
    """Topics of its own with the records of the fixture."""

    def __init__(self, url: str) -> None:
        self.url, self.prefix = url, make_topics(url, partitions=3).prefix
        lines = lzma.decompress((FIXTURES / "kafka-records.jsonl.xz").read_bytes()).splitlines()
        self._records = [json.loads(line) for line in lines]
        self.put("records")

    def put(self, what: str) -> None:
        """Write those that were there when the worker had drained, or what came later; each at its old offset."""
        producer = KafkaProducer(bootstrap_servers=[self.url.removeprefix("kafka://")], acks="all")
        chosen = [record for record in self._records if record[0] == what]
        sent = [
            producer.send(
                self.prefix + topic.removeprefix("linli."),
                partition=partition,
                key=_bytes(key),
                value=_bytes(value),
                headers=[(name, _bytes(text)) for name, text in headers],
            )
            for _, topic, partition, _, _, key, value, headers in chosen
        ]
        for (_, topic, _, offset, *_), future in zip(chosen, sent, strict=True):
            at = future.get(60).offset
            assert at == offset or topic == "linli.snapshots"  # compacted: nothing names these by their offset
        producer.close()

    def judge(self) -> list[str]:
        """What a worker does; its alarms."""
        return reach.judge_kafka(self.url, self.prefix, EXPECTED["topic_id"])

    def exported(self) -> list[str]:
        """The ids of ``linli findings export``."""
        lines = reach.invoke("findings", "export", "--json").splitlines()
        return [json.loads(line)["finding_id"] for line in lines]


@pytest.fixture
def district(kafka: RunningKafka, monkeypatch: pytest.MonkeyPatch) -> District:
    made = District(kafka.url)
    settings = {"LOG_URL": kafka.url, "KAFKA_PREFIX": made.prefix, "KAFKA_PARTITIONS": "3"}
    for name, value in settings.items():
        monkeypatch.setenv(f"LINLI_{name}", value)
    return made


def test_its_findings_are_exported_under_the_same_ids(district: District) -> None:
    assert district.exported() == EXPECTED["exported"]


def test_workers_go_on_after_it_and_repeat_nothing(district: District) -> None:
    before = reach.count_findings(district.url, district.prefix)
    assert district.judge() == []
    assert reach.count_findings(district.url, district.prefix) == before
    district.put("later")
    assert district.judge() == []
    assert district.exported() == EXPECTED["exported_after"]
    assert reach.count_findings(district.url, district.prefix) == before + len(
        set(EXPECTED["exported_after"]) - set(EXPECTED["exported"])
    )


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
