"""How deeply a JSON text is nested, found without parsing it. Pure."""

from __future__ import annotations

import re

from contracts.errors import Rejected, RejectReason

MAX_DEPTH = 16
"""An event needs 4; the parser itself would go on to its recursion limit."""

_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


def check_depth(text: bytes, limit: int = MAX_DEPTH) -> None:
    """Raise unless ``text`` is nested at most ``limit`` deep.

    >>> check_depth(b'{"a": ["[[[[[[[[[[[[[[[[[["]}')

    Raises:
        Rejected: ``too_deep``.
    """
    if text.count(b"{") + text.count(b"[") <= limit:
        return
    depth = 0
    for match in _STRUCTURE.finditer(text):
        first = match.group()[:1]
        if first in b"[{":
            depth += 1
            if depth > limit:
                raise Rejected(
                    RejectReason.TOO_DEEP, f"JSON nested deeper than {limit} levels, at byte {match.start()}"
                )
        elif first in b"]}":
            depth -= 1
