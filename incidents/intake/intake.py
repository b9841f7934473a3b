"""Findings become incidents: each batch in one transaction with the reader's cursor.

A finding whose id is known is ignored, unless its content differs: then an alarm says so. Findings of an episode are
applied in order of ``nth``; one that came too early waits. So batching, redelivery and crashes change nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import structlog
from sqlalchemy import Connection, bindparam, select, update

from contracts.contradictions import contradiction_of, says_the_same
from contracts.findings import BATCH_UNREADABLE, RULE_FAILED, Finding, Phase, content_of, trace_id
from contracts.hops import Hop, HopTimes
from contracts.incidents import AlertAction, next_alert_state
from contracts.rules import RuleFacts, facts_of
from delivery.deliveries import notifications_of
from incidents.intake.episodes import IncidentEpisode, advanced, after_totals, opened
from incidents.intake.openings import INCIDENTS, open_incident
from incidents.intake.unit_of_work import IntakeUnitOfWork
from incidents.store.counters import current
from incidents.store.history import SYSTEM, add_history
from incidents.store.operator_alarms import AlarmCode, RaisedAlarm, raise_alarm, raise_contradictions
from incidents.store.records import ChangeKind, DeliveryKind, EpisodeState, Incident
from incidents.store.schema import findings as table
from incidents.store.store import Store
from inventory.directory import SiteDirectory
from system.clock import Clock, wall_ms

_log = structlog.get_logger("incidents.intake.intake")
_WAITING = (
    select(table.c.content)
    .where(table.c.open_id == bindparam("of"), table.c.applied.is_(False))
    .order_by(table.c.nth)
    .limit(1)
)
_WAITING_OPEN = _WAITING.where(table.c.nth == 0, table.c.phase == Phase.OPEN.value)
_WAITING_NEXT = _WAITING.where((table.c.nth == bindparam("due")) | (table.c.phase == Phase.RETRACT.value))
_APPLIED = update(table).where(table.c.finding_id == bindparam("id")).values(applied=True, incident_id=bindparam("of"))

_FINDING = msgspec.json.Decoder(Finding)
_ALARMING = {RULE_FAILED: AlarmCode.RULE_FAILED, BATCH_UNREADABLE: AlarmCode.BATCH_UNREADABLE}


class FindingBatch(msgspec.Struct, frozen=True):
    """A batch of a source: findings with their numbers, alarms of who decides them, how far was read, when each
    finding was decided, as far as it is known, and how many records it read for that.
    """

    findings: Sequence[tuple[int, Finding]] = ()
    alarms: Sequence[RaisedAlarm] = ()
    through: int = 0
    kept_ms: Mapping[int, int] = {}
    records: int = 0

    @property
    def newest(self) -> int:
        """The last number."""
        return max([n for n, _ in self.findings] + [self.through])


class IntakeResult(msgspec.Struct):
    """The result of a batch. ``at_ms``: when it was taken."""

    at_ms: int = 0
    new: int = 0
    known: int = 0
    contradicting: int = 0
    waiting: int = 0
    opened: list[str] = msgspec.field(default_factory=list)
    traces: dict[str, str] = msgspec.field(default_factory=dict)
    """By incident opened: the trace id of what opened it."""


class IntakeTimes(msgspec.Struct):
    """How long findings took to get here. Several intakes of a process may count in one."""

    decided: HopTimes = msgspec.field(default_factory=lambda: HopTimes(Hop.DECIDED_TO_INCIDENT))
    due: HopTimes = msgspec.field(default_factory=lambda: HopTimes(Hop.DUE_TO_INCIDENT))

    def add(self, findings: Sequence[tuple[int, Finding]], kept_ms: Mapping[int, int], now_ms: int) -> None:
        """Count these findings, with numbers, as incidents' since ``now_ms``; ``kept_ms``: when each was decided."""
        self.decided.add(now_ms - kept_ms[n] for n, _ in findings if n in kept_ms)
        self.due.add(now_ms - finding.due_ms for _, finding in findings)


class Intake:
    """Turns findings into incidents.

    Args:
        rules: what is known of each rule; one without an entry is taken as ``contracts.rules.UNKNOWN_RULE``.
        receivers: names of those who are told; each gets its own delivery row.
        source: whose cursor this is; another engine store has another.
        times: to count in.
    """

    def __init__(
        self,
        store: Store,
        directory: SiteDirectory,
        rules: Mapping[str, RuleFacts],
        receivers: Sequence[str] = (),
        *,
        clock_ms: Clock = wall_ms,
        source: str = "engine",
        times: IntakeTimes | None = None,
    ) -> None:
        self._times = times or IntakeTimes()
        self.store = store
        self._directory = directory
        self.rules = rules
        self._receivers = tuple(receivers)
        self._clock_ms = clock_ms
        self.cursor_name = f"intake/{source}"

    def cursor(self) -> int:
        """Return the number of the last finding taken, 0 at first."""
        with self.store.read() as connection:
            return current(connection, self.cursor_name)

    def take(
        self,
        findings: Sequence[tuple[int, Finding]],
        alarms: Sequence[RaisedAlarm] = (),
        *,
        through: int = 0,
        kept_ms: Mapping[int, int] | None = None,
    ) -> IntakeResult:
        """Take findings with their numbers in the engine's store; all of them durably, or none.

        Args:
            alarms: of who decides the findings, for operators.
            through: the last number read, where what came after the last finding was none.
            kept_ms: when each was decided, by number, as far as it is known; for latencies.

        Raises:
            Transient: the database is away.
        """
        batch = FindingBatch(findings, alarms, through, kept_ms or {})
        if not findings and not alarms and not through:
            return IntakeResult()
        with self.store.write() as connection:
            (taken,) = take_batches(connection, [(self, batch)])
        self.after_commit(batch, taken)
        return taken

    def take_in(self, unit_of_work: IntakeUnitOfWork, batch: FindingBatch) -> IntakeResult:
        """See :func:`take_batches`."""
        taken = IntakeResult(at_ms=self._clock_ms())
        pass_ = _Pass(unit_of_work, self._directory, self.rules, self._receivers, taken.at_ms, taken)
        for _n, finding in batch.findings:
            pass_.take(finding)
        for alarm in batch.alarms:
            raise_alarm(unit_of_work.connection, alarm.code, alarm.subject, alarm.detail, taken.at_ms)
        unit_of_work.numbers.reach(self.cursor_name, batch.newest)
        return taken

    def after_commit(self, batch: FindingBatch, taken: IntakeResult) -> None:
        """Count and log what is durable now."""
        for incident_id in taken.opened:
            _log.info("incident_opened", trace=taken.traces[incident_id], incident=incident_id)
        if taken.new:
            self._times.add(batch.findings, batch.kept_ms, taken.at_ms)


def take_batches(connection: Connection, given: Sequence[tuple[Intake, FindingBatch]]) -> list[IntakeResult]:
    """Take what several sources gave within one transaction; once it is committed :meth:`Intake.after_commit` is due
    for each.

    Together since each statement is waited for, and most of them can be one for everything that was given.
    """
    coming = [finding for _, batch in given for _, finding in batch.findings]
    rules = {name: facts for intake, _ in given for name, facts in intake.rules.items()}
    unit_of_work = IntakeUnitOfWork(connection, coming, [intake.cursor_name for intake, _ in given], rules)
    taken = [intake.take_in(unit_of_work, batch) for intake, batch in given]
    unit_of_work.write()
    return taken


class _Pass:
    """One intake's work in a transaction."""

    def __init__(
        self,
        unit_of_work: IntakeUnitOfWork,
        directory: SiteDirectory,
        rules: Mapping[str, RuleFacts],
        receivers: Sequence[str],
        now_ms: int,
        taken: IntakeResult,
    ) -> None:
        self.unit_of_work = unit_of_work
        self.connection = unit_of_work.connection
        self.directory = directory
        self.rules = rules
        self.receivers = receivers
        self.now_ms = now_ms
        self.taken = taken

    def take(self, finding: Finding) -> None:
        known = self.unit_of_work.known(finding.finding_id)
        if known is not None:
            self._meet_again(finding, *known)
            return
        self.taken.new += 1
        if finding.rule in _ALARMING:
            subject = f"{finding.site_id}/{finding.key}"
            raise_alarm(self.connection, _ALARMING[finding.rule], subject, finding.finding_id, self.now_ms)
        row = self._row(finding)
        if self.unit_of_work.is_its_turn(finding):
            episode = self._apply(_FINDING.decode(row["content"]))  # what is kept is what is applied
            self.unit_of_work.keep_applied(row, episode.incident_id)
            return
        self.unit_of_work.keep_waiting(row)
        if not self._apply_ready(finding.open_id):
            self.taken.waiting += 1

    def _meet_again(self, finding: Finding, digest: str, verified: bool) -> None:  # noqa: FBT001 - a row's column
        if content_digest(finding) != digest and self._says_otherwise(finding):
            return
        self.taken.known += 1
        if finding.verified and not verified:
            self._confirm(finding)

    def _says_otherwise(self, finding: Finding) -> bool:
        """Return whether it has another content than the one taken before, which stands; raise an alarm for both."""
        first = _FINDING.decode(self.unit_of_work.content(finding.finding_id))
        if says_the_same(first, finding):  # taken by a version that counted more as content
            return False
        contradiction = contradiction_of(first, finding)
        if contradiction is None:
            self.taken.known += 1
        else:
            self.taken.contradicting += 1
            raise_contradictions(self.connection, [contradiction], self.now_ms)
        return True

    def _confirm(self, finding: Finding) -> None:
        """Hold the same finding as verified: it was judged again with the data that was missing."""
        self.unit_of_work.verify(finding.finding_id)
        episode = self.unit_of_work.episodes.get(finding.open_id)
        if episode is not None:
            self.unit_of_work.episodes.update(msgspec.structs.replace(episode, verified=True))
            self._refresh(self._incident(episode.incident_id), ChangeKind.UPDATED)

    def _row(self, finding: Finding) -> dict[str, Any]:
        row = {name: getattr(finding, name) for name in ("finding_id", "open_id", "nth", "site_id", "verified")}
        row |= {"phase": finding.phase.value, "incident_id": None, "applied": False, "due_ms": finding.due_ms}
        content = msgspec.json.encode(finding).decode()
        digest = content_digest(finding)
        return row | {"digest": digest, "content": content, "taken_ms": self.now_ms}

    def _apply_ready(self, open_id: str) -> bool:
        """Apply every finding of the episode whose turn it is; whether any was."""
        applied = False
        while (finding := self._next(open_id)) is not None:
            episode = self._apply(finding)
            self.connection.execute(_APPLIED, {"id": finding.finding_id, "of": episode.incident_id})
            applied = True
        return applied

    def _apply(self, finding: Finding) -> IncidentEpisode:
        episode = self.unit_of_work.episodes.get(finding.open_id)
        episode = self._begin(finding) if episode is None else self._continue(episode, finding)
        self.unit_of_work.name_evidence(episode.incident_id, finding, self.now_ms)
        return episode

    def _next(self, open_id: str) -> Finding | None:
        episode = self.unit_of_work.episodes.get(open_id)
        if episode is None:
            content = self.connection.execute(_WAITING_OPEN, {"of": open_id}).scalar()
        else:
            due = {"of": open_id, "due": episode.next_nth}
            content = self.connection.execute(_WAITING_NEXT, due).scalar()
        return None if content is None else _FINDING.decode(content)

    def _begin(self, finding: Finding) -> IncidentEpisode:
        incident = self.unit_of_work.incidents.to_extend(finding)
        joined = incident is not None
        if incident is None:
            incident = self._open(finding)
        episode = opened(finding, incident.incident_id, momentary=self._is_momentary(finding))
        self.unit_of_work.episodes.begin(episode)
        if joined:
            self._refresh(incident, ChangeKind.EXTENDED)
        return episode

    def _open(self, finding: Finding) -> Incident:
        self.unit_of_work.incidents.write()
        ordinal = self.unit_of_work.numbers.next(INCIDENTS)
        incident = open_incident(
            self.connection,
            finding,
            self.directory,
            momentary=self._is_momentary(finding),
            ordinal=ordinal,
            now_ms=self.now_ms,
        )
        self.unit_of_work.add_incident(incident)
        self.taken.opened.append(incident.incident_id)
        self.taken.traces[incident.incident_id] = trace_id(finding)
        self._tell(incident, DeliveryKind.OPENED)
        self.unit_of_work.change(incident, ChangeKind.OPENED, self.now_ms)
        return incident

    def _is_momentary(self, finding: Finding) -> bool:
        return facts_of(self.rules, finding.rule).momentary

    def _continue(self, episode: IncidentEpisode, finding: Finding) -> IncidentEpisode:
        episode = advanced(episode, finding)
        incident = self._incident(episode.incident_id)
        if self._outgrows(incident, episode):
            # Somebody closed the incident, then it got worse: closed rows are not looked at, so this is a new one.
            closed, incident = incident, self._open(finding)
            episode = msgspec.structs.replace(episode, incident_id=incident.incident_id)
            self.unit_of_work.episodes.update(episode)
            self._refresh(closed, ChangeKind.UPDATED)
        else:
            self.unit_of_work.episodes.update(episode)
        self._refresh(incident, ChangeKind.UPDATED)
        return episode

    def _outgrows(self, incident: Incident, episode: IncidentEpisode) -> bool:
        holds = episode.state is not EpisodeState.RETRACTED
        return incident.final and holds and episode.severity_rank > incident.severity_rank

    def _refresh(self, incident: Incident, kind: ChangeKind) -> None:
        """Write what the incident's episodes now add up to, and tell whoever must hear of the difference."""
        totals = self.unit_of_work.episodes.totals(incident.incident_id)
        if totals is None:
            self._withdraw(incident)
            return
        after = after_totals(incident, totals)
        if after.severity_rank > incident.severity_rank:
            after = self._raised(incident, after)
        if after.verified and not incident.verified and not incident.final:
            self._tell(after, DeliveryKind.CONFIRMED)
        self._write(after, kind)

    def _raised(self, before: Incident, after: Incident) -> Incident:
        after = msgspec.structs.replace(after, version=before.version + 1, fold_group=None)
        add_history(self.connection, before, after, action="raise", actor=SYSTEM, now_ms=self.now_ms)
        self._tell(after, DeliveryKind.RAISED)
        return after

    def _withdraw(self, incident: Incident) -> None:
        was = self.unit_of_work.episodes.totals(incident.incident_id, retracted=True)
        incident = msgspec.structs.replace(after_totals(incident, was) if was else incident, ongoing=False)
        if incident.final:  # people had decided, or it is withdrawn already; that stays, with the change to look at
            self._write(incident, ChangeKind.UPDATED)
            return
        state = next_alert_state(incident.state, AlertAction.RETRACT)
        after = msgspec.structs.replace(incident, state=state, version=incident.version + 1)
        add_history(self.connection, incident, after, action="retract", actor=SYSTEM, now_ms=self.now_ms)
        self._tell(after, DeliveryKind.CORRECTED)
        self._write(after, ChangeKind.WITHDRAWN)

    def _write(self, incident: Incident, kind: ChangeKind) -> None:
        incident = msgspec.structs.replace(incident, changed_ms=self.now_ms)
        self.unit_of_work.incidents.update(incident)
        self.unit_of_work.change(incident, kind, self.now_ms)

    def _tell(self, incident: Incident, kind: DeliveryKind) -> None:
        self.unit_of_work.enqueue(notifications_of(self.receivers, incident, kind, self.now_ms))

    def _incident(self, incident_id: str) -> Incident:
        incident = self.unit_of_work.incidents.get(incident_id)
        assert incident is not None, f"episode without its incident {incident_id}"
        return incident


def content_digest(finding: Finding) -> str:
    """Return a hash of what findings of one id have in common."""
    return hashlib.blake2b(msgspec.json.encode(content_of(finding)), digest_size=16).hexdigest()
