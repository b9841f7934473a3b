"""Gathering the story behind an id from the stores: log, findings, incidents, deliveries. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from sqlalchemy import Connection, or_, select

from app.operations.story import Story, TracedAttempt, TracedDelivery, TracedFinding
from contracts.errors import Permanent
from contracts.findings import Finding, trace_id
from delivery.deliveries import delivery_of
from incidents.store.records import Incident, get_incident, incident_of
from incidents.store.schema import attempts, deliveries, findings, incidents
from incidents.store.store import Store
from streams.checkpoints.sqlite_lookup import FindingLookup, StoredFinding, rests_on
from streams.log.event_lookup import LoggedEvent, find_event
from streams.log.port import LogReader

LogOf = Callable[[str | None], Sequence[LogReader]]
"""Site (None: not known) → the partitions its events may be in."""


class Tracer:
    """Looks ids up.

    Args:
        store: the incidents' database.
        look: the findings as the rules' reader keeps them.
        log_of: the log.
    """

    def __init__(self, store: Store, lookup: FindingLookup, log_of: LogOf) -> None:
        self._store = store
        self._lookup = lookup
        self._log_of = log_of

    def story(self, wanted: str, site_id: str | None = None) -> Story:
        """Return the story behind an id of a delivery, an incident (or its number), a finding or an event.

        Args:
            wanted: the id.
            site_id: of an event: another site's device may use the same id; of a number: each site counts anew.

        Raises:
            Permanent: nothing has this id, or two incidents have this number.
        """
        with self._store.read() as connection:
            story = self._of_delivery(connection, wanted) or self._of_incident(connection, wanted, site_id)
            story = story or self._of_finding(connection, wanted)
            story = story or self._of_event(connection, wanted, site_id)
        if story is None:
            raise Permanent(
                f"nothing is known of {wanted[:80]!r}: expected the id of an event, a finding, an incident (or its "
                "number) or a delivery; the log and the ids in it are kept for log.retention_days"
            )
        return story

    def _of_delivery(self, connection: Connection, wanted: str) -> Story | None:
        row = connection.execute(select(deliveries).where(deliveries.c.delivery_id == wanted)).first()
        if row is None:
            return None
        whole = self._around(connection, [row.incident_id])
        mine = tuple(told for told in whole.deliveries if told.delivery.delivery_id == wanted)
        return msgspec.structs.replace(whole, deliveries=mine)

    def _of_incident(self, connection: Connection, wanted: str, site_id: str | None) -> Story | None:
        query = select(incidents).where(or_(incidents.c.incident_id == wanted, incidents.c.number == wanted))
        if site_id is not None:
            query = query.where(incidents.c.site_id == site_id)
        found = [incident_of(row) for row in connection.execute(query).mappings()]
        if len(found) > 1:
            sites = ", ".join(sorted(incident.site_id for incident in found))
            raise Permanent(f"{wanted} is the number of an incident at {sites}: say which with --site")
        return self._around(connection, [found[0].incident_id]) if found else None

    def _of_finding(self, connection: Connection, wanted: str) -> Story | None:
        row = connection.execute(select(findings).where(findings.c.finding_id == wanted)).first()
        if row is None:
            kept = self._lookup.find(wanted)
            if kept is None:
                return None
            return self._told(connection, (TracedFinding(kept),), missing=("the finding is not an incident's yet",))
        return self._told(connection, (self._judged(row.content, row.taken_ms),), [row.incident_id])

    def _of_event(self, connection: Connection, wanted: str, site_id: str | None) -> Story | None:
        taken = self._taken_of_event(connection, wanted, site_id)
        known = {judged.kept.finding.finding_id for judged, _ in taken}
        kept = [k for k in self._lookup.resting_on(wanted) if k.finding.finding_id not in known]
        waiting = tuple(TracedFinding(k) for k in kept if site_id in {None, k.finding.site_id})
        judged = (*(j for j, _ in taken), *waiting)
        if judged:
            return self._told(connection, judged, [incident for _, incident in taken], event_id=wanted)
        event = self._event(wanted, site_id, 0)
        return None if event is None else Story(trace=wanted, event=event, missing=("no finding rests on it",))

    def _taken_of_event(
        self, connection: Connection, wanted: str, site_id: str | None
    ) -> list[tuple[TracedFinding, str]]:
        """Return findings the incidents know that rest on the event, each with its incident."""
        query = select(findings).where(
            findings.c.content.contains(msgspec.json.encode(wanted).decode(), autoescape=True)
        )
        rows = connection.execute(query.order_by(findings.c.taken_ms, findings.c.nth)).all()
        found = [(self._judged(row.content, row.taken_ms), row.incident_id) for row in rows]
        return [
            (judged, incident)
            for judged, incident in found
            if rests_on(judged.kept.finding, wanted) and site_id in {None, judged.kept.finding.site_id}
        ]

    def _around(self, connection: Connection, of: Sequence[str]) -> Story:
        query = select(findings).where(findings.c.incident_id.in_(of)).order_by(findings.c.taken_ms, findings.c.nth)
        judged = tuple(self._judged(row.content, row.taken_ms) for row in connection.execute(query))
        return self._told(connection, judged, of)

    def _told(
        self,
        connection: Connection,
        judged: tuple[TracedFinding, ...],
        of: Sequence[str | None] = (),
        *,
        event_id: str | None = None,
        missing: tuple[str, ...] = (),
    ) -> Story:
        known = [incident for each in dict.fromkeys(of) if each and (incident := get_incident(connection, each))]
        first = judged[0].kept.finding if judged else None
        wanted = event_id or (first.onset_event_id if first else None)
        event = (
            self._event(wanted, first.site_id if first else None, first.onset_ms if first else 0) if wanted else None
        )
        if wanted and event is None:
            missing += (f"the event {wanted} is no longer in the log",)
        trace = trace_id(first) if first else known[0].incident_id
        told = tuple(told for incident in known for told in _deliveries(connection, incident))
        return Story(trace, event, judged, tuple(known), told, missing)

    def _judged(self, content: str, taken_ms: int) -> TracedFinding:
        finding = msgspec.json.decode(content, type=Finding)
        kept = self._lookup.find(finding.finding_id, finding)
        return TracedFinding(kept or StoredFinding(finding, 0), taken_ms)

    def _event(self, event_id: str, site_id: str | None, from_ms: int) -> LoggedEvent | None:
        """Look for it from about when it was received; a box may have sent it long before what it began was decided."""
        for log in self._log_of(site_id):
            found = find_event(log, event_id, site_id=site_id, from_ms=from_ms)
            if found is not None:
                return found
        return None


def _deliveries(connection: Connection, incident: Incident) -> list[TracedDelivery]:
    query = select(deliveries).where(deliveries.c.incident_id == incident.incident_id).order_by(deliveries.c.ordinal)
    rows = [delivery_of(row) for row in connection.execute(query).all()]
    return [TracedDelivery(row, _attempts(connection, row.delivery_id)) for row in rows]


def _attempts(connection: Connection, delivery_id: str) -> tuple[TracedAttempt, ...]:
    query = select(attempts).where(attempts.c.delivery_id == delivery_id).order_by(attempts.c.nth)
    return tuple(TracedAttempt(r.nth, r.at_ms, r.took_ms, r.outcome, r.detail) for r in connection.execute(query))
