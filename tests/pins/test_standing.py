"""A pin holds: what is gone or changed is named, what is new is let through."""

from __future__ import annotations

from tests.pins.standing import bare, fallen, unwritten


def test_what_is_gone_or_changed_is_named_and_what_is_new_is_not() -> None:
    wanted = {"a": {"b": 1, "c": [1, 2]}, "d": {"enum": ["x", "y"]}, "e": 0}
    found = {"a": {"b": 2, "c": (1, 2), "new": 3}, "d": {"enum": ["new", "y"]}}
    assert fallen(wanted, found) == ["/a/b is 2, it was 1", "/d/enum: 'x' is gone", "/e is gone, it was 0"]
    assert fallen(wanted, wanted) == []


def test_what_nobody_wrote_down_is_named_with_what_it_is() -> None:
    wanted, found = {"a": {"b": 1}, "gone": 0}, {"a": {"b": 2, "new": (1, 2)}, "more": {"c": 3}}
    assert list(unwritten(wanted, found)) == ["/a/new: [1, 2]", '/more: {"c": 3}']
    assert list(unwritten(wanted, wanted)) == []


def test_a_schema_without_names_keeps_fields_types_and_defaults() -> None:
    inner = {"title": "In", "description": "Words.", "type": "object", "properties": {"n": {"type": "integer"}}}
    schema = {"$ref": "#/$defs/Out", "$defs": {"In": inner, "Out": {"items": {"$ref": "#/$defs/In"}, "default": 3}}}
    assert bare(schema) == {"items": {"type": "object", "properties": {"n": {"type": "integer"}}}, "default": 3}
