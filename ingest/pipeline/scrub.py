"""What of a refused payload may be kept: structure, keys, codes and small numbers; no text a person is in. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

from contracts.errors import Rejected
from contracts.names import is_id
from ingest.pipeline.json_depth import check_depth

MAX_PARSED_BYTES = 64 * 1024
MAX_EXCERPT = 1_000
MAX_ITEMS = 8

CODES = frozenset(
    {"kind", "site_id", "source_id", "place_id", "lane", "phase", "label", "state", "direction", "credential", "origin"}
)
"""Keys whose text is kept when it has the form of an id."""

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
_LONG_NUMBER = re.compile(r"\d{8}")  # telephone and identity numbers, and the dates in them


def scrub(payload: bytes) -> str:
    """Return a bounded excerpt of ``payload`` without values that could be personal.

    >>> scrub(b'{"kind": "door_changed", "name": "Zhang San", "id_number": 110101199001011234, "n": 3}')
    '{"kind":"door_changed","name":"<text 9>","id_number":"<number>","n":3}'
    """
    if len(payload) > MAX_PARSED_BYTES:
        return f"<{len(payload)} bytes>"
    try:
        check_depth(payload)
        value = json.loads(payload)
    except (Rejected, ValueError, RecursionError):
        return f"<{len(payload)} bytes, not JSON>"
    return json.dumps(_clean(value, ""), ensure_ascii=True, separators=(",", ":"))[:MAX_EXCERPT]


def scrub_topic(topic: str) -> str:
    """Return a topic, with levels that look like a person's number blanked.

    >>> scrub_topic("mqtt/face/13800138000/Rec")
    'mqtt/face/<number>/Rec'
    """
    return "/".join("<number>" if _LONG_NUMBER.search(level) else level[:40] for level in topic[:200].split("/"))


def _clean(value: Any, key: str) -> Any:
    match value:
        case bool() | None:
            return value
        case int() | float():
            small = abs(value) < 10_000_000 or (key.endswith("_ms") and abs(value) < 1e14)
            return value if small else "<number>"
        case str():
            kept = key in CODES and is_id(value) and not _LONG_NUMBER.search(value)
            return value if kept else f"<text {len(value)}>"
        case list():
            return [_clean(item, key) for item in value[:MAX_ITEMS]] + _rest(len(value))
        case dict():
            pairs = list(value.items())[: MAX_ITEMS * 4]
            return {(k if _KEY.fullmatch(k) else f"<key {len(k)}>"): _clean(v, k) for k, v in pairs}
        case _:
            return "<value>"


def _rest(count: int) -> list[str]:
    return [f"<{count - MAX_ITEMS} more>"] if count > MAX_ITEMS else []
