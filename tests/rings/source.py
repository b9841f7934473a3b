"""One module of the product as text: what it imports, what it uses of that, and whether it says that it is pure."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

_SAYS_PURE = re.compile(r"\bPure\b(?! but)")


class Name(msgspec.Struct, frozen=True):
    """A dotted name and the line it stands in."""

    line: int
    dotted: str


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One module. ``imports`` name what is imported, as far as it is known; ``uses`` what is used of it."""

    module: str
    path: str
    says_pure: bool
    imports: tuple[Name, ...]
    modules: tuple[Name, ...]  # those of ``import x``: what is used of them is in ``uses``
    uses: tuple[Name, ...]
    calls: tuple[Name, ...]  # of plain names


def read_source(module: str, path: str, text: str) -> Source:
    """Return what the module's text says."""
    tree = ast.parse(text, path)
    package = module if path.endswith("__init__.py") else module.rpartition(".")[0]
    nodes = list(ast.walk(tree))
    plain = [(node.lineno, alias) for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    named = [
        (node.lineno, alias, _module_of(node, package))
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    known = {alias.asname or alias.name.split(".")[0]: alias.name if alias.asname else "" for _, alias in plain}
    known = {name: dotted or name for name, dotted in known.items()}
    known |= {alias.asname or alias.name: f"{base}.{alias.name}" for _, alias, base in named}
    doc = ast.get_docstring(tree) or ""
    return Source(
        module=module,
        path=path,
        says_pure=_SAYS_PURE.search(doc.partition("\n")[0]) is not None,
        imports=tuple(Name(line, f"{base}.{alias.name}") for line, alias, base in named),
        modules=tuple(Name(line, alias.name) for line, alias in plain),
        uses=tuple(_uses(nodes, known)),
        calls=tuple(
            Name(node.lineno, node.func.id)
            for node in nodes
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        ),
    )


def read_sources(root: Path, rooms: Iterable[str]) -> dict[str, Source]:
    """Return every module of the rooms under ``root`` by its name."""
    found = {}
    for path in sorted(path for room in rooms for path in (root / room).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[module] = read_source(module, path.relative_to(root).as_posix(), path.read_text(encoding="utf-8"))
    return found


def lies_in(dotted: str, names: Container[str]) -> bool:
    """Return whether a dotted name is one of ``names`` or lies in one."""
    while dotted and dotted not in names:
        dotted = dotted.rpartition(".")[0]
    return bool(dotted)


def _module_of(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    return importlib.util.resolve_name("." * node.level + (node.module or ""), package)


def _uses(nodes: Iterable[ast.AST], known: Mapping[str, str]) -> Iterator[Name]:
    """Every chain of names that begins at something imported, and all its beginnings."""
    for node in nodes:
        if isinstance(node, ast.Attribute):
            names = [node.attr]
            inner = node.value
            while isinstance(inner, ast.Attribute):
                names.append(inner.attr)
                inner = inner.value
            if isinstance(inner, ast.Name) and inner.id in known:
                yield Name(node.lineno, ".".join([known[inner.id], *names[::-1]]))
