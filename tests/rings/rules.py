"""The rules of ``rings.toml``, each a function from the product's modules to what is wrong with them."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tests.rings.source import Name, Source, lies_in

RULES_FILE = Path(__file__).with_name("rings.toml")
_ANY = "*"


class PureRules(msgspec.Struct, frozen=True):
    """The table ``[pure]``."""

    modules: list[str]
    allowed: list[str]
    taken: list[str]
    refused: list[str]
    calls: list[str]
    more: dict[str, list[str]]


class Rules(msgspec.Struct, frozen=True):
    """The file, and the layers of pyproject.toml."""

    rooms: dict[str, list[str]]
    clients: dict[str, list[str]]
    pure: PureRules
    layers: list[str]
    folders: list[str]
    """Those that the rooms lie in."""


def load_rules(pyproject: Path) -> Rules:
    """Return the rules."""
    file = tomllib.loads(RULES_FILE.read_text(encoding="utf-8"))
    layers = [name.strip() for layer in layers_of(pyproject) for name in layer.split("|")]
    folders = sorted({room.partition(".")[0] for room in file["rooms"]})
    return msgspec.convert(file | {"layers": layers, "folders": folders}, Rules)


def layers_of(pyproject: Path) -> list[str]:
    """Return the layers of the contract, the highest first."""
    tables: Any = tomllib.loads(pyproject.read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    (contract,) = [table for table in tables if table["type"] == "layers"]
    layers: list[str] = contract["layers"]
    return layers


def find_violations(sources: Mapping[str, Source], rules: Rules) -> list[str]:
    """Return what is wrong, a line each, with its file and line."""
    of_sources = [line for source in sources.values() for line in check_source(source, rules)]
    return [*of_sources, *_unused(sources, rules)]


def check_source(source: Source, rules: Rules) -> list[str]:
    """Return what is wrong with one module."""
    return [*_room(source, rules), *_clients(source, rules), *_purity(source, rules.pure)]


def room_of(module: str, rooms: Container[str]) -> str | None:
    """Return the room that a module or a name in it lies in: the one with the longest name."""
    while module and module not in rooms:
        module = module.rpartition(".")[0]
    return module or None


def _room(source: Source, rules: Rules) -> Iterator[str]:
    room = room_of(source.module, rules.rooms)
    empty_parent = not _all_imports(source) and any(lies_in(room, [source.module]) for room in rules.rooms)
    if room is None and not empty_parent:
        yield f"{source.path}: {source.module} has no room: add it to [rooms] in {RULES_FILE.name}"
    if not (lies_in(source.module, rules.layers) or empty_parent):
        yield f"{source.path}: {source.module} has no layer: add it to the layers in pyproject.toml"
    may = rules.rooms.get(room or "", [])
    for name in _all_imports(source):
        target = room_of(name.dotted, rules.rooms)
        if name.dotted.partition(".")[0] not in rules.folders or target == room or _ANY in may:
            continue
        if not lies_in(name.dotted, may):
            known = ", ".join(may) or "nothing"
            yield f"{source.path}:{name.line}: {room} may not import {name.dotted}; [rooms] allows {known}"


def _clients(source: Source, rules: Rules) -> Iterator[str]:
    for name in _all_imports(source):
        package = name.dotted.partition(".")[0]
        if package in sys.stdlib_module_names or package in rules.folders:
            continue
        may = rules.clients.get(package, [])
        if _ANY not in may and not lies_in(source.module, may):
            yield (
                f"{source.path}:{name.line}: {source.module} may not import {package}; "
                f"[clients] allows {', '.join(may) or 'nobody'}"
            )


def _purity(source: Source, rules: PureRules) -> Iterator[str]:
    listed = lies_in(source.module, rules.modules)
    if source.says_pure and not listed:
        yield f"{source.path}: says that it is pure: add {source.module} to [pure] in {RULES_FILE.name}"
    if source.module in rules.modules and not source.says_pure:
        yield f"{source.path}: {source.module} is in [pure], so the first line of its docstring must say it: Pure."
    if not listed:
        return
    more = [each for module, names in rules.more.items() if lies_in(source.module, [module]) for each in names]
    may = [*rules.allowed, *rules.taken, *rules.modules, *more]
    for name in _impure(source, may, rules):
        yield f"{source.path}:{name.line}: {source.module} is pure and may not use {name.dotted}"


def _impure(source: Source, may: Sequence[str], rules: PureRules) -> Iterator[Name]:
    for name in source.imports:
        if not lies_in(name.dotted, may) or lies_in(name.dotted, rules.refused):
            yield name
    for name in source.modules:
        in_parts = any(lies_in(each, [name.dotted]) for each in may)
        if not (lies_in(name.dotted, may) or in_parts) or lies_in(name.dotted, rules.refused):
            yield name
    partly = [name.dotted for name in source.modules if not lies_in(name.dotted, may)]
    for name in source.uses:
        begun = any(lies_in(each, [name.dotted]) for each in may)
        outside = lies_in(name.dotted, partly) and not begun and not lies_in(name.dotted, may)
        if outside or lies_in(name.dotted, rules.refused):
            yield name
    yield from (name for name in source.calls if name.dotted in rules.calls)


def _unused(sources: Mapping[str, Source], rules: Rules) -> Iterator[str]:
    """What a list names and the product does not have: a rule for it would check nothing."""
    listed = {"[rooms]": list(rules.rooms), "[pure] modules": rules.pure.modules}
    listed["[rooms]"] += [module for modules in rules.rooms.values() for module in modules if module != _ANY]
    listed["[pure.more]"] = list(rules.pure.more)
    listed["[clients]"] = [module for modules in rules.clients.values() for module in modules if module != _ANY]
    for table, modules in listed.items():
        for module in modules:
            if not any(lies_in(each, [module]) for each in sources):
                yield f"{RULES_FILE.name}: {table} names {module}, which is not there"


def _all_imports(source: Source) -> tuple[Name, ...]:
    return source.imports + source.modules
