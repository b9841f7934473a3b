"""Roles × sites: what a person may do where. Pure tables."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec

from contracts.incidents import AlertAction

EVERY_SITE = "*"
"""The ``site_id`` of a grant for all sites, also those added later."""


class Role(enum.StrEnum):
    """The role of a person at a site."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    SUPERVISOR = "supervisor"
    ADMIN = "admin"


class Right(enum.StrEnum):
    """One thing that may be done."""

    VIEW_INCIDENTS = "view_incidents"
    VIEW_DEVICES = "view_devices"
    VIEW_EVIDENCE = "view_evidence"  # pictures show people: not for everybody who may read the list
    ACT = "act"  # seen, handled, false alarm
    PROMOTE = "promote"
    VIEW_HEALTH = "view_health"  # Linli's own alarms


_VIEW = frozenset({Right.VIEW_INCIDENTS, Right.VIEW_DEVICES})
_OPERATE = _VIEW | {Right.VIEW_EVIDENCE, Right.ACT, Right.VIEW_HEALTH}

RIGHTS: dict[Role, frozenset[Right]] = {
    Role.VIEWER: _VIEW,
    Role.OPERATOR: _OPERATE,
    Role.SUPERVISOR: _OPERATE | {Right.PROMOTE},
    Role.ADMIN: _OPERATE | {Right.PROMOTE},
}
"""Role → rights. Adding people is done with ``linli users`` on the machine itself."""

ACTION_RIGHTS: dict[AlertAction, Right] = {
    AlertAction.SEE: Right.ACT,
    AlertAction.HANDLE: Right.ACT,
    AlertAction.MARK_FALSE: Right.ACT,
    AlertAction.PROMOTE: Right.PROMOTE,
}


class Principal(msgspec.Struct, frozen=True):
    """Somebody who is logged in: a name and the role at each site (or at ``*``)."""

    name: str
    grants: Mapping[str, Role]

    def may(self, right: Right, site_id: str) -> bool:
        """Return whether this person has ``right`` at ``site_id``. A site's own grant replaces that for all sites."""
        role = self.grants.get(site_id) or self.grants.get(EVERY_SITE)
        return role is not None and right in RIGHTS[role]

    def sites(self, right: Right) -> Scope:
        """Return where this person has ``right``."""
        named = {site for site in self.grants if site != EVERY_SITE}
        allowed = frozenset(site for site in named if self.may(right, site))
        everywhere = self.grants.get(EVERY_SITE)
        if everywhere is None or right not in RIGHTS[everywhere]:
            return Scope(every=False, named=allowed)
        return Scope(every=True, named=frozenset(named - allowed))


class Scope(msgspec.Struct, frozen=True):
    """A set of sites: only those ``named``, or ``every`` site but those named."""

    every: bool
    named: frozenset[str]

    def __contains__(self, site_id: str) -> bool:
        return (site_id in self.named) != self.every

    @property
    def empty(self) -> bool:
        """Whether no site can be in it."""
        return not self.every and not self.named
