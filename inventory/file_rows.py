"""The rows of an inventory's file with the lines they stand in: TOML, or one JSON record a line. Pure."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from contracts.events import AnyEvent
from contracts.suggestions import did_you_mean
from inventory.faults import FileFault

_HEADER = re.compile(r"\s*\[\[\s*[\"']?([\w-]+)[\"']?\s*\]\]")
_KEY = re.compile(r"\s*[\"']?([\w-]+)[\"']?\s*[=.]")
_AT = re.compile(r"\(at line (\d+), column \d+\)|\(at end of document\)")
_LONG = ('"""', "'''")
_NO_LINES: Mapping[str, int] = {}
_BEGIN = ""
"""The key under which a row's own line stands."""


class FileRow(msgspec.Struct, frozen=True):
    """One row as it was written: ``where`` for people, the kind of its record, and the line of each key."""

    where: str
    kind: str
    fields: Mapping[str, Any]
    lines: Mapping[str, int]

    def line_of(self, key: str) -> int:
        """Return the line of a key, or where the row begins; 0 when that is not known."""
        return self.lines.get(key, self.lines.get(_BEGIN, 0))


def toml_rows(text: str, tables: Mapping[str, str], faults: list[FileFault]) -> Iterator[FileRow]:
    """Yield the rows of a TOML text, in the order of ``tables``; what is wrong with its form goes to ``faults``.

    Args:
        text: of the file.
        tables: name of a table → kind of its records.
        faults: is added to.
    """
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        faults.append(_not_toml(text, str(error)))
        return
    except ValueError:  # of Python, which reads no number of more than some 4,300 digits
        line = _line_like(text, r".*[0-9]{1000}")
        faults.append(FileFault(line, "a number of thousands of digits; expected one of at most 18"))
        return
    found = _lines_of(text)
    site = {"site_id": document.pop("site_id")} if "site_id" in document else {}
    faults += [_unknown(name, tables, found) for name in document if name not in tables]
    top = {key: line for key, line in found[_BEGIN][0].items() if key in site}
    for name, kind in tables.items():
        rows = document.get(name, [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            line = found[_BEGIN][0].get(name, 0) or _line_like(text, rf"\s*\[\s*{name}\b")
            faults.append(FileFault(line, f"[{name}] must be written [[{name}]], once for each {name}"))
            continue
        lines: Sequence[Mapping[str, int]] = found.get(name, [])
        if len(lines) != len(rows):  # written in a way that is not looked for, as {…} in one line
            lines = [_NO_LINES] * len(rows)
        for number, (row, own) in enumerate(zip(rows, lines, strict=True), 1):
            yield FileRow(f"[[{name}]] number {number}", kind, {**site, **row}, {**top, **own})


def _unknown(name: str, tables: Mapping[str, str], found: Mapping[str, list[dict[str, int]]]) -> FileFault:
    line = next((lines[_BEGIN] for lines in found.get(name, [])), found[_BEGIN][0].get(name, 0))
    guess = did_you_mean(name, tables)
    known = f"site_id and [[{']], [['.join(tables)}]]"
    return FileFault(
        line, f"unknown table {name!r}; expected {known}" + (f"; {guess}" if guess.startswith("did") else "")
    )


def json_rows(text: str, kinds: Collection[str], faults: list[FileFault]) -> Iterator[FileRow]:
    """Yield the rows of a text with one JSON record a line; other kinds of events are passed over.

    Args:
        text: of the file.
        kinds: of records.
        faults: is added to.
    """
    events = {str(kind.__struct_config__.tag) for kind in AnyEvent.__args__}
    first = True
    for number, line in enumerate(text.split("\n"), 1):  # a JSON text may hold other ends of lines
        if not line.strip():
            continue
        try:
            fields = json.loads(line, object_pairs_hook=_each_once)
        except (ValueError, RecursionError) as error:
            form = "; expected one JSON record a line, or TOML in a file that is called .toml" if first else ""
            faults.append(FileFault(number, f"it is not JSON: {error}{form}"))
            if first:  # then none of them will be
                return
            continue
        finally:
            first = False
        if not isinstance(fields, dict) or not isinstance(fields.get("kind"), str):
            faults.append(FileFault(number, 'expected an object with a "kind"'))
        elif fields["kind"] in kinds:
            kind = fields.pop("kind")
            yield FileRow(kind, kind, fields, {_BEGIN: number})
        elif fields["kind"] not in events:
            guess = did_you_mean(fields["kind"], kinds)
            faults.append(FileFault(number, f"unknown kind {fields['kind'][:60]!r}; {guess}"))


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {twice[:60]!r} stands there twice")
    return found


def _not_toml(text: str, error: str) -> FileFault:
    at = _AT.search(error)
    line = int(at[1]) if at and at[1] else text.count("\n") + 1
    return FileFault(line, f"the inventory is not TOML: {error}")


def _line_like(text: str, pattern: str) -> int:
    """Return the first line that begins like ``pattern``; 0 when there is none."""
    return next((number for number, line in enumerate(text.split("\n"), 1) if re.match(pattern, line)), 0)


def _lines_of(text: str) -> dict[str, list[dict[str, int]]]:
    """Return name of table → for each of its headers the lines of its keys; the top of the file has no name."""
    here: dict[str, int] = {_BEGIN: 0}
    found = {_BEGIN: [here]}
    inside = ""  # the quotes of a text of several lines
    for number, line in enumerate(text.split("\n"), 1):
        if not inside:
            if header := _HEADER.match(line):
                here = {_BEGIN: number}
                found.setdefault(header[1], []).append(here)
            elif key := _KEY.match(line):
                here.setdefault(key[1], number)
        inside = _quotes_after(line, inside)
    return found


def _quotes_after(line: str, inside: str) -> str:
    """Return which long text is open at the end of a line, by its quotes; empty when none is."""
    at = 0
    while True:
        nearest = [(line.index(q, at), q) for q in ((inside,) if inside else _LONG) if q in line[at:]]
        if not nearest:
            return inside
        at, quotes = min(nearest)
        at, inside = at + len(quotes), "" if inside else quotes
