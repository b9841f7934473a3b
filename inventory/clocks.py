"""What ingest knows of devices' clocks and keeps beyond its own life. Pure."""

from __future__ import annotations

import msgspec


class ClockRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One speaker's clock. ``measured_ms`` 0: never measured.

    ``fault`` says why its times cannot be used, with the unit that was probably meant; empty when they can. Since when:
    ``fault_ms``. It holds codes and numbers, no text of a device.
    """

    site_id: str
    speaker: str
    skew_ms: int = 0
    measured_ms: int = 0
    fault: str = ""
    fault_ms: int = 0
