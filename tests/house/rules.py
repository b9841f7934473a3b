"""The rules of the house, each a function from syntax trees to what is wrong with them, a line each."""

from __future__ import annotations

import ast
import tomllib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

import msgspec

from tests.house.source import Definition, Module, classes, functions

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 40
MIN_REPEATED_LINES = 10
MAX_TEST_NAME = 80
MAX_LONG = 5  # exceptions of each kind of length
NO_IMPERATIVES = {"The", "A", "An", "One", "Until", "What", "Whether"}
"""How a docstring begins that describes; it is to say what a function does: "Return the ...", "Run until ..."."""

_WORDS = {"ctx", "type_comment", "kind"}  # fields of a node that say nothing of the shape


class Exceptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file: place → reason."""

    modules: dict[str, str]
    functions: dict[str, str]
    classes: dict[str, str]


def read_exceptions(text: str) -> Exceptions:
    """Return what ``exceptions.toml`` says."""
    return msgspec.convert(tomllib.loads(text), Exceptions)


def find_long_modules(modules: Sequence[Module], listed: Mapping[str, str]) -> list[str]:
    """Return the modules over the length that are not listed, and what is listed for nothing."""
    long = {module.path: module.lines for module in modules if module.lines > MAX_MODULE_LINES}
    return _against(long, listed, "modules", f"{MAX_MODULE_LINES} lines; split it")


def find_long_functions(modules: Sequence[Module], listed: Mapping[str, str]) -> list[str]:
    """Return the functions over the length that are not listed, and what is listed for nothing."""
    long = {each.place: each.lines for each in functions(modules) if each.lines > MAX_FUNCTION_LINES}
    return _against(long, listed, "functions", f"{MAX_FUNCTION_LINES} lines; split it")


def find_repeated_functions(modules: Sequence[Module]) -> list[str]:
    """Return the functions whose bodies are the same but for names and constants."""
    same: dict[str, list[Definition]] = defaultdict(list)
    for each in functions(modules):
        if each.lines_undocumented >= MIN_REPEATED_LINES and each.statements():
            same["".join(_shape(each.statements()))].append(each)
    return [
        f"{' = '.join(each.place for each in group)}: the same but for names and constants; define it once"
        for group in same.values()
        if len(group) > 1
    ]


def find_repeated_classes(modules: Sequence[Module], listed: Mapping[str, str]) -> list[str]:
    """Return the class names that stand for several things and are not listed, and what is listed for nothing."""
    places: dict[str, list[str]] = defaultdict(list)
    for each in classes(modules):
        places[each.name.rpartition(".")[2]].append(each.path)
    repeated = {name: paths for name, paths in places.items() if len(paths) > 1}
    found = [
        f"class {name} stands in {', '.join(paths)}: give each its own name, or list it in [classes]"
        for name, paths in repeated.items()
        if name not in listed
    ]
    return found + _unneeded(repeated, listed, "classes")


def find_empty_packages(modules: Sequence[Module]) -> list[str]:
    """Return the packages that hold nothing, and those that do not say what they hold."""
    found = []
    for module in modules:
        path = PurePosixPath(module.path)
        if path.name != "__init__.py":
            continue
        folder = f"{path.parent}/"
        if not any(other.path.startswith(folder) for other in modules if other is not module) and _has_no_code(module):
            found.append(f"{module.path}: the package holds nothing; delete it")
        if ast.get_docstring(module.tree) is None:
            found.append(f"{module.path}: say in a docstring what the package holds")
    return found


def find_descriptions(modules: Sequence[Module]) -> list[str]:
    """Return the functions whose docstring does not begin with what they do; properties are described."""
    return [
        f"{each.place}: its docstring begins with {_first_word(each)!r}; say what it does or returns"
        for each in functions(modules)
        if _first_word(each) in NO_IMPERATIVES and not _is_property(each)
    ]


def find_long_test_names(modules: Sequence[Module]) -> list[str]:
    """Return the tests whose name nobody reads to its end."""
    return [
        f"{each.place}: the name has {len(each.node.name)} characters, at most {MAX_TEST_NAME}"
        for each in functions(modules)
        if each.node.name.startswith("test_") and len(each.node.name) > MAX_TEST_NAME
    ]


def check_exceptions(exceptions: Exceptions) -> list[str]:
    """Return what is wrong with the list itself."""
    tables = {"modules": exceptions.modules, "functions": exceptions.functions, "classes": exceptions.classes}
    found = [
        f"[{table}] {place}: give a reason"
        for table, listed in tables.items()
        for place, reason in listed.items()
        if len(reason.split()) < 3
    ]
    for table in ("modules", "functions"):
        if len(tables[table]) > MAX_LONG:
            found.append(f"[{table}] lists {len(tables[table])}, at most {MAX_LONG}")
    return found


def _against(found: Mapping[str, int], listed: Mapping[str, str], table: str, limit: str) -> list[str]:
    unlisted = [
        f"{place}: {lines} lines, more than {limit}, or list it in [{table}]"
        for place, lines in found.items()
        if place not in listed
    ]
    return unlisted + _unneeded(found, listed, table)


def _unneeded(found: Collection[str], listed: Iterable[str], table: str) -> list[str]:
    return [f"[{table}] lists {place}, which needs no exception; take it out" for place in listed if place not in found]


def _shape(node: object) -> Iterator[str]:
    """The tree in brackets: kinds of nodes, without names, constants and docstrings."""
    if isinstance(node, ast.AST):
        yield f"({type(node).__name__}"
        for name, value in ast.iter_fields(node):
            if name not in _WORDS and isinstance(value, ast.AST | list):
                yield name
                yield from _shape(value)
        yield ")"
    elif isinstance(node, list):
        yield "["
        for each in node:
            yield from _shape(each)
        yield "]"


def _has_no_code(module: Module) -> bool:
    return all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in module.tree.body)


def _first_word(each: Definition) -> str:
    return each.docstring().partition(" ")[0]


def _is_property(each: Definition) -> bool:
    return any(ast.unparse(decorator).endswith("property") for decorator in each.node.decorator_list)
