"""Episodes: the findings between an OPEN and its CLOSE, and what an incident's episodes add up to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy import Connection, RowMapping, bindparam, case, func, insert, select, update
from sqlalchemy.sql import ColumnElement

from contracts.findings import Finding, Phase
from incidents.store.database import padded_to_power_of_two, select_by_ids
from incidents.store.records import EpisodeState, Incident
from incidents.store.schema import episodes

_UPDATE = update(episodes).where(episodes.c.open_id == bindparam("of"))


class IncidentEpisode(msgspec.Struct, frozen=True, kw_only=True):
    """One row of ``episodes``. Severity, life safety, verified and confidence are the highest so far."""

    open_id: str
    incident_id: str
    next_nth: int
    state: EpisodeState
    severity_rank: int
    life_safety: bool
    verified: bool
    confidence: float
    first_ms: int
    last_ms: int


class EpisodeTotals(msgspec.Struct, frozen=True, kw_only=True):
    """The sums over the episodes of an incident that still hold."""

    severity_rank: int
    life_safety: bool
    verified: bool
    confidence: float
    ongoing: bool
    onset_ms: int
    last_ms: int


def opened(finding: Finding, incident_id: str, *, momentary: bool) -> IncidentEpisode:
    """Return the episode that an OPEN begins; a ``momentary`` one is over with it."""
    return IncidentEpisode(
        open_id=finding.open_id,
        incident_id=incident_id,
        next_nth=1,
        state=EpisodeState.CLOSED if momentary else EpisodeState.OPEN,
        severity_rank=finding.severity.rank,
        life_safety=finding.life_safety,
        verified=finding.verified,
        confidence=finding.confidence,
        first_ms=finding.onset_ms,
        last_ms=max(finding.decided_ms, finding.onset_ms),
    )


def advanced(episode: IncidentEpisode, finding: Finding) -> IncidentEpisode:
    """Return the episode after its next finding. What was retracted stays so, whatever still arrives."""
    state = episode.state
    if finding.phase is Phase.RETRACT:
        return msgspec.structs.replace(episode, state=EpisodeState.RETRACTED)
    if finding.phase is Phase.CLOSE and state is EpisodeState.OPEN:
        state = EpisodeState.CLOSED
    return msgspec.structs.replace(
        episode,
        next_nth=finding.nth + 1,
        state=state,
        severity_rank=max(episode.severity_rank, finding.severity.rank),
        life_safety=episode.life_safety or finding.life_safety,
        verified=episode.verified or finding.verified,
        confidence=max(episode.confidence, finding.confidence),
        last_ms=max(episode.last_ms, finding.decided_ms),
    )


def after_totals(incident: Incident, totals: EpisodeTotals) -> Incident:
    """Return the incident with what its episodes add up to."""
    return msgspec.structs.replace(incident, **msgspec.structs.asdict(totals))


def episode_of(row: RowMapping) -> IncidentEpisode:
    """Return the row of ``episodes`` as a value."""
    return IncidentEpisode(**{**row, "state": EpisodeState(row["state"])})


def add_episodes(connection: Connection, begun: Sequence[IncidentEpisode]) -> None:
    """Write the rows of new episodes."""
    if begun:
        connection.execute(insert(episodes), [_values(episode) for episode in begun])


def update_episodes(connection: Connection, changed: Iterable[IncidentEpisode]) -> None:
    """Write the rows of episodes that have one."""
    rows = [_values(episode) | {"of": episode.open_id} for episode in changed]
    if rows:
        connection.execute(_UPDATE, rows)


def totals_without(
    connection: Connection, incident_ids: Sequence[str], open_ids: Iterable[str]
) -> dict[tuple[str, bool], EpisodeTotals]:
    """Return what the episodes of incidents add up to, leaving ``open_ids`` out.

    By incident and whether they were retracted; there is none where there is no such episode.
    """
    rows = select_by_ids(connection, _TOTALS, incident_ids, left_out=padded_to_power_of_two(sorted(open_ids) or [""]))
    return {(row["incident_id"], row["retracted"] > 0): _totals_of(row) for row in rows}


def totals_of(episodes_: Iterable[IncidentEpisode], others: EpisodeTotals | None) -> EpisodeTotals | None:
    """Return what these episodes and those that ``others`` stands for add up to, or None when there is none."""
    parts = [*(_alone(episode) for episode in episodes_), *([others] if others else [])]
    if not parts:
        return None
    return EpisodeTotals(
        severity_rank=max(part.severity_rank for part in parts),
        life_safety=any(part.life_safety for part in parts),
        verified=any(part.verified for part in parts),
        confidence=max(part.confidence for part in parts),
        ongoing=any(part.ongoing for part in parts),
        onset_ms=min(part.onset_ms for part in parts),
        last_ms=max(part.last_ms for part in parts),
    )


def _alone(episode: IncidentEpisode) -> EpisodeTotals:
    return EpisodeTotals(
        severity_rank=episode.severity_rank,
        life_safety=episode.life_safety,
        verified=episode.verified,
        confidence=episode.confidence,
        ongoing=episode.state is EpisodeState.OPEN,
        onset_ms=episode.first_ms,
        last_ms=episode.last_ms,
    )


def _totals_of(row: RowMapping) -> EpisodeTotals:
    return EpisodeTotals(
        severity_rank=row["severity_rank"],
        life_safety=row["life_safety"] > 0,
        verified=row["verified"] > 0,
        confidence=row["confidence"],
        ongoing=row["ongoing"] > 0,
        onset_ms=row["onset_ms"],
        last_ms=row["last_ms"],
    )


def _values(episode: IncidentEpisode) -> dict[str, object]:
    return msgspec.structs.asdict(episode) | {"state": episode.state.value}


def _any(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.max(case((condition, 1), else_=0))


_RETRACTED = episodes.c.state == EpisodeState.RETRACTED.value
_TOTALS = (
    select(
        episodes.c.incident_id,
        _any(_RETRACTED).label("retracted"),
        func.max(episodes.c.severity_rank).label("severity_rank"),
        _any(episodes.c.life_safety.is_(True)).label("life_safety"),
        _any(episodes.c.verified.is_(True)).label("verified"),
        func.max(episodes.c.confidence).label("confidence"),
        _any(episodes.c.state == EpisodeState.OPEN.value).label("ongoing"),
        func.min(episodes.c.first_ms).label("onset_ms"),
        func.max(episodes.c.last_ms).label("last_ms"),
    )
    .where(episodes.c.incident_id.in_(bindparam("ids", expanding=True)))
    .where(episodes.c.open_id.not_in(bindparam("left_out", expanding=True)))
    .group_by(episodes.c.incident_id, case((_RETRACTED, 1), else_=0))
)
