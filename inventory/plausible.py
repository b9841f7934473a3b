"""Numbers of the right type that cannot be meant: seconds for milliseconds, times out of order. Pure."""

from __future__ import annotations

from contracts.durations import DAY_MS
from contracts.events import (
    ConfigurationRecord,
    ConsentRecorded,
    DeviceConfigured,
    VisitorRegistered,
)
from inventory.faults import RecordFault

SILENT_LEAST_MS, SILENT_MOST_MS = 10_000, 31 * DAY_MS
"""No device reports so often that ten seconds tell, and none that matters so seldom."""
_FIRST_MS, _LAST_MS = 946_684_800_000, 4_102_444_800_000  # 2000 and 2100
_UNITS = (("seconds", 1_000), ("microseconds", 0.001))


def implausible(record: ConfigurationRecord) -> list[RecordFault]:
    """Return the numbers of a record that cannot be meant; none of one that is taken out."""
    if record.removed:
        return []
    match record:
        case DeviceConfigured(silent_after_ms=int() as limit):
            return _outside("silent_after_ms", limit, SILENT_LEAST_MS, SILENT_MOST_MS, "10000 (10 s) to 31 days")
        case VisitorRegistered():
            return _visit(record)
        case ConsentRecorded(until_ms=int() as until_ms):
            return _time("until_ms", until_ms)
        case _:
            return []


def _visit(record: VisitorRegistered) -> list[RecordFault]:
    begins = _time("from_ms", record.from_ms) if record.from_ms else []
    wrong = begins + _time("to_ms", record.to_ms)
    if not wrong and record.to_ms <= record.from_ms:
        wrong.append(RecordFault("to_ms", f"to_ms = {record.to_ms}: expected a time after from_ms = {record.from_ms}"))
    return wrong


def _time(key: str, value: int) -> list[RecordFault]:
    return _outside(key, value, _FIRST_MS, _LAST_MS, "a time since 1970, of a day from 2000 to 2100")


def _outside(key: str, value: int, least: int, most: int, allowed: str) -> list[RecordFault]:
    if least <= value <= most:
        return []
    meant = next(((unit, round(value * factor)) for unit, factor in _UNITS if least <= value * factor <= most), None)
    guess = f"; {meant[0]}? Then write {meant[1]}" if meant else ""
    return [RecordFault(key, f"{key} = {value}: expected {allowed}, in milliseconds{guess}")]
