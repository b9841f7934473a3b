"""``[[receiver]]`` tables as settings: any number of any kind, all that is wrong named at once. Reads no file.

A table has ``kind``, ``name`` (an id that no other has; may be left out by the only one of its kind, which then bears
the kind's name), the keys of :class:`ProfileSettings`, and the kind's own. Deliveries in the database bear the name: a
receiver with another name is another receiver, and is told everything that is open once more.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import msgspec

from contracts.errors import ConfigurationError
from contracts.events import Origin
from contracts.findings import Severity
from contracts.names import is_id
from contracts.suggestions import did_you_mean
from delivery.profiles import ReceiverProfile
from delivery.receivers.kinds import KINDS

S = TypeVar("S", bound=msgspec.Struct)

_COMMON = ("kind", "name")
_WRONG = object()  # stands for a value about which a problem was said


class ProfileSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What every ``[[receiver]]`` table may say of what it wants: see :class:`delivery.profiles.ReceiverProfile`."""

    origins: Annotated[tuple[Origin, ...], msgspec.Meta(min_length=1)] = (Origin.LIVE,)
    unverified: bool = False
    min_severity: Severity = Severity.MINOR


class ReceiverSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One receiver. ``own``: the settings of its kind."""

    kind: str
    name: str
    profile: ReceiverProfile
    own: msgspec.Struct


def receiver_settings(tables: Sequence[Mapping[str, object]], *, folder: Path) -> tuple[ReceiverSettings, ...]:
    """Return the receivers that ``tables`` describe, in their order.

    Args:
        tables: as they stand in the settings file.
        folder: what relative paths in them are relative to.

    Raises:
        ConfigurationError: names every problem with its table, and what was expected.
    """
    problems: list[str] = []
    kinds = Counter(str(table.get("kind")) for table in tables)
    readers = [_TableReader(nth, table, kinds, problems) for nth, table in enumerate(tables, start=1)]
    names = [reader.name for reader in readers]
    found = [reader.read(folder, names[:nth]) for nth, reader in enumerate(readers)]
    if problems:
        raise ConfigurationError("; ".join(problems))
    return tuple(one for one in found if one is not None)


class _TableReader:
    """Reads one table; what is wrong goes to ``problems``, with the table's number and name.

    Args:
        kinds: how many tables there are of each kind.
    """

    def __init__(self, nth: int, table: Mapping[str, object], kinds: Counter[str], problems: list[str]) -> None:
        self._table = table
        self._kind = str(table.get("kind"))
        self._is_only_one = kinds[self._kind] == 1
        self._problems = problems
        self.name = str(table.get("name", self._kind if self._is_only_one else ""))
        self._where = f"[[receiver]] {nth}" + (f" ({self.name[:40]})" if "name" in table else "")

    def read(self, folder: Path, taken: Sequence[str]) -> ReceiverSettings | None:
        """Return the receiver, or None when something is wrong with it; ``taken`` are the names before its own."""
        self._check_name(taken)
        profile = self._struct(ProfileSettings, folder)
        if self._kind not in KINDS:
            given = f"kind = {self._kind[:60]!r} is unknown" if "kind" in self._table else "kind is missing"
            self._say(f"{given}: {did_you_mean(self._kind, KINDS)}")
            return None
        own_type = KINDS[self._kind].settings
        self._check_keys([*_COMMON, *ProfileSettings.__struct_fields__, *own_type.__struct_fields__])
        own = self._struct(own_type, folder)
        if profile is None or own is None:
            return None
        wants = ReceiverProfile(name=self.name, **msgspec.structs.asdict(profile))
        return ReceiverSettings(kind=self._kind, name=self.name, profile=wants, own=own)

    def _say(self, problem: str) -> None:
        self._problems.append(f"{self._where}: {problem}")

    def _check_name(self, taken: Sequence[str]) -> None:
        if "name" not in self._table and self._kind not in KINDS:
            return  # the kind is what is wrong
        if "name" not in self._table and not self._is_only_one:
            self._say(f"name is missing: expected an id of its own, since several are of kind {self._kind!r}")
        elif not is_id(self.name):
            self._say(f"name = {self.name[:60]!r}: expected an id: small letters, digits, - and _, at most 40")
        elif self.name in taken:
            self._say(f"name = {self.name!r} is that of [[receiver]] {taken.index(self.name) + 1} too")

    def _check_keys(self, known: Sequence[str]) -> None:
        for key in self._table:
            if key not in known:
                self._say(f"unknown key {key[:60]!r} ({did_you_mean(key, known)})")

    def _struct(self, type_: type[S], folder: Path) -> S | None:
        """Return one struct's part of the table, each field read by itself so that none hides another's problem."""
        values = {field.name: self._field(field, folder) for field in msgspec.structs.fields(type_)}
        if _WRONG in values.values():
            return None
        try:
            return type_(**{name: value for name, value in values.items() if value is not msgspec.UNSET})
        except ConfigurationError as error:
            self._say(str(error))
            return None

    def _field(self, field: msgspec.structs.FieldInfo, folder: Path) -> object:
        value = self._table.get(field.name, msgspec.UNSET)
        if value is msgspec.UNSET:
            if field.required:
                self._say(f"{field.name} is missing")
                return _WRONG
            return value
        try:
            return msgspec.convert(value, field.type, dec_hook=partial(_path_in, folder))
        except msgspec.ValidationError as error:
            self._say(f"{field.name}{_shown(value)}: {error}{_choices(field.type)}")
            return _WRONG


def _path_in(folder: Path, type_: type, value: object) -> Path:
    """Return a path of the settings file; the one type that msgspec does not know by itself."""
    if type_ is not Path:
        raise NotImplementedError(type_)
    if not isinstance(value, str) or not value:
        raise ValueError("expected the path of a file")
    return folder / value


def _shown(value: object) -> str:
    """Return a value as a message shows it: only what cannot be a secret written into the wrong place."""
    return f" = {value!r}" if isinstance(value, bool | int | float) else ""


def _choices(type_: Any) -> str:
    """Return what an enum in a field's type may be, to follow a message."""
    for part in (type_, *(inner for arg in get_args(type_) for inner in (arg, *get_args(arg)))):
        if isinstance(part, type) and issubclass(part, enum.Enum):
            return f", expected {_listed(item.value for item in part)}"
    return ""


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
