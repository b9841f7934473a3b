"""InfluxDB line protocol: points as text. Pure.

Source: InfluxDB 1.x and 2.x line protocol reference; the same text serves 1.x, 2.x and 3 Core.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from streams.results.points import FieldValue, Point

_NAME = str.maketrans({",": r"\,", " ": r"\ ", "\n": r"\ ", "\r": r"\ "})
_TAG = str.maketrans({",": r"\,", " ": r"\ ", "=": r"\=", "\n": r"\ ", "\r": r"\ "})


def line_of(point: Point) -> str:
    r"""Return one point, time in nanoseconds.

    >>> line_of(Point("findings", (("rule", "x y"), ("site", "s1")), {"n": 1, "confidence": 0.5}, 7))
    'findings,rule=x\\ y,site=s1 n=1i,confidence=0.5 7'
    """
    tags = "".join(f",{name.translate(_TAG)}={value.translate(_TAG)}" for name, value in point.tags)
    fields = ",".join(f"{name.translate(_TAG)}={_value(value)}" for name, value in point.fields.items())
    return f"{point.measurement.translate(_NAME)}{tags} {fields} {point.at_ns}"


def lines_of(points: Sequence[Point]) -> bytes:
    """Return many, one a line."""
    return "\n".join(line_of(point) for point in points).encode()


def _value(value: FieldValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}i"
    return repr(value) if math.isfinite(value) else "0.0"
