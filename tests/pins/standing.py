"""What was written down once, and whether it still stands: more may come beside it, nothing may change or go.

``golden/`` holds literals, one file a subject. A line is added there when something new has come into use, and never
changed: whoever must change one changes what is stored on disks, said to receivers, or typed into scripts, and owes
them a migration.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).with_name("golden")
FIXTURES = Path(__file__).with_name("fixtures")
_MAY_GROW = frozenset({"enum", "kinds"})
_SAYS_NOTHING = frozenset({"title", "description", "$defs"})


def golden(name: str) -> Any:
    """What is written in ``golden/NAME.json``."""
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


def fallen(wanted: Any, found: Any, path: str = "") -> list[str]:
    """What no longer stands, a line each: names under ``wanted`` that are gone, and values that are others."""
    return list(_fallen(wanted, json.loads(json.dumps(found)), path))


def _fallen(wanted: Any, found: Any, path: str) -> Iterator[str]:
    if isinstance(wanted, dict) and isinstance(found, dict):
        for name, value in wanted.items():
            if name in found:
                yield from _fallen(value, found[name], f"{path}/{name}")
            else:
                yield f"{path}/{name} is gone, it was {value!r}"
    elif isinstance(wanted, list) and path.rpartition("/")[2] in _MAY_GROW:
        yield from (f"{path}: {one!r} is gone" for one in wanted if one not in found)
    elif wanted != found:
        yield f"{path} is {found!r}, it was {wanted!r}"


def unwritten(wanted: Any, found: Any, path: str = "") -> Iterator[str]:
    """Yield the names under ``found`` that nobody wrote down, each with what it is."""
    for name, value in json.loads(json.dumps(found)).items():
        if name not in wanted:
            yield f"{path}/{name}: {json.dumps(value)}"
        elif isinstance(value, dict):
            yield from unwritten(wanted[name], value, f"{path}/{name}")


def bare(schema: dict[str, Any]) -> Any:
    """A JSON Schema without anything that Python names: references are put in, titles and descriptions left out.

    Of a choice between kinds of events only the kinds are left: each has a schema of its own.
    """
    return _bare(schema, schema.get("$defs", {}))


def _bare(part: Any, named: dict[str, Any]) -> Any:
    if isinstance(part, list):
        return [_bare(one, named) for one in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return _bare(named[part["$ref"].removeprefix("#/$defs/")], named)
    if "discriminator" in part:
        return {"kinds": sorted(part["discriminator"]["mapping"])}
    return {key: _bare(value, named) for key, value in part.items() if key not in _SAYS_NOTHING}
