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


class HostClock(msgspec.Struct, frozen=True, kw_only=True):
    """The clock of the machine of one shard of ingest.

    ``doubt`` says why it must be wrong; empty when nothing speaks against it. ``step_ms`` is by how much the log's time
    last followed it, at ``stepped_ms`` (0: never).
    """

    doubt: str = ""
    step_ms: int = 0
    stepped_ms: int = 0
