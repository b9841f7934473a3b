"""The ground truth of a simulated file: what a perfect set of rules finds in it, and what must not be found."""

from __future__ import annotations

import msgspec


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """One scripted situation.

    ``expected``: exactly one episode of ``rule`` about ``subject`` is right, decided between ``from_ms`` and ``to_ms``
    (epoch ms, true time); otherwise the situation only looks like one and nothing may be found. ``subject`` is the
    smallest place, or the device for device rules; ``detail`` says which kind of situation, as a code.
    """

    site_id: str
    rule: str
    subject: str
    place_id: str
    from_ms: int
    to_ms: int
    expected: bool
    detail: str


_ENCODER = msgspec.json.Encoder()


def encode_truth(truth: Truth) -> bytes:
    """Return one JSON line, newline included."""
    return _ENCODER.encode(truth) + b"\n"
