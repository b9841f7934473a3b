"""A rule's state as stored rows know it: what it is called in Python, and what its docstring says, plays no part.

The digest of the rules says whether rows of one program may be read by another. It used to hash JSON Schemas, which
carry class names and docstrings: renaming a class would have made every row one of another version of the rules, to be
drained and taken over. So a state is described here by what its bytes depend on: tags, names on the wire, types,
defaults, nested structs, in order.

Digests of states that were there before must stay as they are, or every deployment would be such a takeover for
nothing. ``state_schemas_before.json`` holds, for each rule of that time, the description of its state and the JSON
Schema that went into the hash. As long as the description is the same, that old schema is hashed, to the byte; a state
that changes is described anew, and so is the state of a new rule. The file is never added to.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from contracts.errors import ConfigurationError

_BEFORE = Path(__file__).with_name("state_schemas_before.json")


class Before(msgspec.Struct, frozen=True):
    """A rule's state when digests hashed JSON Schemas: its description, and the schema."""

    state: Any
    schema: Any


def hashed_schema(rule: str, state_type: type[msgspec.Struct]) -> object:
    """Return what stands for a rule's state in the digest: its old JSON Schema while unchanged, else the state."""
    state, before = described(state_type), _before().get(rule)
    return before.schema if before is not None and _same(before.state, state) else state


def described(state_type: Any) -> object:
    """Return the type as lists, texts and numbers, the same in every run and under every Python name.

    Raises:
        ConfigurationError: a part of it is of a type that msgspec does not know by itself.
    """
    return _Description().of(inspect.type_info(state_type))


class _Description:
    """One type under way. A struct is described where it stands first; later it is named by its number."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}  # by the node's own identity: msgspec gives one for each type

    def of(self, node: inspect.Type) -> object:
        if isinstance(node, inspect.CustomType):
            raise ConfigurationError(f"{node.cls!r} cannot be part of a rule's state: rows could not be read back")
        if isinstance(node, inspect.Metadata):
            return self.of(node.type)
        if isinstance(node, inspect.StructType):
            return self._struct(node)
        if isinstance(node, inspect.EnumType):
            return ["enum", sorted((member.value for member in node.cls), key=repr)]
        parts = {name: self._part(getattr(node, name)) for name in node.__struct_fields__ if name != "cls"}
        return [type(node).__name__, {name: part for name, part in parts.items() if part is not None}]

    def _part(self, part: object) -> object:
        if isinstance(part, inspect.Type):
            return self.of(part)
        if isinstance(part, inspect.Field):
            return self._field(part)
        if isinstance(part, tuple | list):
            return [self._part(each) for each in part]
        return part

    def _struct(self, node: inspect.StructType) -> object:
        known = self._numbers.get(id(node))
        if known is not None:
            return ["struct", known]
        self._numbers[id(node)] = len(self._numbers)
        form = [node.tag_field, node.tag, node.array_like, node.forbid_unknown_fields]
        return ["struct", form, [self._field(field) for field in node.fields]]

    def _field(self, field: inspect.Field) -> object:
        made = field.default_factory
        default = field.default if made is msgspec.NODEFAULT else made()
        required = [field.encode_name, self.of(field.type)]
        if default is msgspec.NODEFAULT:
            return required
        return [*required, "default", msgspec.to_builtins(default, order="deterministic")]


def _same(one: object, other: object) -> bool:
    """Return whether they are the same as JSON, in which 0, 0.0 and false are three things."""
    return msgspec.json.encode(one) == msgspec.json.encode(other)


@cache
def _before() -> dict[str, Before]:
    return msgspec.json.decode(_BEFORE.read_bytes(), type=dict[str, Before])
