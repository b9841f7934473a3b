"""The names of our fields, as devices spell them: ``Alarm``, ``alarm ``, ``temperatureC`` are ``alarm``,
``temperature_c``. Pure.

Only what a device measures and says is found so, and who, when and where. A maker has other uses for ``V`` or
``Model``.
"""

from __future__ import annotations

import functools
import re

from contracts.events import DeviceEvent
from ingest.pipeline.lenient_json import put

_AS_IT_IS = frozenset({"v", "origin", "model", "evidence", "spool"})
"""Fields that are only taken by their exact name: makers use these words for something else."""
_NAMES = frozenset({"kind", *(field for kind in DeviceEvent.__args__ for field in kind.__struct_fields__)})
_NARROW = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)}
"""Letters in full width, as Chinese keyboards type them, to plain ones."""
_SEPARATORS = re.compile(r"[\W_]+")
_DIGITS = re.compile(r"[0-9]+")


def folded(text: str) -> str:
    """Return a key without case, width, blanks and separators.

    >>> folded(" Temperature-C"), folded("temperature_c")
    ('temperaturec', 'temperaturec')
    """
    return _SEPARATORS.sub("", text.translate(_NARROW)).casefold()


_BY_FOLDED = {folded(name): name for name in _NAMES - _AS_IT_IS}
_WITHOUT_DIGITS = {_DIGITS.sub("", name) for name in _BY_FOLDED if _DIGITS.search(name)}


@functools.lru_cache(maxsize=4_096)
def is_misspelled(key: bytes) -> bool:
    """Return whether a key of a payload, in UTF-8 with its escapes, may be one of our names in another spelling."""
    text = key.decode(errors="replace")
    return text not in _NAMES and ("\\" in text or folded(text) in _BY_FOLDED)


def may_lack_digits(key: bytes) -> bool:
    """Return whether a key may be one that digits were taken from and that digits make one of ours, or nothing."""
    text = key.decode(errors="replace")
    return not text or folded(text) in _WITHOUT_DIGITS


def spelled(said: dict[str, object]) -> dict[str, object]:
    """Return what a message says under our names. The exact name counts; but of an alarm all that is said does."""
    found: dict[str, object] = {}
    for key, value in said.items():
        name = key if key in _NAMES else _BY_FOLDED.get(folded(key), "")
        if name and (key == name or name not in said or name == "alarm"):
            put(found, name, value)
    return found
