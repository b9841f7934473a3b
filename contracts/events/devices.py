"""What devices, boxes and ingest say of themselves."""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec

from contracts.events.envelope import Event, Lane, Ms, Seq, ShortText
from contracts.names import Id


class DeviceStateChanged(Event, frozen=True, kw_only=True, tag="device_state_changed"):
    """A device (or its last will) says whether it is connected."""

    online: bool
    reason: ShortText | None = None


class CameraImpairment(enum.StrEnum):
    """What keeps a camera from being relied on, the gravest first: of several, the first is said."""

    NO_FRAMES = "no_frames"
    NOT_JUDGED = "not_judged"
    BLACK = "black"
    COVERED = "covered"
    FROZEN = "frozen"
    MOVED = "moved"
    BLURRED = "blurred"
    LAGGING = "lagging"
    WRONG_TIME = "wrong_time"


class DeviceReported(Event, frozen=True, kw_only=True, tag="device_reported"):
    """A device says that it lives, and how it is. ``gauges`` are its own numbers: frames_per_s, disk_free_pct, …

    ``impaired_by``: what keeps a camera from seeing, as its box says.
    """

    healthy: bool = True
    gauges: dict[ShortText, float] = msgspec.field(default_factory=dict)
    impaired_by: CameraImpairment | None = None


class BacklogDrained(Event, frozen=True, kw_only=True, tag="backlog_drained"):
    """A box's backlog lane is empty: what it had stored has all been sent."""

    spool_id: Id


class RowsDropped(Event, frozen=True, kw_only=True, tag="rows_dropped"):
    """A box's spool was over quota and dropped a range of rows; never silent."""

    spool_id: Id
    lane: Lane
    from_seq: Seq
    to_seq: Seq
    from_ms: Ms
    to_ms: Ms


class IngestInterrupted(Event, frozen=True, kw_only=True, tag="ingest_interrupted"):
    """The shard was not listening from ``from_ms`` to ``to_ms``: what QoS 0 devices said then is not known."""

    from_ms: Ms
    to_ms: Ms


class ClockStepped(Event, frozen=True, kw_only=True, tag="clock_stepped"):
    """The writer's wall clock jumped by ``step_ms`` (> 2 s) against its monotonic clock.

    ``shift_ms`` says by how much the log's time follows from here on: what its site has before this event lies on the
    old time, everything after it on the new. 0: the log's time goes on as before.
    """

    step_ms: Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
    shift_ms: Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)] = 0
