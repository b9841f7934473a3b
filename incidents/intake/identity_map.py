"""What one transaction that writes has at hand of incidents and episodes: asked for together, changed in memory.

Rows are written at its end, those of changed incidents also before somebody looks around among them. That is sound
since a transaction that writes is the only one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, bindparam, select

from contracts.findings import Finding
from contracts.rules import RuleFacts, facts_of
from incidents.intake.episodes import (
    EpisodeTotals,
    IncidentEpisode,
    add_episodes,
    episode_of,
    totals_of,
    totals_without,
    update_episodes,
)
from incidents.intake.grouping import matching_incident
from incidents.intake.openings import (
    CANDIDATES,
    Key,
    key_of_finding,
    key_of_incident,
    live_incidents,
    update_incidents,
)
from incidents.store.database import select_by_ids
from incidents.store.records import EpisodeState, Incident, get_incident, incident_of
from incidents.store.schema import episodes, incidents

_EPISODES = select(episodes).where(episodes.c.open_id.in_(bindparam("ids", expanding=True)))
_INCIDENTS = select(incidents).where(incidents.c.incident_id.in_(bindparam("ids", expanding=True)))


class EpisodeIdentityMap:
    """Episodes of the findings that come.

    Args:
        open_ids: of every episode that may change.
    """

    def __init__(self, connection: Connection, open_ids: Sequence[str]) -> None:
        self._connection = connection
        self._open_ids = open_ids
        self._now: dict[str, IncidentEpisode] = {}
        self._of_incident: defaultdict[str, dict[str, IncidentEpisode]] = defaultdict(dict)
        self._others: dict[tuple[str, bool], EpisodeTotals] = {}
        self._added_up: set[str] = set()
        self._begun: set[str] = set()
        self._changed: set[str] = set()
        for row in select_by_ids(connection, _EPISODES, open_ids):
            self._put(episode_of(row))

    def get(self, open_id: str) -> IncidentEpisode | None:
        """Return one of them, or None while it has not begun."""
        return self._now.get(open_id)

    def incident_ids(self) -> list[str]:
        """Return the incidents that they belong to."""
        return list(dict.fromkeys(episode.incident_id for episode in self._now.values()))

    def begin(self, episode: IncidentEpisode) -> None:
        """Begin a new episode."""
        self._begun.add(episode.open_id)
        self._put(episode)

    def update(self, episode: IncidentEpisode) -> None:
        """Replace an episode."""
        self._changed.add(episode.open_id)
        self._put(episode)

    def add_up(self, incident_ids: Iterable[str]) -> None:
        """Ask together for what :meth:`totals` of these incidents needs."""
        new = [one for one in dict.fromkeys(incident_ids) if one not in self._added_up]
        self._others |= totals_without(self._connection, new, self._open_ids)
        self._added_up.update(new)

    def is_alone(self, incident_id: str) -> None:
        """Note that the incident is new: no episode that is not at hand belongs to it."""
        self._added_up.add(incident_id)

    def totals(self, incident_id: str, *, retracted: bool = False) -> EpisodeTotals | None:
        """Return what the incident's episodes add up to, or None when there is none.

        Args:
            retracted: add up the episodes that were retracted instead of those that hold.
        """
        self.add_up([incident_id])
        own = self._of_incident[incident_id].values()
        counted = [episode for episode in own if (episode.state is EpisodeState.RETRACTED) is retracted]
        return totals_of(counted, self._others.get((incident_id, retracted)))

    def write(self) -> None:
        """Write what has begun or changed."""
        add_episodes(self._connection, [self._now[open_id] for open_id in self._now if open_id in self._begun])
        changed = self._changed - self._begun
        update_episodes(self._connection, [self._now[open_id] for open_id in self._now if open_id in changed])
        self._begun.clear()
        self._changed.clear()

    def _put(self, episode: IncidentEpisode) -> None:
        before = self._now.get(episode.open_id)
        if before is not None and before.incident_id != episode.incident_id:
            del self._of_incident[before.incident_id][episode.open_id]
        self._now[episode.open_id] = self._of_incident[episode.incident_id][episode.open_id] = episode


class IncidentIdentityMap:
    """Incidents that findings may change: those of known episodes, and those that new episodes may join.

    Args:
        incident_ids: of the former.
        openings: the findings that may begin an episode.
        rules: what is known of the rules that made them.
    """

    def __init__(
        self,
        connection: Connection,
        incident_ids: Sequence[str],
        openings: Sequence[Finding],
        rules: Mapping[str, RuleFacts],
    ) -> None:
        self._connection = connection
        self._rules = rules
        self._now: dict[str, Incident] = {}
        self._by_key: defaultdict[Key, dict[str, None]] = defaultdict(dict)
        self._changed: dict[str, None] = {}
        self._asked = {finding.finding_id for finding in openings}
        for row in select_by_ids(connection, _INCIDENTS, incident_ids):
            self._put(incident_of(row))
        self._meet(openings)

    def get(self, incident_id: str) -> Incident | None:
        """Return one incident, or None."""
        return self._now.get(incident_id) or get_incident(self._connection, incident_id)

    def to_extend(self, finding: Finding) -> Incident | None:
        """Return the live incident that the episode opened by ``finding`` joins, or None."""
        if finding.finding_id not in self._asked:
            self._asked.add(finding.finding_id)
            self._meet([finding])
        of_subject = (self._now[incident_id] for incident_id in self._by_key[key_of_finding(finding)])
        live = sorted((one for one in of_subject if not one.final), key=lambda one: one.last_ms, reverse=True)
        return matching_incident(live[:CANDIDATES], finding, facts_of(self._rules, finding.rule).regroup_ms)

    def add(self, incident: Incident) -> None:
        """Add a new incident, whose row is there."""
        self._put(incident)

    def update(self, incident: Incident) -> None:
        """Replace an incident."""
        self._changed[incident.incident_id] = None
        self._put(incident)

    def write(self) -> None:
        """Write what has changed."""
        update_incidents(self._connection, [self._now[incident_id] for incident_id in self._changed])
        self._changed.clear()

    def _meet(self, openings: Sequence[Finding]) -> None:
        for incident in live_incidents(self._connection, openings, self._rules):
            if incident.incident_id not in self._now:  # else what is at hand is newer than the row
                self._put(incident)

    def _put(self, incident: Incident) -> None:
        self._now[incident.incident_id] = incident
        self._by_key[key_of_incident(incident)][incident.incident_id] = None
