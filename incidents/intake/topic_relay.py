"""What workers say in a partition of the findings topic, into incidents: findings, and what is wrong with workers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import structlog

from contracts.errors import LogBroken
from contracts.findings import Finding
from incidents.intake.intake import FindingBatch, Intake, IntakeResult
from incidents.intake.relays import TAKE_FINDINGS, Relay
from incidents.store.operator_alarms import AlarmCode, RaisedAlarm
from streams.checkpoints.findings_topic import FindingsRecord, KafkaFindings, PartitionAlarm
from streams.kafka import KafkaCluster

LOG = structlog.get_logger("linli")
_LOOK_S = 15.0


class TopicRelay(Relay):
    """One partition of the topic; the cursor lies in the incidents' own transaction. ``begin``: where it begins now."""

    def __init__(self, findings: KafkaFindings, intake: Intake, begin: Callable[[], int]) -> None:
        self._findings = findings
        self.intake = intake
        self._begin = begin
        self._subject = findings.identity()
        self._taken: int | None = None  # what the cursor is, while nobody else moves it

    def read(self) -> FindingBatch | None:
        """See :class:`incidents.intake.relays.Relay`. What retention took before it was read is an alarm.

        Raises:
            Transient: the brokers or the incidents are away. LogBroken: the topic ends before what was read of it.
        """
        cursor = self.intake.cursor() if self._taken is None else self._taken
        self._taken = cursor
        try:
            said = self._findings.records_after(cursor, TAKE_FINDINGS)
        except LogBroken:
            begin = self._begin()
            if cursor >= begin:
                raise
            return self._passed_over(cursor, begin)
        if not said:
            return None
        findings, alarms = split_by_kind(said)
        kept_ms = self._findings.kept_ms([n for n, _ in findings])
        return FindingBatch(findings, alarms, said[-1][0], kept_ms, len(said))

    def committed(self, batch: FindingBatch, taken: IntakeResult) -> None:
        """See :class:`incidents.intake.relays.Relay`."""
        self._taken = batch.newest
        self.intake.after_commit(batch, taken)

    def rest(self) -> None:
        """See :class:`incidents.intake.relays.Relay`."""
        self._taken = None

    def _passed_over(self, cursor: int, begin: int) -> FindingBatch:
        detail = f"findings {cursor} to {begin - 1} were gone before they were read"
        LOG.error("findings_gap", source=self._subject, detail=detail)
        alarm = RaisedAlarm(AlarmCode.LOG_GAP, self._subject, detail)
        return FindingBatch(alarms=[alarm], through=begin, records=begin - cursor)


def split_by_kind(said: Sequence[tuple[int, FindingsRecord]]) -> tuple[list[tuple[int, Finding]], list[RaisedAlarm]]:
    """Return the findings with their numbers, and what workers said for operators; the rest is in their logs."""
    findings = [(n, one) for n, one in said if isinstance(one, Finding)]
    alarms = [one for _, one in said if isinstance(one, PartitionAlarm) and one.alarm.value in set(AlarmCode)]
    return findings, [RaisedAlarm(AlarmCode(one.alarm.value), one.subject, one.detail) for one in alarms]


def watch_topic(cluster: KafkaCluster, topic: str, topic_id: str, stop: threading.Event) -> None:
    """Look until ``stop`` whether the topic is still the one that was opened.

    Raises:
        LogBroken: it was made again; numbers read in the old one mean nothing in it. Transient: nobody answers.
    """
    while not stop.wait(_LOOK_S):
        now = cluster.topic_id(topic)
        if now != topic_id:
            raise LogBroken(f"{topic} was made again ({topic_id}, now {now}): a new start reads it from its beginning")
