"""Legal holds: what a hold covers is neither deleted by age nor erased on request until the hold ends."""

from __future__ import annotations

import secrets

import msgspec
from sqlalchemy import Connection, insert, select, update

from contracts.errors import ConfigurationError
from contracts.names import is_id
from governance import audit
from incidents.store.schema import holds, incident_evidence, incidents

MAX_REASON = 200


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """One row. Without an ``incident_id`` it covers the whole site."""

    hold_id: str
    site_id: str
    incident_id: str | None
    reason: str
    actor: str
    since_ms: int
    ended_ms: int | None

    def __str__(self) -> str:
        return f"{self.hold_id} ({self.reason})"


class HoldScope(msgspec.Struct, frozen=True):
    """The scope of the holds in force: sites as a whole, and incidents, each with its hold."""

    sites: dict[str, Hold]
    incidents: dict[str, Hold]

    def of(self, site_id: str, incident_id: str) -> Hold | None:
        """Return the hold that covers an incident, if any."""
        return self.sites.get(site_id) or self.incidents.get(incident_id)


def add_hold(
    connection: Connection, site_id: str, incident_id: str | None, reason: str, actor: str, now_ms: int
) -> Hold:
    """Begin a hold, with an audit entry.

    Raises:
        ConfigurationError: no reason, a site that is none, or an incident that is not the site's.
    """
    if not is_id(site_id):
        raise ConfigurationError(f"site {site_id[:60]!r} is no id: small letters, digits, - and _, at most 40")
    if not reason.strip() or len(reason) > MAX_REASON:
        raise ConfigurationError(f"a hold needs its reason, at most {MAX_REASON} characters and nobody's name in it")
    if incident_id is not None:
        incident_id = _incident_of(connection, site_id, incident_id)
    hold = Hold(
        hold_id=f"h-{secrets.token_hex(4)}",
        site_id=site_id,
        incident_id=incident_id,
        reason=reason.strip(),
        actor=actor,
        since_ms=now_ms,
        ended_ms=None,
    )
    connection.execute(insert(holds).values(msgspec.structs.asdict(hold)))
    detail = {"site": site_id, "incident": incident_id}  # the reason stands in the row, where an erasure reaches it
    audit.record(connection, actor, "hold.add", hold.hold_id, detail, now_ms)
    return hold


def _incident_of(connection: Connection, site_id: str, named: str) -> str:
    """Return the id of the site's incident that is named by its id, or by the number that people see."""
    query = select(incidents.c.incident_id).where(
        incidents.c.site_id == site_id, (incidents.c.incident_id == named) | (incidents.c.number == named)
    )
    found = connection.execute(query).scalar()
    if found is None:
        raise ConfigurationError(
            f"site {site_id} has no incident {named[:60]!r}; expected its id, or its number, as 20261123-0042"
        )
    return str(found)


def end_hold(connection: Connection, hold_id: str, actor: str, now_ms: int) -> None:
    """End a hold, with an audit entry; what it covered is deleted or erased in its turn.

    Raises:
        ConfigurationError: no such hold stands.
    """
    where = (holds.c.hold_id == hold_id) & holds.c.ended_ms.is_(None)
    if not connection.execute(update(holds).where(where).values(ended_ms=now_ms)).rowcount:
        raise ConfigurationError(f"no hold {hold_id[:60]} stands; `linli hold list` shows those that do")
    audit.record(connection, actor, "hold.remove", hold_id, {}, now_ms)


def standing_holds(connection: Connection) -> list[Hold]:
    """Return every hold that has not ended, oldest first."""
    query = select(holds).where(holds.c.ended_ms.is_(None)).order_by(holds.c.since_ms, holds.c.hold_id)
    return [Hold(**row) for row in connection.execute(query).mappings()]


def held_now(connection: Connection) -> HoldScope:
    """Return what is held now."""
    standing = standing_holds(connection)
    return HoldScope(
        {hold.site_id: hold for hold in standing if hold.incident_id is None},
        {hold.incident_id: hold for hold in standing if hold.incident_id is not None},
    )


def held_evidence(connection: Connection) -> set[tuple[str, str]]:
    """Return the evidence, as (site, hash), that incidents under a hold name."""
    held = held_now(connection)
    join = incident_evidence.join(incidents, incidents.c.incident_id == incident_evidence.c.incident_id)
    query = select(incidents.c.site_id, incident_evidence.c.sha256).select_from(join)
    covered = incidents.c.site_id.in_(held.sites) | incidents.c.incident_id.in_(held.incidents)
    return {(row.site_id, row.sha256) for row in connection.execute(query.where(covered))}
