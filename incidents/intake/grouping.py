"""Which incident a new episode belongs to, and which rows the feed folds. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from contracts.findings import Finding, Severity
from contracts.incidents import incident_id
from incidents.store.records import Incident

FOLD_AFTER = 20
"""New rows a minute below critical that the feed shows one by one."""

FOLD_WINDOW_MS = 60_000


def distance_ms(incident: Incident, at_ms: int) -> int:
    """Return how far ``at_ms`` lies from the incident's activity, 0 inside it."""
    return max(incident.onset_ms - at_ms, at_ms - incident.last_ms, 0)


def matching_incident(candidates: Sequence[Incident], finding: Finding, window_ms: int) -> Incident | None:
    """Return the live incident of the same subject that the episode opened by ``finding`` extends, or None.

    ``candidates`` are incidents of its site, scenario, subject and origin; ``window_ms`` is its rule's ``regroup_ms``.
    Activity counts on both sides: a late episode from shortly before an incident belongs to it as one from shortly
    after does.
    """
    live = [c for c in candidates if not c.final and distance_ms(c, finding.onset_ms) <= window_ms]
    return min(live, key=lambda c: (distance_ms(c, finding.onset_ms), -c.ordinal), default=None)


def new_incident_id(finding: Finding, *, taken: bool) -> str:
    """Return the id of the incident that ``finding`` opens.

    ``taken``: its plain id belongs to an incident that cannot be extended (final, or of another origin); then the
    finding's own id is mixed in, which keeps it deterministic.
    """
    plain = incident_id(finding.site_id, finding.rule, finding.subject, finding.onset_ms)
    if not taken:
        return plain
    return hashlib.blake2b(f"{plain}\x1f{finding.finding_id}".encode(), digest_size=12).hexdigest()


def fold_group(site_id: str, severity: Severity, opened_ms: int, opened_before: int) -> str | None:
    """Return the group of rows that a new incident is folded into, or None when it stands alone.

    ``opened_before``: how many below critical the site opened within the last minute.
    """
    if severity is Severity.CRITICAL or opened_before < FOLD_AFTER:
        return None
    return f"{site_id}/{opened_ms // FOLD_WINDOW_MS * FOLD_WINDOW_MS}"
