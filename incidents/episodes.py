"""Episodes: the findings between an OPEN and its CLOSE, and what an incident's episodes add up to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, Select, bindparam, case, func, insert, select, update
from sqlalchemy.sql import ColumnElement

from contracts.findings import Finding, Phase, is_momentary
from incidents.records import EpisodeState, Incident
from incidents.schema import episodes

_UPDATE = update(episodes).where(episodes.c.open_id == bindparam("of"))


class Episode(msgspec.Struct, frozen=True, kw_only=True):
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


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What the episodes of an incident that still hold add up to."""

    severity_rank: int
    life_safety: bool
    verified: bool
    confidence: float
    ongoing: bool
    onset_ms: int
    last_ms: int


def opened(finding: Finding, incident_id: str) -> Episode:
    """The episode that an OPEN begins."""
    return Episode(
        open_id=finding.open_id,
        incident_id=incident_id,
        next_nth=1,
        state=EpisodeState.CLOSED if is_momentary(finding.rule) else EpisodeState.OPEN,
        severity_rank=finding.severity.rank,
        life_safety=finding.life_safety,
        verified=finding.verified,
        confidence=finding.confidence,
        first_ms=finding.onset_ms,
        last_ms=max(finding.decided_ms, finding.onset_ms),
    )


def advanced(episode: Episode, finding: Finding) -> Episode:
    """The episode after its next finding. What was retracted stays so, whatever still arrives."""
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


def after_totals(incident: Incident, totals: Totals) -> Incident:
    """The incident with what its episodes add up to."""
    return msgspec.structs.replace(incident, **msgspec.structs.asdict(totals))


def episode_of(row: RowMapping) -> Episode:
    """The row of ``episodes`` as a value."""
    return Episode(**{**row, "state": EpisodeState(row["state"])})


def add_episodes(connection: Connection, begun: Sequence[Episode]) -> None:
    """Write the rows of new episodes."""
    if begun:
        connection.execute(insert(episodes), [_values(episode) for episode in begun])


def update_episode(connection: Connection, episode: Episode) -> None:
    """Write the row of an episode that has one."""
    connection.execute(_UPDATE, _values(episode) | {"of": episode.open_id})


def totals_of(connection: Connection, incident_id: str, *, retracted: bool = False) -> Totals | None:
    """What the incident's episodes add up to, or None when there is none.

    Args:
        retracted: add up the episodes that were retracted instead of those that hold.
    """
    row = connection.execute(_RETRACTED if retracted else _HOLDING, {"of": incident_id}).one()
    if row.episodes == 0:
        return None
    return Totals(
        severity_rank=row.severity_rank,
        life_safety=row.life_safety > 0,
        verified=row.verified > 0,
        confidence=row.confidence,
        ongoing=row.ongoing > 0,
        onset_ms=row.onset_ms,
        last_ms=row.last_ms,
    )


def _values(episode: Episode) -> dict[str, object]:
    return msgspec.structs.asdict(episode) | {"state": episode.state.value}


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _totals_query(*, retracted: bool) -> Select[*tuple[Any, ...]]:
    table = episodes.c
    gone = table.state == EpisodeState.RETRACTED.value
    return (
        select(
            func.count().label("episodes"),
            func.max(table.severity_rank).label("severity_rank"),
            _count(table.life_safety.is_(True)).label("life_safety"),
            _count(table.verified.is_(True)).label("verified"),
            func.max(table.confidence).label("confidence"),
            _count(table.state == EpisodeState.OPEN.value).label("ongoing"),
            func.min(table.first_ms).label("onset_ms"),
            func.max(table.last_ms).label("last_ms"),
        )
        .where(table.incident_id == bindparam("of"))
        .where(gone if retracted else ~gone)
    )


_HOLDING, _RETRACTED = _totals_query(retracted=False), _totals_query(retracted=True)
