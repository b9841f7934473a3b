"""What one transaction of the intake knows and has yet to write: asked for and written together, not by the finding.

Each statement waits for the server's answer, so a batch asks once for what is known of its findings, and writes rows
that nothing asks for within it at its end. That is sound since a transaction that writes is the only one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, bindparam, insert, select, update

from contracts.findings import Finding, Phase
from incidents.changes import CHANGES, Change, write_changes
from incidents.counters import Numbers
from incidents.deliveries import DELIVERIES, News, unknown_news, write_news
from incidents.episodes import Episode, Totals, add_episodes, episode_of, totals_of, update_episode
from incidents.openings import INCIDENTS
from incidents.records import ChangeKind, Incident, get_incident, incident_of
from incidents.schema import episodes, findings, incidents

_ASKED_AT_ONCE = 500
_KNOWN = select(findings.c.finding_id, findings.c.digest, findings.c.verified).where(
    findings.c.finding_id.in_(bindparam("ids", expanding=True))
)
_WAITING = (
    select(findings.c.open_id)
    .distinct()
    .where(findings.c.open_id.in_(bindparam("ids", expanding=True)), findings.c.applied.is_(False))
)
_EPISODES = select(episodes).where(episodes.c.open_id.in_(bindparam("ids", expanding=True)))
_INCIDENTS = select(incidents).where(incidents.c.incident_id.in_(bindparam("ids", expanding=True)))
_VERIFIED = update(findings).where(findings.c.finding_id == bindparam("of")).values(verified=True)


class Pending:
    """The state of one transaction.

    Args:
        coming: the findings that it will take.
        cursors: names of the readers' cursors that it will move.
    """

    def __init__(self, connection: Connection, coming: Iterable[Finding], cursors: Iterable[str]) -> None:
        self.connection = connection
        self.numbers = Numbers(connection, [INCIDENTS, CHANGES, DELIVERIES, *cursors])
        coming = list(coming)
        known = _ask(connection, _KNOWN, _distinct(finding.finding_id for finding in coming))
        self._known = {row["finding_id"]: (row["digest"], row["verified"]) for row in known}
        open_ids = _distinct(finding.open_id for finding in coming if self._may_change(finding))
        self._waiting = {row["open_id"] for row in _ask(connection, _WAITING, open_ids)}
        self._episodes = {row["open_id"]: episode_of(row) for row in _ask(connection, _EPISODES, open_ids)}
        named = _distinct(episode.incident_id for episode in self._episodes.values())
        self._incidents = {row["incident_id"]: incident_of(row) for row in _ask(connection, _INCIDENTS, named)}
        self._findings: dict[str, dict[str, Any]] = {}
        self._begun: dict[str, Episode] = {}
        self._changes: list[Change] = []
        self._news: dict[str, News] = {}

    def known(self, finding_id: str) -> tuple[str, bool] | None:
        """The digest of a finding that was taken before, and whether it is verified."""
        return self._known.get(finding_id)

    def verify(self, finding_id: str) -> None:
        """A finding that was taken before holds as verified."""
        self._known[finding_id] = (self._known[finding_id][0], True)
        if finding_id in self._findings:
            self._findings[finding_id]["verified"] = True
        else:
            self.connection.execute(_VERIFIED, {"of": finding_id})

    def is_its_turn(self, finding: Finding) -> bool:
        """Whether a new finding is the next of its episode, and none of it waits that might come before or after."""
        if finding.open_id in self._waiting:
            return False
        episode = self.episode(finding.open_id)
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

    def episode(self, open_id: str) -> Episode | None:
        """One episode of the findings that come, or None while it has not begun."""
        return self._episodes.get(open_id)

    def begin_episode(self, episode: Episode) -> None:
        """A new episode; its row is written before somebody adds up its incident."""
        self._episodes[episode.open_id] = self._begun[episode.open_id] = episode

    def update_episode(self, episode: Episode) -> None:
        """What an episode is now."""
        self._episodes[episode.open_id] = episode
        if episode.open_id in self._begun:
            self._begun[episode.open_id] = episode
        else:
            update_episode(self.connection, episode)

    def totals(self, incident_id: str, *, retracted: bool = False) -> Totals | None:
        """See :func:`incidents.episodes.totals_of`."""
        if any(episode.incident_id == incident_id for episode in self._begun.values()):
            self._write_episodes()
        return totals_of(self.connection, incident_id, retracted=retracted)

    def incident(self, incident_id: str) -> Incident | None:
        """One incident, or None."""
        return self._incidents.get(incident_id) or get_incident(self.connection, incident_id)

    def remember(self, incident: Incident) -> None:
        """What an incident is now; whoever says so has written its row."""
        self._incidents[incident.incident_id] = incident

    def change(self, incident: Incident, kind: ChangeKind, at_ms: int) -> None:
        """Number a visible change; its row is written at the end."""
        seq = self.numbers.next(CHANGES)
        self._changes.append(Change(seq, incident.incident_id, incident.site_id, kind, at_ms))

    def tell(self, news: Iterable[News]) -> None:
        """Receivers are to be told; the rows are written at the end, of one key only the first."""
        for one in news:
            self._news.setdefault(one.delivery_id, one)

    def write(self) -> None:
        """Write what has not been written; the last thing in the transaction."""
        if self._findings:
            self.connection.execute(insert(findings), list(self._findings.values()))
        self._write_episodes()
        news = unknown_news(self.connection, list(self._news.values()))
        write_news(self.connection, [(self.numbers.next(DELIVERIES), one) for one in news])
        write_changes(self.connection, self._changes)
        self.numbers.write()

    def _may_change(self, finding: Finding) -> bool:
        """Whether its episode is needed: it is new, or it confirms what was taken before."""
        known = self._known.get(finding.finding_id)
        return known is None or (finding.verified and not known[1])

    def _know(self, row: dict[str, Any]) -> None:
        self._known[row["finding_id"]] = (row["digest"], row["verified"])

    def _write_episodes(self) -> None:
        add_episodes(self.connection, list(self._begun.values()))
        self._begun.clear()


def _distinct(ids: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(ids))


def _ask(connection: Connection, query: Select[*tuple[Any, ...]], ids: Sequence[str]) -> Iterator[RowMapping]:
    for at in range(0, len(ids), _ASKED_AT_ONCE):
        yield from connection.execute(query, {"ids": ids[at : at + _ASKED_AT_ONCE]}).mappings()
