"""The product keeps the house's rules, and each rule sees what breaks it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house.rules import (
    NO_IMPERATIVES,
    Exceptions,
    check_exceptions,
    find_descriptions,
    find_empty_packages,
    find_long_functions,
    find_long_modules,
    find_long_test_names,
    find_repeated_classes,
    find_repeated_functions,
    read_exceptions,
)
from tests.house.source import Module, parse, product_rooms, read_modules

_ROOT = Path(__file__).resolve().parents[2]
_EXCEPTIONS = Path(__file__).with_name("exceptions.toml")


@pytest.fixture(scope="module")
def product() -> list[Module]:
    return read_modules(_ROOT, product_rooms(_ROOT))


@pytest.fixture(scope="module")
def exceptions() -> Exceptions:
    return read_exceptions(_EXCEPTIONS.read_text(encoding="utf-8"))


def function(name: str, statements: int, *, word: str = "x") -> str:
    """The text of a function; another ``word`` gives other names and constants, not another shape."""
    calls = "".join(f"    {word}{n} = {word}.{word}call({n}, '{word}')\n" for n in range(statements))
    return f"def {name}({word}: object) -> None:\n{calls}"


def test_no_module_of_the_product_is_too_long(product: list[Module], exceptions: Exceptions) -> None:
    assert find_long_modules(product, exceptions.modules) == []


def test_no_function_of_the_product_is_too_long(product: list[Module], exceptions: Exceptions) -> None:
    assert find_long_functions(product, exceptions.functions) == []


def test_no_two_functions_of_the_product_are_the_same(product: list[Module]) -> None:
    assert find_repeated_functions(product) == []


def test_every_class_name_of_the_product_stands_for_one_thing(product: list[Module], exceptions: Exceptions) -> None:
    assert find_repeated_classes(product, exceptions.classes) == []


def test_every_package_of_the_product_holds_something_and_says_what(product: list[Module]) -> None:
    assert find_empty_packages(product) == []


def test_every_docstring_of_a_function_says_what_it_does(product: list[Module]) -> None:
    assert find_descriptions(product) == []


def test_every_test_has_a_name_that_is_read_to_its_end() -> None:
    assert find_long_test_names(read_modules(_ROOT, ["tests"])) == []


def test_few_things_are_excepted_and_each_for_a_reason(exceptions: Exceptions) -> None:
    assert check_exceptions(exceptions) == []


def test_a_planted_long_module_is_named_unless_it_is_listed() -> None:
    long, fits = parse("edge/long.py", "x = 1\n" * 401), parse("edge/fits.py", "x = 1\n" * 400)
    assert find_long_modules([long, fits], {}) == [
        "edge/long.py: 401 lines, more than 400 lines; split it, or list it in [modules]"
    ]
    assert find_long_modules([long], {"edge/long.py": "one table"}) == []
    assert find_long_modules([fits], {"edge/fits.py": "one table"}) == [
        "[modules] lists edge/fits.py, which needs no exception; take it out"
    ]


def test_a_planted_long_method_is_named_unless_it_is_listed() -> None:
    method = "".join(f"    {line}\n" for line in function("run", 40).splitlines())
    long, fits = parse("edge/a.py", f"class A:\n{method}"), parse("edge/b.py", function("run", 39))
    assert find_long_functions([long, fits], {}) == [
        "edge/a.py:A.run: 41 lines, more than 40 lines; split it, or list it in [functions]"
    ]
    assert find_long_functions([long], {"edge/a.py:A.run": "one table"}) == []
    assert find_long_functions([fits], {"edge/b.py:run": "one table"}) == [
        "[functions] lists edge/b.py:run, which needs no exception; take it out"
    ]


def test_a_planted_copy_with_other_names_and_constants_is_named() -> None:
    one, other = parse("edge/a.py", function("first", 10)), parse("ingest/b.py", function("second", 10, word="y"))
    assert find_repeated_functions([one, other]) == [
        "edge/a.py:first = ingest/b.py:second: the same but for names and constants; define it once"
    ]


def test_a_docstring_does_not_hide_a_copy() -> None:
    text = function("first", 10)
    said = text.replace("\n", '\n    """Say something."""\n', 1)
    assert len(find_repeated_functions([parse("a.py", text), parse("b.py", said)])) == 1


def test_short_functions_and_other_shapes_are_no_copies() -> None:
    short = [parse("a.py", function("f", 8)), parse("b.py", function("g", 8))]
    other = [parse("c.py", function("h", 12)), parse("d.py", function("k", 13))]
    assert find_repeated_functions(short + other) == []


def test_a_planted_second_class_of_a_name_is_named_unless_it_is_listed() -> None:
    both = [parse("edge/a.py", "class Row:\n    x = 1\n"), parse("ingest/b.py", "class Row:\n    y = 1\n")]
    assert find_repeated_classes(both, {}) == [
        "class Row stands in edge/a.py, ingest/b.py: give each its own name, or list it in [classes]"
    ]
    assert find_repeated_classes(both, {"Row": "tables of two stores"}) == []
    assert find_repeated_classes(both[:1], {"Row": "tables of two stores"}) == [
        "[classes] lists Row, which needs no exception; take it out"
    ]


def test_a_planted_empty_package_is_named_and_one_that_says_nothing() -> None:
    empty = parse("edge/empty/__init__.py", '"""Nothing yet."""\n')
    silent, module = parse("edge/silent/__init__.py", ""), parse("edge/silent/camera.py", "x = 1\n")
    assert find_empty_packages([empty, silent, module]) == [
        "edge/empty/__init__.py: the package holds nothing; delete it",
        "edge/silent/__init__.py: say in a docstring what the package holds",
    ]
    outer, inner = parse("edge/o/__init__.py", '"""Outer."""\n'), parse("edge/o/i/__init__.py", '"""Inner."""\nx = 1\n')
    assert find_empty_packages([outer, inner]) == []


@pytest.mark.parametrize("word", sorted(NO_IMPERATIVES))
def test_a_planted_docstring_that_describes_is_named(word: str) -> None:
    text = f'''
class A:
    """{word} thing."""
    @property
    def size(self):
        """{word} size."""
    @functools.cached_property
    def weight(self):
        """{word} weight."""
    def _measure(self):
        """{word} measurement."""
def weigh():
    """Return what {word} weighs."""
'''
    assert find_descriptions([parse("edge/a.py", text)]) == [
        f"edge/a.py:A._measure: its docstring begins with {word!r}; say what it does or returns"
    ]


def test_a_planted_long_test_name_is_named() -> None:
    name = "test_" + "x" * 76
    assert find_long_test_names([parse("tests/test_a.py", f"def {name}(): ...\ndef {name[:80]}(): ...\n")]) == [
        f"tests/test_a.py:{name}: the name has 81 characters, at most 80"
    ]


def test_more_than_five_exceptions_or_one_without_a_reason_are_named() -> None:
    many = {f"edge/{n}.py": "one table of parts" for n in range(6)}
    assert check_exceptions(Exceptions(modules=many, functions={"edge/a.py:f": "long"}, classes={})) == [
        "[functions] edge/a.py:f: give a reason",
        "[modules] lists 6, at most 5",
    ]
