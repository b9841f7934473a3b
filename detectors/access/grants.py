"""Which grant covers which passage: the book that ``stranger_entry`` keeps for a door. Pure functions on small structs.

A passage takes the grant that ends first among those given before it, so that long ones stay for those who follow.
"""

from __future__ import annotations

import msgspec

from contracts.events import AccessAttempted, Credential, Direction, EvidenceRef
from contracts.rules import Threshold
from detectors.core.site_view import SiteView

RULE = "stranger_entry"
"""Whose thresholds these are."""

WINDOW = Threshold(
    RULE, "window_ms", 15_000, 1_000, 300_000, "ms", "how long a credential covers: a door opens and closes behind one"
)
HELD = Threshold(
    RULE,
    "held_ms",
    60_000,
    0,
    300_000,
    "ms",
    "how long a credential waits while the door stays open: people walk slowly",
)
LET_IN = Threshold(
    RULE, "let_in_ms", 30_000, 1_000, 600_000, "ms", "how long an opening that names nobody lets people in"
)
PARTY = Threshold(
    RULE, "party_ms", 600_000, 10_000, 900_000, "ms", "how long a visitors' party takes to pass, with luggage"
)
AGAIN = Threshold(
    RULE,
    "again_ms",
    5_000,
    0,
    60_000,
    "ms",
    "a credential that is reported again so soon at its door is the same grant: readers and gates say things twice",
)
ANYBODY = -1
MAX_GRANTS = 6
_PERSON = "person/"
"""Before a person's reference, so that it is told from a registration's id."""
MAX_SOURCES = 3

LETS_ANYBODY_IN = frozenset((Credential.REMOTE, Credential.BUTTON, Credential.NONE))
"""Openings that name nobody: from the guard's desk or a phone, from inside, or by the gate's own free mode."""


class Grant(msgspec.Struct, frozen=True, array_like=True):
    """An inward grant with people left to cover (``ANYBODY``: as many as pass) until ``until_ms``.

    ``holder`` is the registration or the person, where known; ``shown`` the registration that was named beside a
    person; ``gate`` and ``credential`` say how it was given, empty for openings that name nobody. A spent grant
    (``left`` 0) is remembered for as long as the same credential may be reported again.
    """

    at_ms: int
    until_ms: int
    left: int
    holder: str = msgspec.field(default="", name="registration_id")
    shown: str = ""
    gate: str = ""
    credential: str = ""


class Crossing(msgspec.Struct, frozen=True, array_like=True):
    """One inward passage, not yet judged. ``open_ms``: since when the door was open when it happened (0: not known);
    ``grant_ms``: the newest inward grant before it (0: none).

    ``sources`` are the devices that saw it; ``track_id`` is the first one's. It was
    received ``lag_ms`` later; ``doubtful``: that time may be wrong.
    """

    at_ms: int
    event_id: str
    sources: tuple[str, ...]
    track_id: int
    score: float
    open_ms: int
    grant_ms: int
    model: str | None
    evidence: tuple[EvidenceRef, ...]
    lag_ms: int = 0
    doubtful: bool = False

    def seen_by(self, source_id: str) -> Crossing:
        """Return the same passage, seen by one more device."""
        if source_id in self.sources or len(self.sources) >= MAX_SOURCES:
            return self
        return msgspec.structs.replace(self, sources=(*self.sources, source_id))


def grant_of(event: AccessAttempted, site: SiteView) -> Grant | None:
    """Return what a granted attempt admits; None when nobody may come in by it."""
    if event.direction is Direction.OUT:
        return None
    if event.credential in LETS_ANYBODY_IN:
        return Grant(event.at_ms, event.at_ms + _ms(site, LET_IN), ANYBODY)
    shown = (event.registration_id or "").strip()
    how = (shown, event.source_id, event.credential.value)
    party = site.visitors.get(shown)
    if party is None:
        return Grant(event.at_ms, event.at_ms + _ms(site, WINDOW), 1, _person(event), *how)
    until_ms = event.at_ms + _ms(site, PARTY)
    if party.to_ms:
        until_ms = max(event.at_ms + _ms(site, WINDOW), min(until_ms, party.to_ms))
    return Grant(event.at_ms, until_ms, party.party_size, party.registration_id, *how)


def current(grants: tuple[Grant, ...], at_ms: int, site: SiteView) -> tuple[Grant, ...]:
    """Return the grants that may still cover a passage judged from ``at_ms`` on (one that happened a grace before)."""
    held_ms = _ms(site, HELD)
    return tuple(g for g in grants if max(g.until_ms, g.at_ms + held_ms) + held_ms >= at_ms)


def with_grant(grants: tuple[Grant, ...], grant: Grant, site: SiteView) -> tuple[Grant, ...]:
    """Return the book with one more grant, or with one that was reported again soon renewed.

    Later a registration that is shown begins anew; a person's credential is one more grant. Over ``MAX_GRANTS`` spent
    ones go first. Then the two oldest become one that covers what both did: a bounded book must not accuse anybody.
    """
    kept = list(grants)
    if kept and grant.gate:
        kept, grant = _renewed(kept, grant, _ms(site, AGAIN))
    kept.append(grant)
    if len(kept) > MAX_GRANTS:
        kept = [g for g in kept[:-1] if g.left] + kept[-1:]
    if len(kept) > MAX_GRANTS:
        first, second, *rest = kept
        left = ANYBODY if ANYBODY in (first.left, second.left) else first.left + second.left
        kept = [Grant(second.at_ms, max(first.until_ms, second.until_ms), left), *rest]
    return tuple(kept)


def _renewed(grants: list[Grant], grant: Grant, again_ms: int) -> tuple[list[Grant], Grant]:
    """Return the book without the grants that ``grant`` takes the place of, and it with the people they have left."""
    party = grant.holder if _is_party(grant) else None
    again = next((g for g in reversed(grants) if _is_again(g, grant, grants[-1], again_ms)), None)
    if again is not None:
        if _is_party(again) or not grant.holder:
            until_ms = max(again.until_ms, grant.until_ms)
            grant = msgspec.structs.replace(again, at_ms=grant.at_ms, until_ms=until_ms)
        else:
            grant = msgspec.structs.replace(grant, left=max(grant.left - (1 - again.left), 0))
    return [g for g in grants if g is not again and (party is None or g.holder != party)], grant


def _is_again(before: Grant, grant: Grant, newest: Grant, again_ms: int) -> bool:
    """Return whether ``grant`` is one that was given before, reported again: by the same person or registration.

    Some gates say one swipe twice, once without its person. Right after the other, at the same gate and by the same
    kind of credential, the two are one.
    """
    if abs(grant.at_ms - before.at_ms) > again_ms:
        return False
    if not _names(before).isdisjoint(_names(grant)):
        return True
    unnamed = (before.holder == "") != (grant.holder == "")
    how = (before.gate, before.credential) == (grant.gate, grant.credential)
    return unnamed and how and before is newest


def _names(grant: Grant) -> set[str]:
    """Return by what it is known: gates write one reference in several cases, and with blanks."""
    said = (grant.holder.removeprefix(_PERSON), grant.shown)
    return {name.strip().casefold() for name in said if name}


def _is_party(grant: Grant) -> bool:
    return grant.holder != "" and not grant.holder.startswith(_PERSON)


def admit(crossing: Crossing, grants: tuple[Grant, ...], site: SiteView) -> tuple[bool, tuple[Grant, ...]]:
    """Return whether a grant covers ``crossing``, and the book after it took its place."""
    fitting = [n for n, grant in enumerate(grants) if _covers(grant, crossing, site)]
    if not fitting:
        return False, grants
    chosen = min(
        fitting, key=lambda n: (grants[n].at_ms > crossing.at_ms, grants[n].left == ANYBODY, grants[n].until_ms)
    )
    grant = grants[chosen]
    left = grant.left if grant.left == ANYBODY else grant.left - 1
    after = (msgspec.structs.replace(grant, left=left),) if left or grant.holder or grant.gate else ()
    return True, (*grants[:chosen], *after, *grants[chosen + 1 :])


def _covers(grant: Grant, crossing: Crossing, site: SiteView) -> bool:
    """Return whether it is in its time, or later through a door that has stayed open since then."""
    if not grant.left:
        return False
    if crossing.at_ms <= grant.until_ms:
        return True
    opened_in_time = 0 < crossing.open_ms <= grant.until_ms
    return opened_in_time and crossing.at_ms <= grant.at_ms + _ms(site, HELD)


def _person(event: AccessAttempted) -> str:
    """Return who showed a credential, whatever it was; empty when the gate does not say."""
    said = (event.person_ref, event.registration_id)
    ref = next((one for one in said if one and not one.isspace()), None)
    return f"{_PERSON}{ref}" if ref else ""


def _ms(site: SiteView, threshold: Threshold) -> int:
    return int(site.threshold(threshold))
