"""The tables: which account says and hears what at the broker, and who gets what from the console.

They are written by hand, not taken from the program: a cell that the program answers otherwise fails a test, and so
does a route that has no line here. ``python -m tests.access.page`` writes docs/access.md from them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec

from contracts.incidents import AlertAction, AlertState
from contracts.names import Channel

# --- the broker -------------------------------------------------------------------------------------------------------

GATE, BOX = "site-01/gate/gate-1", "site-01/edge/box-street"
OTHER_GATE, OTHER_BOX = "site-02/gate/gate-1", "site-02/edge/box-street"
DEVICES = (GATE, BOX, OTHER_GATE, OTHER_BOX)
"""Accounts of devices are named like their topics."""
INGEST, OTHER_INGEST, SIMULATOR, NOBODY = "ingest", "ingest-b", "simulator", ""
PLATFORM = (INGEST, OTHER_INGEST)
"""Accounts on the listener for the platform: the same twice, so that a password can be changed."""

_SAYS = frozenset({Channel.EVT, Channel.TELE, Channel.STATE, Channel.ACK, Channel.META})
_HEARS = frozenset({Channel.GOT, Channel.CMD, Channel.CFG})
_SIMULATED = frozenset({Channel.EVT, Channel.TELE, Channel.STATE, Channel.META})
_EVERY = frozenset(Channel)
_NONE: frozenset[Channel] = frozenset()


class MayDo(msgspec.Struct, frozen=True):
    """The channels of one device that an account may publish on, and those that it is given."""

    says: frozenset[Channel] = _NONE
    hears: frozenset[Channel] = _NONE


_OF_INGEST = {
    GATE: MayDo(_NONE, _EVERY),
    OTHER_GATE: MayDo(_NONE, _EVERY),
    BOX: MayDo(frozenset({Channel.GOT}), _EVERY),
    OTHER_BOX: MayDo(frozenset({Channel.GOT}), _EVERY),
}
CHANNELS: Mapping[str, Mapping[str, MayDo]] = {
    GATE: {GATE: MayDo(_SAYS, _HEARS)},
    BOX: {BOX: MayDo(_SAYS, _HEARS)},
    OTHER_GATE: {OTHER_GATE: MayDo(_SAYS, _HEARS)},
    OTHER_BOX: {OTHER_BOX: MayDo(_SAYS, _HEARS)},
    INGEST: _OF_INGEST,
    OTHER_INGEST: _OF_INGEST,
    SIMULATOR: {
        GATE: MayDo(_SIMULATED, _NONE),
        OTHER_GATE: MayDo(_SIMULATED, _NONE),
        BOX: MayDo(_SIMULATED, frozenset({Channel.GOT})),
        OTHER_BOX: MayDo(_SIMULATED, frozenset({Channel.GOT})),
    },
    NOBODY: {},
}
"""Account → whose topics → what it may do there. What is not listed is denied; ``NOBODY`` does not even get in."""

PROBE, FOREIGN, SYSTEM = "linli/probe/linli-ingest-0", "tele/plug/SENSOR", "$SYS/broker/version"
OTHER_TOPICS: Mapping[str, Mapping[str, str]] = {
    PROBE: dict.fromkeys(PLATFORM, "says, hears"),
    FOREIGN: dict.fromkeys(PLATFORM, "hears"),
    SYSTEM: {},
}
"""Topics of no device → account → what it may do there."""

# --- the console ------------------------------------------------------------------------------------------------------


class Caller(enum.StrEnum):
    """Who asks about site s1."""

    NOBODY = "nobody"
    ENDED = "an ended session"
    REMOVED = "a removed user"
    ELSEWHERE = "any role elsewhere"
    VIEWER = "viewer"
    OPERATOR = "operator"
    SUPERVISOR = "supervisor"
    ADMIN = "admin"
    BOX = "a box"
    BOX_ELSEWHERE = "a box elsewhere"


class Need(enum.StrEnum):
    """What a route asks for."""

    NOTHING = "nothing"
    SESSION = "a session"
    VIEW = "to view incidents"
    LOOK = "to view pictures"
    LOOK_EARLY = "to view pictures that were not sent yet"
    ACT = "to act"
    PROMOTE = "to promote"
    RETRACT = "what nobody may by hand"
    BOX = "a box's token"


OK, NO_SESSION, NO_RIGHT, NOT_THERE, NOT_POSSIBLE = 200, 401, 403, 404, 409
_STRANGERS = {
    Caller.NOBODY: NO_SESSION,
    Caller.ENDED: NO_SESSION,
    Caller.REMOVED: NO_SESSION,
    Caller.BOX: NO_SESSION,
    Caller.BOX_ELSEWHERE: NO_SESSION,
}


def _people(elsewhere: int, viewer: int, operator: int, supervisor: int, admin: int) -> dict[Caller, int]:
    people = (Caller.ELSEWHERE, Caller.VIEWER, Caller.OPERATOR, Caller.SUPERVISOR, Caller.ADMIN)
    return _STRANGERS | dict(zip(people, (elsewhere, viewer, operator, supervisor, admin), strict=True))


ANSWERS: Mapping[Need, Mapping[Caller, int]] = {
    Need.NOTHING: dict.fromkeys(Caller, OK),
    Need.SESSION: _people(OK, OK, OK, OK, OK),
    Need.VIEW: _people(NOT_THERE, OK, OK, OK, OK),
    Need.LOOK: _people(NOT_THERE, NOT_THERE, OK, OK, OK),
    Need.LOOK_EARLY: _people(NOT_THERE, NOT_THERE, NOT_THERE, NOT_THERE, NOT_THERE),
    Need.ACT: _people(NOT_THERE, NO_RIGHT, OK, OK, OK),
    Need.PROMOTE: _people(NOT_THERE, NO_RIGHT, NO_RIGHT, OK, OK),
    Need.RETRACT: _people(NOT_THERE, NOT_POSSIBLE, NOT_POSSIBLE, NOT_POSSIBLE, NOT_POSSIBLE),
    Need.BOX: dict.fromkeys(Caller, NO_SESSION) | {Caller.BOX: OK, Caller.BOX_ELSEWHERE: OK},
}
"""What each caller gets, as a status. 404 hides that it is there at all. 200 stands for every success."""


class Shown(enum.StrEnum):
    """Which rows a list shows."""

    SITE = "rows of s1 to who has a role there"
    ALARMS = "Linli's own alarms to operators and above of all sites"


class Line(msgspec.Struct, frozen=True):
    """One way of asking a route. ``changes``: it is refused without the page's own header (another site's page)."""

    need: Need
    way: str = ""
    changes: bool = False
    shows: Shown | None = None


ROUTES: Mapping[str, tuple[Line, ...]] = {
    "GET /": (Line(Need.NOTHING),),
    "GET /page/{name}": (Line(Need.NOTHING),),
    "POST /api/v1/session": (Line(Need.NOTHING, changes=True),),
    "GET /api/v1/session": (Line(Need.SESSION),),
    "DELETE /api/v1/session": (Line(Need.SESSION, changes=True),),
    "GET /api/v1/sites": (Line(Need.SESSION, shows=Shown.SITE),),
    "GET /api/v1/rules": (Line(Need.SESSION),),
    "GET /api/v1/catalogue": (Line(Need.NOTHING),),
    "GET /api/v1/incidents": (Line(Need.SESSION, shows=Shown.SITE),),
    "GET /api/v1/incidents/{incident_id}": (Line(Need.VIEW),),
    "POST /api/v1/incidents/{incident_id}/actions": (
        Line(Need.ACT, AlertAction.SEE, changes=True),
        Line(Need.ACT, AlertAction.HANDLE, changes=True),
        Line(Need.ACT, AlertAction.MARK_FALSE, changes=True),
        Line(Need.PROMOTE, AlertAction.PROMOTE, changes=True),
        Line(Need.RETRACT, AlertAction.RETRACT, changes=True),
    ),
    "GET /api/v1/stream": (Line(Need.SESSION),),
    "GET /api/v1/evidence/{sha256}": (Line(Need.LOOK, "sent"), Line(Need.LOOK_EARLY, "not sent yet")),
    "GET /api/v1/devices": (Line(Need.SESSION, shows=Shown.SITE),),
    "GET /api/v1/health": (Line(Need.NOTHING, shows=Shown.ALARMS),),
    "HEAD /edge/v1/evidence/{sha256}": (Line(Need.BOX),),
    "PUT /edge/v1/evidence/{sha256}": (Line(Need.BOX),),
}
"""Every route of the application → the ways of asking it."""

POSSIBLE: Mapping[AlertState, frozenset[AlertAction]] = {
    AlertState.NEW: frozenset({AlertAction.SEE, AlertAction.HANDLE, AlertAction.MARK_FALSE, AlertAction.PROMOTE}),
    AlertState.SEEN: frozenset({AlertAction.HANDLE, AlertAction.MARK_FALSE, AlertAction.PROMOTE}),
    AlertState.HANDLED: frozenset(),
    AlertState.FALSE_ALARM: frozenset(),
    AlertState.PROMOTED: frozenset(),
    AlertState.WITHDRAWN: frozenset(),
}
"""State of an alert → what people with the right may do; anything else is 409 to them."""
