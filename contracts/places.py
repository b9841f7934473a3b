"""Places: site / building 楼栋 / unit 单元 (stair) / floor 楼层 / room 室, plus door, lift, column or zone.

"Unit" never means a flat: that is a *room*. A place has an id like any device; so have its parts. Names are free text.
"""

from __future__ import annotations

import enum

import msgspec

from contracts.names import Id


class PlaceKind(enum.StrEnum):
    """The smallest thing a place id stands for."""

    SITE = "site"
    BUILDING = "building"
    UNIT = "unit"
    FLOOR = "floor"
    ROOM = "room"
    DOOR = "door"
    LIFT = "lift"
    COLUMN = "column"  # a vertical strip of a facade: the flats one above the other
    ZONE = "zone"


class PlaceUse(enum.StrEnum):
    """The use of a place; rules decide by it, never by its name."""

    DWELLING = "dwelling"
    LOBBY = "lobby"
    CORRIDOR = "corridor"
    STAIR = "stair"
    LIFT = "lift"
    ENTRANCE = "entrance"
    SHED = "shed"  # the community's charging shed
    COMMON = "common"  # a landlord's circuit: lights, pumps, shop sockets
    OUTDOOR = "outdoor"
    FACADE = "facade"


class Place(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One place of a site. ``parent_id`` is None only for the site itself."""

    place_id: Id
    kind: PlaceKind
    use: PlaceUse
    parent_id: Id | None = None
    building: Id | None = None
    unit: Id | None = None
    floor: int | None = None
    room: Id | None = None
    name: str = ""
