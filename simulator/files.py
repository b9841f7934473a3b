"""The two files of a simulation: events, one JSON line each in order of acceptance, and the truth."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import msgspec

from contracts.events import AnyEvent
from simulator.truth import Truth, encode_truth

_ENCODER = msgspec.json.Encoder()
_CHUNK = 2_000


def write_events(events: Iterable[AnyEvent], out: BinaryIO) -> int:
    """Write one JSON line an event; returns how many."""
    count, lines = 0, bytearray()
    for event in events:
        lines += _ENCODER.encode(event) + b"\n"
        count += 1
        if count % _CHUNK == 0:
            out.write(lines)
            lines.clear()
    out.write(lines)
    return count


def write_truths(truths: Iterable[Truth], path: Path) -> None:
    """Write one JSON line a truth."""
    path.write_bytes(b"".join(encode_truth(truth) for truth in truths))
