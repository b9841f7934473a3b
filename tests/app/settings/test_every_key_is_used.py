"""A setting is in force: its table is one of the settings, and somebody reads its value."""

from __future__ import annotations

import ast
import inspect
import re
from functools import cache
from pathlib import Path

import msgspec
import pytest

from app.settings import servers, stores
from app.settings.kinds import OPTIONAL_PATH, PATH
from app.settings.settings import Key, keys, tables

APP = Path(servers.__file__).parents[1]


@pytest.mark.parametrize("module", [servers, stores], ids=["servers", "stores"])
def test_every_struct_of_settings_is_a_table(module: object) -> None:
    structs = {
        name: kind
        for name, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, msgspec.Struct) and kind.__module__ in {servers.__name__, stores.__name__}
    }
    lost = sorted(name for name, kind in structs.items() if kind not in tables().values())
    assert lost == [], "app/settings/settings.py: these structs are no field of Settings"


@pytest.mark.parametrize("key", keys().values(), ids=list(keys()))
def test_every_key_is_read_by_somebody(key: Key) -> None:
    """Whoever reads ``table.field`` names both in one file."""
    reading = [file for file, names in _read().items() if {key.table, key.field} <= names]
    assert reading, f"{key.name}: nothing in app/ reads it, so it is not in force; hand it on in app/wiring/"


def test_a_secret_is_a_file_and_never_the_value_of_a_key() -> None:
    said = sorted(k.name for k in keys().values() if re.search("secret|token|password", k.field) and not _is_file(k))
    assert said == [], "app/settings: a secret is a *_file of kind OPTIONAL_PATH, read by secret_files.py"


def _is_file(key: Key) -> bool:
    return key.field.endswith("_file") and key.kind in (PATH, OPTIONAL_PATH)


@cache
def _read() -> dict[Path, frozenset[str]]:
    """File of the app → the names and attributes that it reads."""
    return {file: _names(file) for file in sorted(APP.rglob("*.py"))}


def _names(file: Path) -> frozenset[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            found.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found.add(node.id)
    return frozenset(found)
