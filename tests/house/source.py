"""The product's modules as syntax trees, and the functions and classes in them."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


class Module(msgspec.Struct, frozen=True):
    """One file. ``path`` is relative to the repository's root, with slashes."""

    path: str
    text: str
    tree: Any  # ast.Module, which msgspec does not know

    @property
    def lines(self) -> int:
        """How many lines it has."""
        return len(self.text.splitlines())


class Definition(msgspec.Struct, frozen=True):
    """A function, method or class. ``name`` is dotted: ``Class.method``."""

    path: str
    name: str
    node: Any  # FunctionNode | ast.ClassDef

    @property
    def place(self) -> str:
        """What the list of exceptions calls it."""
        return f"{self.path}:{self.name}"

    @property
    def lines(self) -> int:
        """From the line of its ``def`` or ``class`` to its last, docstring and signature too."""
        return int(self.node.end_lineno - self.node.lineno + 1)

    @property
    def lines_undocumented(self) -> int:
        """The same without the docstring."""
        doc = self.node.body[0]
        return self.lines - (int(doc.end_lineno - doc.lineno + 1) if self.docstring() else 0)

    @property
    def public(self) -> bool:
        """Whether no part of its name begins with an underscore."""
        return not any(part.startswith("_") for part in self.name.split("."))

    def docstring(self) -> str:
        """Return its docstring; empty when there is none."""
        return ast.get_docstring(self.node) or ""

    def statements(self) -> list[ast.stmt]:
        """Return its body without the docstring."""
        body: list[ast.stmt] = self.node.body
        return body[1:] if self.docstring() else body


def product_rooms(root: Path) -> list[str]:
    """Return the folders that import-linter has as the product's."""
    pyproject = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    rooms: list[str] = pyproject["tool"]["importlinter"]["root_packages"]
    return rooms


def parse(path: str, text: str) -> Module:
    """Return the module that the text is."""
    return Module(path, text, ast.parse(text, path))


def read_modules(root: Path, folders: Iterable[str]) -> list[Module]:
    """Return every Python file below the folders of ``root``, in order."""
    paths = sorted(path for folder in folders for path in (root / folder).rglob("*.py"))
    return [parse(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")) for path in paths]


def functions(modules: Sequence[Module]) -> list[Definition]:
    """Return all functions, methods and functions within them."""
    return [each for module in modules for each in _below(module) if isinstance(each.node, FunctionNode)]


def classes(modules: Sequence[Module]) -> list[Definition]:
    """Return all classes, those within others too."""
    return [each for module in modules for each in _below(module) if isinstance(each.node, ast.ClassDef)]


def _below(module: Module) -> Iterator[Definition]:
    yield from _within(module.tree, module.path, "")


def _within(node: ast.AST, path: str, prefix: str) -> Iterator[Definition]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FunctionNode | ast.ClassDef):
            yield Definition(path, prefix + child.name, child)
            yield from _within(child, path, f"{prefix}{child.name}.")
        else:
            yield from _within(child, path, prefix)
