"""A rule's state counts as what is stored: its Python names do not change the digest, everything else does."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from contracts.errors import ConfigurationError
from detectors.registry import all_rules
from streams.engine.rulebook import Rulebook
from streams.engine.state_schema import described, hashed_schema
from tests.pins.standing import golden

RULES = {rule.name: rule for rule in all_rules()}
FIELDS = [(name, field.name) for name, rule in RULES.items() for field in msgspec.structs.fields(rule.state_type)]


def _variant(state: Any, field: str = "", *, called: str = "", type_: Any = None, default: Any = None) -> Any:
    """The state under another class name and docstring, and with one field changed."""
    fields = []
    for one in msgspec.structs.fields(state):
        changed = one.name == field
        name = called if changed and called else one.name
        kind = type_ if changed and type_ is not None else one.type
        given = one.default if one.default_factory is msgspec.NODEFAULT else msgspec.field(default_factory=list)
        given = default if changed and default is not None else given
        fields.append((name, kind) if given is msgspec.NODEFAULT else (name, kind, given))
    config = state.__struct_config__
    return msgspec.defstruct(
        "Renamed", fields, namespace={"__doc__": "Other words."}, array_like=config.array_like, kw_only=True
    )


def _digest(rule: Any, state: Any) -> str:
    changed: Any = type("Changed", (type(rule),), {"state_type": state})()
    return Rulebook([changed]).digest


@pytest.mark.parametrize("name", RULES)
def test_another_class_name_and_docstring_keep_the_digest(name: str) -> None:
    rule = RULES[name]
    assert _digest(rule, _variant(rule.state_type)) == Rulebook([rule]).digest


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_a_field_s_name_type_and_default_each_change_the_digest(name: str, field: str) -> None:
    rule = RULES[name]
    variants = [
        rule.state_type,
        _variant(rule.state_type, field, called=f"{field}_renamed"),
        _variant(rule.state_type, field, type_=dict[str, bytes]),
        _variant(rule.state_type, field, default=424_242),
    ]
    assert len({_digest(rule, variant) for variant in variants}) == 4


CHANGED = {"high_altitude_throw"}
"""States that are others since: a fall is known for an hour, so that its evidence may follow it."""


NEWER = {"camera_impaired"}
"""Rules that came later: nothing was hashed of them before."""


@pytest.mark.parametrize("name", sorted({*golden("rules")} - CHANGED - NEWER))
def test_states_of_that_time_are_hashed_as_they_were_before(name: str) -> None:
    before: Any = hashed_schema(name, RULES[name].state_type)
    assert before["$ref"].startswith("#/$defs/")
    assert hashed_schema(f"not_{name}", RULES[name].state_type) == described(RULES[name].state_type)


class Inner(msgspec.Struct, array_like=True):
    """A part."""

    n: int = 0


class Outer(msgspec.Struct):
    """A whole."""

    first: Inner
    second: Inner | None = None
    more: dict[str, Outer] = {}


class Part(msgspec.Struct, array_like=True):
    """Said otherwise."""

    n: int = 0


class Whole(msgspec.Struct):
    """Said otherwise."""

    first: Part
    second: Part | None = None
    more: dict[str, Whole] = {}


class Swapped(msgspec.Struct):
    """In another order."""

    second: Part | None = None
    more: dict[str, Whole] = {}
    first: Part = msgspec.field(default_factory=Part)


class Floating(msgspec.Struct, array_like=True):
    """A default that is equal in Python and not in JSON."""

    n: int = False


def test_nested_and_recursive_structs_have_no_names_either() -> None:
    assert described(Outer) == described(Whole)
    assert described(Outer) != described(Swapped)
    assert "Whole" not in str(described(Whole)) and "said" not in str(described(Whole)).lower()


def test_defaults_that_are_equal_only_in_python_are_told_apart() -> None:
    assert msgspec.json.encode(described(Inner)) != msgspec.json.encode(described(Floating))


def test_a_state_that_could_not_be_read_back_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="cannot be part of a rule's state"):
        described(msgspec.defstruct("Odd", [("at", Rulebook)]))
