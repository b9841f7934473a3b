"""A new incident: its id, its number for people, its place, whether it recurs, and whether the feed folds it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, bindparam, func, insert, select, tuple_, update

from contracts.findings import Finding, Severity
from contracts.incidents import AlertState
from contracts.rules import RuleFacts, facts_of
from incidents.intake.grouping import FOLD_WINDOW_MS, fold_group, new_incident_id
from incidents.store.counters import allot_day_number
from incidents.store.database import select_by_ids
from incidents.store.records import Incident, incident_of
from incidents.store.schema import incidents
from inventory.directory import SiteDirectory, building_of, place_path, site_day

INCIDENTS = "incidents"
"""The counter of their ordinals."""

CANDIDATES = 50
"""Live incidents of one subject that a new episode may join; more would mean that nobody has closed any for days."""

Key = tuple[str, str, str, str, str]
"""Site, scenario, kind and reference of the subject, origin: a drill never joins what is real."""

_OF_SUBJECT = (
    incidents.c.site_id == bindparam("site"),
    incidents.c.scenario == bindparam("rule"),
    incidents.c.subject_kind == bindparam("kind"),
    incidents.c.subject_ref == bindparam("ref"),
    incidents.c.origin == bindparam("of"),
)
_KEY = (
    incidents.c.site_id,
    incidents.c.scenario,
    incidents.c.subject_kind,
    incidents.c.subject_ref,
    incidents.c.origin,
)
_LIVE = (
    select(incidents)
    .where(tuple_(*_KEY).in_(bindparam("ids", expanding=True)), incidents.c.last_ms >= bindparam("since"))
    .where(incidents.c.state.in_((AlertState.NEW.value, AlertState.SEEN.value)))
)
_BEFORE = (
    select(incidents.c.incident_id)
    .where(*_OF_SUBJECT, incidents.c.state != AlertState.WITHDRAWN.value)
    .order_by(incidents.c.ordinal.desc())
    .limit(1)
)
_OPENED_SINCE = select(func.count()).where(
    incidents.c.site_id == bindparam("site"),
    incidents.c.opened_ms > bindparam("since"),
    incidents.c.severity_rank < Severity.CRITICAL.rank,
)
_SURROUNDINGS = select(
    select(incidents.c.incident_id).where(incidents.c.incident_id == bindparam("plain")).exists().label("taken"),
    _BEFORE.scalar_subquery().label("before"),
    _OPENED_SINCE.scalar_subquery().label("lately"),
)
_CHANGING = (
    "state",
    "version",
    "severity_rank",
    "life_safety",
    "verified",
    "confidence",
    "ongoing",
    "onset_ms",
    "last_ms",
    "changed_ms",
    "fold_group",
)
"""What may change of an incident once it is opened."""

_UPDATE = (
    update(incidents)
    .where(incidents.c.incident_id == bindparam("of_id"))
    .values({name: bindparam(f"new_{name}") for name in _CHANGING})
)


def key_of_finding(finding: Finding) -> Key:
    """Return what an incident and a finding that may extend it have in common."""
    return finding.site_id, finding.rule, finding.subject.kind.value, finding.subject.ref, finding.origin.value


def key_of_incident(incident: Incident) -> Key:
    """See :func:`key_of_finding`."""
    return incident.site_id, incident.scenario, incident.subject_kind, incident.subject_ref, incident.origin


def live_incidents(
    connection: Connection, openings: Sequence[Finding], rules: Mapping[str, RuleFacts]
) -> list[Incident]:
    """Return the live incidents that ``openings``' episodes may join: of their subjects, not over for too long.

    That is asked as of the earliest of them, so it may give more than each could join.
    """
    keys = list(dict.fromkeys(map(key_of_finding, openings)))
    since_ms = min((finding.onset_ms - facts_of(rules, finding.rule).regroup_ms for finding in openings), default=0)
    return [incident_of(row) for row in select_by_ids(connection, _LIVE, keys, since=since_ms)]


def open_incident(
    connection: Connection, finding: Finding, directory: SiteDirectory, *, momentary: bool, ordinal: int, now_ms: int
) -> Incident:
    """Open and write a new incident for ``finding``; a ``momentary`` one is over when it is found."""
    asked = {"plain": new_incident_id(finding, taken=False), "since": now_ms - FOLD_WINDOW_MS}
    around = connection.execute(_SURROUNDINGS, _subject(finding) | asked).one()
    site_id = finding.site_id
    incident = Incident(
        incident_id=new_incident_id(finding, taken=around.taken),
        ordinal=ordinal,
        number=_number(connection, finding, directory),
        site_id=site_id,
        scenario=finding.rule,
        subject_kind=finding.subject.kind.value,
        subject_ref=finding.subject.ref,
        place_id=finding.place_id,
        building=_building_of(directory, finding),
        source_id=finding.source_id,
        state=AlertState.NEW,
        version=1,
        severity_rank=finding.severity.rank,
        life_safety=finding.life_safety,
        verified=finding.verified,
        confidence=finding.confidence,
        ongoing=not momentary,
        onset_ms=finding.onset_ms,
        last_ms=max(finding.onset_ms, finding.decided_ms),
        opened_ms=now_ms,
        changed_ms=now_ms,
        recurs_of=around.before,
        origin=finding.origin.value,
        fold_group=fold_group(site_id, finding.severity, now_ms, int(around.lately)),
        search=_search(directory, finding),
    )
    connection.execute(insert(incidents), _row_of(incident))
    return incident


def update_incidents(connection: Connection, changed: Iterable[Incident]) -> None:
    """Write the rows of incidents that have one."""
    rows = [
        {f"new_{name}": getattr(incident, name) for name in _CHANGING}
        | {"new_state": incident.state.value, "of_id": incident.incident_id}
        for incident in changed
    ]
    if rows:
        connection.execute(_UPDATE, rows)


def _subject(finding: Finding) -> dict[str, object]:
    return dict(zip(("site", "rule", "kind", "ref", "of"), key_of_finding(finding), strict=True))


def _row_of(incident: Incident) -> dict[str, object]:
    """Return the incident as values of its row."""
    return {name: getattr(incident, name) for name in incident.__struct_fields__} | {"state": incident.state.value}


def _number(connection: Connection, finding: Finding, directory: SiteDirectory) -> str:
    day = site_day(directory, finding.site_id, finding.onset_ms)
    return f"{day}-{allot_day_number(connection, finding.site_id, day):04d}"


def _building_of(directory: SiteDirectory, finding: Finding) -> str | None:
    """Return the building of the finding's place; of its device's where nobody knows that place."""
    if finding.source_id is None or directory.place(finding.site_id, finding.place_id) is not None:
        return building_of(directory, finding.site_id, finding.place_id)
    device = directory.device(finding.site_id, finding.source_id)
    return building_of(directory, finding.site_id, device.place_id) if device is not None else None


def _search(directory: SiteDirectory, finding: Finding) -> str:
    names = [place.name for place in place_path(directory, finding.site_id, finding.place_id)]
    device = directory.device(finding.site_id, finding.source_id) if finding.source_id else None
    words = [*names, finding.place_id, finding.source_id or "", device.name if device else "", finding.subject.ref]
    return " ".join(word for word in words if word).casefold()
