"""What of a refused message may be kept: only what is named as harmless, never what a person or device wrote. Pure.

Harmless are the words of the contract (fields, kinds, values of enumerations), ids that the inventory has, the words in
which a refusal is said, small numbers in fields of the contract, and times. Of everything else the length is kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import Any

from contracts.errors import Rejected
from contracts.names import ID_PATTERN
from ingest.pipeline.harmless_words import contract_fields, contract_numbers, contract_words, words_of_refusals
from ingest.pipeline.json_depth import check_depth

MAX_PARSED_BYTES = 64 * 1024
MAX_EXCERPT = 1_000
MAX_DETAIL = 300
MAX_ITEMS = 8
MAX_LEVELS = 12

_SMALL = 10_000_000
_OLDEST_MS, _NEWEST_MS = 1_000_000_000_000, 10_000_000_000_000  # 2001 to 2286: telephone numbers are no times
_TOKEN = re.compile(re.escape(ID_PATTERN) + r"|[^\s'\"`(),;:/<>=…≤≥]+")
_NUMBER = re.compile(r"-?\d{1,7}(?:\.\d{1,3})?")
_PATH = re.compile(r"\$(?:\.[A-Za-z_]+|\[\d*(?:\.\.\.)?\])*")
_QUOTES = re.compile(r"['\"]")


def scrub(payload: bytes, known: Collection[str] = ()) -> str:
    """Return a bounded excerpt of ``payload``: its structure, and what in it is harmless.

    Args:
        payload: as it came.
        known: ids that the inventory has, of whom it is.

    >>> scrub(b'{"kind": "door_changed", "name": "Zhang San", "power_w": 3, "seq": 13800138000, "gauges": [0.1, 0.2]}')
    '{"kind":"door_changed","name":"<text 9>","power_w":3,"seq":"<number>","gauges":"<list 2>"}'
    """
    if len(payload) > MAX_PARSED_BYTES:
        return f"<{len(payload)} bytes>"
    try:
        check_depth(payload)
        value = json.loads(payload)
    except (Rejected, ValueError, RecursionError):
        return f"<{len(payload)} bytes, not JSON>"
    return json.dumps(_clean(value, "", frozenset(known)), ensure_ascii=True, separators=(",", ":"))[:MAX_EXCERPT]


def scrub_topic(topic: str, known: Collection[str] = ()) -> str:
    """Return a topic with the words of Linli's own and ``known`` ids; of other levels the length.

    >>> scrub_topic("linli/v1/s1/gate/13800138000/evt", {"s1"})
    'linli/v1/s1/gate/<level 11>/evt'
    """
    levels = topic.split("/")
    kept = [level if level in contract_words() or level in known else f"<level {len(level)}>" for level in levels]
    return "/".join(kept[:MAX_LEVELS])


def scrub_text(text: str, known: Collection[str] = ()) -> str:
    """Return why something was refused, in the words of refusals; what it quotes only if that is harmless.

    >>> scrub_text("device '13800138000' of site 's1' is not in the inventory; it is now pending", {"s1"})
    "device '<text 11>' of site 's1' is not in the inventory; it is now pending"
    """
    quotes = _QUOTES.search(text) is not None  # then a number may be somebody's
    return _TOKEN.sub(lambda found: _token(found[0], known, numbers=not quotes), text)[:MAX_DETAIL]


def _token(token: str, known: Collection[str], *, numbers: bool) -> str:
    word = token.rstrip(".")
    if word in words_of_refusals() or word in contract_words() or word in known:
        return token
    if token == ID_PATTERN or (numbers and _NUMBER.fullmatch(word)):
        return token
    if _PATH.fullmatch(word) and all(name in contract_fields() for name in re.findall(r"[A-Za-z_]+", word)):
        return token
    return f"<text {len(token)}>"


def _clean(value: Any, key: str, known: frozenset[str]) -> Any:
    match value:
        case bool() | None:
            return value
        case int() | float():
            return value if key in contract_numbers() and _is_harmless(value, key) else "<number>"
        case str():
            return value if value in contract_words() or value in known else f"<text {len(value)}>"
        case list():
            return _list(value, known)
        case dict():
            return dict(_pairs(value, known))
        case _:
            return "<value>"


def _is_harmless(number: float, key: str) -> bool:
    is_time = key.endswith("_ms") and _OLDEST_MS <= number < _NEWEST_MS
    return is_time or abs(number) < _SMALL


def _list(values: list[Any], known: frozenset[str]) -> Any:
    """Return the objects in a list. Of other lists only the length: many numbers together may be a face."""
    if not any(isinstance(value, dict) for value in values):
        return f"<list {len(values)}>"
    rest = [f"<{len(values) - MAX_ITEMS} more>"] if len(values) > MAX_ITEMS else []
    return [_clean(value, "", known) for value in values[:MAX_ITEMS]] + rest


def _pairs(value: dict[str, Any], known: frozenset[str]) -> Iterator[tuple[str, Any]]:
    for key, said in list(value.items())[: MAX_ITEMS * 4]:
        yield (key if key in contract_fields() else f"<key {len(key)}>"), _clean(said, key, known)
