"""What one transaction of the intake knows and has yet to write: asked for and written together, not by the finding.

Each statement waits for the server's answer, so a batch asks once for what is known of its findings, and writes rows
that nothing asks for within it at its end. That is sound since a transaction that writes is the only one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from contracts.findings import Finding, Phase
from contracts.rules import RuleFacts
from delivery.deliveries import DELIVERIES, Notification, new_notifications, write_notifications
from evidence.store import NamedEvidence, name_evidence
from incidents.intake.identity_map import EpisodeIdentityMap, IncidentIdentityMap
from incidents.intake.openings import INCIDENTS
from incidents.store.changes import CHANGES, Change, write_changes
from incidents.store.counters import Sequences
from incidents.store.database import select_by_ids
from incidents.store.records import ChangeKind, Incident
from incidents.store.schema import findings

_KNOWN = select(findings.c.finding_id, findings.c.digest, findings.c.verified).where(
    findings.c.finding_id.in_(bindparam("ids", expanding=True))
)
_WAITING = (
    select(findings.c.open_id)
    .distinct()
    .where(findings.c.open_id.in_(bindparam("ids", expanding=True)), findings.c.applied.is_(False))
)
_CONTENT = select(findings.c.content).where(findings.c.finding_id == bindparam("of"))
_VERIFIED = update(findings).where(findings.c.finding_id == bindparam("of")).values(verified=True)


class IntakeUnitOfWork:
    """The state of one transaction; its ``episodes`` and ``incidents`` are read and changed in memory.

    Args:
        coming: the findings that it will take.
        cursors: names of the readers' cursors that it will move.
        rules: what is known of the rules that made them.
    """

    def __init__(
        self,
        connection: Connection,
        coming: Iterable[Finding],
        cursors: Iterable[str],
        rules: Mapping[str, RuleFacts],
    ) -> None:
        self.connection = connection
        self.numbers = Sequences(connection, [INCIDENTS, CHANGES, DELIVERIES, *cursors])
        coming = list(coming)
        known = select_by_ids(connection, _KNOWN, _distinct(finding.finding_id for finding in coming))
        self._known = {row["finding_id"]: (row["digest"], row["verified"]) for row in known}
        open_ids = _distinct(finding.open_id for finding in coming if self._may_change(finding))
        self._waiting = {row["open_id"] for row in select_by_ids(connection, _WAITING, open_ids)}
        self.episodes = EpisodeIdentityMap(connection, open_ids)
        named = self.episodes.incident_ids()
        openings = [finding for finding in coming if self._may_open(finding)]
        self.incidents = IncidentIdentityMap(connection, named, openings, rules)
        extended = [incident for finding in openings if (incident := self.incidents.to_extend(finding))]
        self.episodes.add_up([*named, *(incident.incident_id for incident in extended)])
        self._findings: dict[str, dict[str, Any]] = {}
        self._evidence: list[NamedEvidence] = []
        self._changes: list[Change] = []
        self._notifications: dict[str, Notification] = {}

    def known(self, finding_id: str) -> tuple[str, bool] | None:
        """Return the digest of a finding that was taken before, and whether it is verified."""
        return self._known.get(finding_id)

    def content(self, finding_id: str) -> str:
        """Return what is kept of a finding that was taken before, as JSON."""
        row = self._findings.get(finding_id)
        return str(
            self.connection.execute(_CONTENT, {"of": finding_id}).scalar_one() if row is None else row["content"]
        )

    def verify(self, finding_id: str) -> None:
        """Hold a finding that was taken before as verified."""
        self._known[finding_id] = (self._known[finding_id][0], True)
        if finding_id in self._findings:
            self._findings[finding_id]["verified"] = True
        else:
            self.connection.execute(_VERIFIED, {"of": finding_id})

    def is_its_turn(self, finding: Finding) -> bool:
        """Return whether a new finding is its episode's next, and none of it waits that might come before or after."""
        if finding.open_id in self._waiting:
            return False
        episode = self.episodes.get(finding.open_id)
        if episode is None:
            return finding.nth == 0 and finding.phase is Phase.OPEN
        return finding.nth == episode.next_nth or finding.phase is Phase.RETRACT

    def keep_applied(self, row: dict[str, Any], incident_id: str) -> None:
        """Keep a new finding that was applied; its row is written at the end."""
        self._know(row)
        self._findings[row["finding_id"]] = row | {"applied": True, "incident_id": incident_id}

    def keep_waiting(self, row: dict[str, Any]) -> None:
        """Keep a new finding that may have to wait; its row is there at once, to be found by its episode."""
        self._know(row)
        self._waiting.add(row["open_id"])
        self.connection.execute(insert(findings), row)

    def add_incident(self, incident: Incident) -> None:
        """Add a new incident, whose row is there."""
        self.incidents.add(incident)
        self.episodes.is_alone(incident.incident_id)

    def name_evidence(self, incident_id: str, finding: Finding, at_ms: int) -> None:
        """Note the evidence that a finding names; the rows are written at the end."""
        self._evidence += [NamedEvidence(incident_id, finding.site_id, ref, at_ms) for ref in finding.evidence]

    def change(self, incident: Incident, kind: ChangeKind, at_ms: int) -> None:
        """Number a visible change; its row is written at the end."""
        seq = self.numbers.next(CHANGES)
        self._changes.append(Change(seq, incident.incident_id, incident.site_id, kind, at_ms))

    def enqueue(self, notifications: Iterable[Notification]) -> None:
        """Note that receivers are to be told; the rows are written at the end, of one key only the first."""
        for one in notifications:
            self._notifications.setdefault(one.delivery_id, one)

    def write(self) -> None:
        """Write what has not been written; the last thing in the transaction."""
        if self._findings:
            self.connection.execute(insert(findings), list(self._findings.values()))
        self.episodes.write()
        self.incidents.write()
        name_evidence(self.connection, self._evidence)
        notifications = new_notifications(self.connection, list(self._notifications.values()))
        write_notifications(self.connection, [(self.numbers.next(DELIVERIES), one) for one in notifications])
        write_changes(self.connection, self._changes)
        self.numbers.write()

    def _may_change(self, finding: Finding) -> bool:
        """Return whether its episode is needed: it is new, or it confirms what was taken before."""
        known = self._known.get(finding.finding_id)
        return known is None or (finding.verified and not known[1])

    def _may_open(self, finding: Finding) -> bool:
        """Return whether it may begin an episode."""
        if finding.finding_id in self._known or self.episodes.get(finding.open_id) is not None:
            return False
        return finding.nth == 0 and finding.phase is Phase.OPEN

    def _know(self, row: dict[str, Any]) -> None:
        self._known[row["finding_id"]] = (row["digest"], row["verified"])


def _distinct(ids: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(ids))
