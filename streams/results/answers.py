"""What an InfluxDB's HTTP answer means for the points that were sent. Pure.

| answer | means |
|---|---|
| 2xx | kept |
| 400, 422 | at least one point is wrong; but "beyond retention policy": the server kept the rest, and no old ones |
| 413 | too many at once |
| 401, 403, 404, 405 | credentials, database or address: a person must act; nothing is given up meanwhile |
| 429, 503 | later, at ``Retry-After`` where it says so |
| anything else | later |
"""

from __future__ import annotations

import datetime
import email.utils

from contracts.errors import LinliError, Transient
from streams.results.target import PointsRefused, StoreMisconfigured, TooLarge

_OUTLIVED = "beyond retention policy"


def failure_of(status: int, body: str, retry_after: str | None, now_ms: int) -> LinliError | None:
    """Return the error that an answer stands for; None when the points are kept, or older than the server keeps any."""
    said = f"InfluxDB answered {status}: {' '.join(body.split())[:200] or 'nothing more'}"
    if 200 <= status < 300:
        return None
    if status in {400, 422}:
        return None if _OUTLIVED in body and "dropped=" in body else PointsRefused(said)
    if status == 413:
        return TooLarge(said)
    if status in {401, 403, 404, 405}:
        hint = "check results.url, results.token_file and results.password_file"
        return StoreMisconfigured(f"{said}; {hint}")
    return Transient(said, retry_after_s(retry_after, now_ms))


def retry_after_s(header: str | None, now_ms: int) -> float | None:
    """Read seconds to wait from a ``Retry-After`` header (seconds or an HTTP date); None if it says nothing of use."""
    if not header:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        at = email.utils.parsedate_to_datetime(header)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=datetime.UTC)
    return max(0.0, at.timestamp() - now_ms / 1000)
