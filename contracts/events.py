"""Events: what a device, a box or ingest itself says happened. Past tense, immutable, one struct per kind.

On the wire (``linli/v1/…``, UTF-8 JSON, one event a message) an event is exactly this struct with its ``kind`` tag;
``received_ms`` and ``device_at_ms`` are set by ingest and ignored when a device sends them. Readers ignore unknown
fields, so names, id numbers and pictures that a device adds never get past the decoder.
"""

from __future__ import annotations

import enum
from typing import Annotated, Literal

import msgspec

from contracts.names import DeviceClass, Id
from contracts.places import Place

EVENT_VERSION = 1

Ms = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799_000)]
"""Epoch milliseconds UTC, up to the year 9999."""
DurationMs = Annotated[int, msgspec.Meta(ge=0, le=31_622_400_000)]
Seq = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Score = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
ShortText = Annotated[str, msgspec.Meta(max_length=80)]
Sha256 = Annotated[str, msgspec.Meta(min_length=64, max_length=64, extra_json_schema={"pattern": "^[0-9a-f]{64}$"})]
PersonRef = Annotated[str, msgspec.Meta(max_length=64)]
"""A keyed pseudonym per site, never a name or number."""


class Origin(enum.StrEnum):
    """Carried from event to delivery: anything but ``live`` never reaches grid or police."""

    LIVE = "live"
    DRILL = "drill"
    SIMULATED = "simulated"


class Lane(enum.StrEnum):
    """Which queue of a box's spool a row was sent from; each is sent in order."""

    LIVE = "live"
    BACKLOG = "backlog"


class SpoolMark(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The identity of a row of a box's spool. ``spool_id`` is random when the spool is created.

    ``first`` is the lane's oldest row that the box still holds, as it sends this one. By it ingest sees that rows
    before this one got lost on the way, and waits for them instead of acknowledging past them; it never reaches the
    log. A box sends nothing past a hole in its lane (rows dropped by quota) before everything before the hole is
    acknowledged.
    """

    box_id: Id
    spool_id: Id
    lane: Lane
    seq: Seq
    first: Seq | None = None


class EvidenceRef(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A still or clip cut at observation. Its bytes are fetched by SHA-256."""

    evidence_id: ShortText
    kind: Literal["still", "clip"]
    sha256: Sha256
    bytes: Annotated[int, msgspec.Meta(ge=0, le=268_435_456)]
    mime: ShortText
    from_ms: Ms
    to_ms: Ms


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True, gc=False):
    """What every event has.

    ``event_id`` is stable across redelivery. ``at_ms`` is when it happened; ``device_at_ms`` the device's claim, kept
    only where ingest shifted it; ``received_ms`` when its partition's writer accepted it. ``source_id`` is the device
    (for a box's cameras: the camera). ``seq`` is the device's own gapless counter, where it has one.
    """

    v: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = EVENT_VERSION
    event_id: ShortText
    site_id: Id
    source_id: Id
    place_id: Id
    at_ms: Ms
    received_ms: Ms = 0
    device_at_ms: Ms | None = None
    seq: Seq | None = None
    spool: SpoolMark | None = None
    stored: bool = False
    future: bool = False  # the device's time lay > 2 s ahead, so at_ms is received_ms
    origin: Origin = Origin.LIVE
    model: ShortText | None = None
    evidence: tuple[EvidenceRef, ...] = ()


# --- what devices say -------------------------------------------------------------------------------------------------


class Credential(enum.StrEnum):
    """What was shown to a gate."""

    FACE = "face"
    CARD = "card"
    QR = "qr"
    PIN = "pin"
    FINGERPRINT = "fingerprint"
    ID_CARD = "id_card"
    REMOTE = "remote"  # opened from a phone or the guard's desk
    BUTTON = "button"  # the exit button inside
    NONE = "none"


class Direction(enum.StrEnum):
    """Seen from the community: ``in`` enters it, the building or the unit."""

    IN = "in"
    OUT = "out"
    UNKNOWN = "unknown"


class AccessAttempted(Event, frozen=True, kw_only=True, tag="access_attempted"):
    """Someone showed a credential to a gate (or a button or remote opened it). ``place_id`` is the door."""

    credential: Credential
    granted: bool
    direction: Direction = Direction.IN
    person_ref: PersonRef | None = None
    registration_id: ShortText | None = None  # the visitor registration that the credential belongs to
    reason: ShortText | None = None  # of a denial: unknown_face, expired, wrong_pin, not_allowed, antipassback, duress
    quality: Score | None = None


class DoorState(enum.StrEnum):
    """What a door contact or the gate's own logic reports."""

    OPEN = "open"
    CLOSED = "closed"
    FORCED = "forced"
    HELD_OPEN = "held_open"


class DoorChanged(Event, frozen=True, kw_only=True, tag="door_changed"):
    """A door's state as its contact reports it. A repeated state is no change. ``place_id`` is the door."""

    state: DoorState


class PassageObserved(Event, frozen=True, kw_only=True, tag="passage_observed"):
    """One person crossed a door's line (a camera's track, or a turnstile's count). No identity."""

    direction: Direction
    track_id: Seq
    score: Score = 1.0


class ObjectLabel(enum.StrEnum):
    """What vision may name. E-bikes and bicycles are different things to every rule."""

    PERSON = "person"
    E_BIKE = "e_bike"
    BICYCLE = "bicycle"
    MOTORCYCLE = "motorcycle"
    WHEELCHAIR = "wheelchair"
    PRAM = "pram"
    TOY_VEHICLE = "toy_vehicle"
    CAR = "car"
    WIRE = "wire"
    ANIMAL = "animal"
    OTHER = "other"


class TrackPhase(enum.StrEnum):
    """Where an object in a zone stands in its life."""

    ENTERED = "entered"
    PRESENT = "present"
    LEFT = "left"


class ObjectObserved(Event, frozen=True, kw_only=True, tag="object_observed"):
    """A tracked object in a zone: once on entering, about every second while there, once on leaving.

    ``place_id`` is the zone's place; ``dwell_ms`` how long the track has been inside so far.
    """

    label: ObjectLabel
    phase: TrackPhase
    track_id: Seq
    score: Score
    dwell_ms: DurationMs = 0


class ObjectFell(Event, frozen=True, kw_only=True, tag="object_fell"):
    """An object fell past a facade. ``place_id`` is the column when known, else the camera's facade.

    ``at_ms`` is the time of its last sighting. ``floor``/``floor_error`` are storeys, None when the camera is not
    calibrated. ``suspected``: it went far down but failed the gravity test.
    """

    track_id: Seq
    started_ms: Ms
    duration_ms: Annotated[int, msgspec.Meta(ge=0, le=60_000)]
    calibrated: bool
    suspected: bool = False
    drop_m: Annotated[float, msgspec.Meta(ge=0, le=1000)] | None = None
    drop_error_m: Annotated[float, msgspec.Meta(ge=0, le=1000)] | None = None
    floor: Annotated[float, msgspec.Meta(ge=-10, le=200)] | None = None
    floor_error: Annotated[float, msgspec.Meta(ge=0, le=200)] | None = None
    column: Id | None = None
    gravity_ms2: Annotated[float, msgspec.Meta(ge=0, le=1000)] | None = None
    fit_error_px: Annotated[float, msgspec.Meta(ge=0, le=10_000)] = 0.0
    size_px: Annotated[float, msgspec.Meta(ge=0, le=10_000)] = 0.0
    score: Score = 1.0


class PowerSampled(Event, frozen=True, kw_only=True, tag="power_sampled"):
    """A meter's or socket's reading: mean active power over its own interval, and what else it measures."""

    power_w: Annotated[float, msgspec.Meta(ge=-1_000_000, le=1_000_000)]
    voltage_v: Annotated[float, msgspec.Meta(ge=0, le=1_000)] | None = None
    current_a: Annotated[float, msgspec.Meta(ge=0, le=10_000)] | None = None
    power_factor: Annotated[float, msgspec.Meta(ge=-1, le=1)] | None = None
    energy_kwh: Annotated[float, msgspec.Meta(ge=0, le=1e9)] | None = None


class EnvironmentSampled(Event, frozen=True, kw_only=True, tag="environment_sampled"):
    """A smoke, heat or gas sensor. ``alarm`` is the sensor's own judgement; the readings are its reasons."""

    alarm: bool = False
    smoke_pct_m: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None  # obscuration, % per metre
    temperature_c: Annotated[float, msgspec.Meta(ge=-80, le=1_500)] | None = None
    co_ppm: Annotated[float, msgspec.Meta(ge=0, le=100_000)] | None = None
    humidity_pct: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None


class TagSeen(Event, frozen=True, kw_only=True, tag="tag_seen"):
    """A reader heard a vehicle's tag. ``place_id`` is the reader's place."""

    tag_id: Id
    direction: Direction = Direction.UNKNOWN
    rssi_dbm: Annotated[float, msgspec.Meta(ge=-200, le=50)] | None = None


class DeviceStateChanged(Event, frozen=True, kw_only=True, tag="device_state_changed"):
    """A device (or its last will) says whether it is connected."""

    online: bool
    reason: ShortText | None = None


class DeviceReported(Event, frozen=True, kw_only=True, tag="device_reported"):
    """A device says that it lives, and how it is. ``gauges`` are its own numbers: frames_per_s, disk_free_pct, …"""

    healthy: bool = True
    gauges: dict[ShortText, float] = {}


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


# --- what ingest says of itself ---------------------------------------------------------------------------------------


class IngestInterrupted(Event, frozen=True, kw_only=True, tag="ingest_interrupted"):
    """The shard was not listening from ``from_ms`` to ``to_ms``: what QoS 0 devices said then is not known."""

    from_ms: Ms
    to_ms: Ms


class ClockStepped(Event, frozen=True, kw_only=True, tag="clock_stepped"):
    """The writer's wall clock jumped by ``step_ms`` (> 2 s) against its monotonic clock."""

    step_ms: Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]


# --- configuration: appended to the log by the partition's writer, one record per row of a table ----------------------


class ConfigurationRecord(Event, frozen=True, kw_only=True, tag_field="kind"):
    """A versioned row of the site's configuration. ``version`` grows per site; the engine applies each once.

    ``source_id`` is ``config``, ``at_ms`` the time the writer appended it, so it is never late. ``removed`` deletes.
    """

    version: Seq
    removed: bool = False


class SiteConfigured(ConfigurationRecord, frozen=True, kw_only=True, tag="site_configured"):
    """The site itself: its name and IANA time zone."""

    name: ShortText
    time_zone: ShortText = "Asia/Shanghai"


class PlaceConfigured(ConfigurationRecord, frozen=True, kw_only=True, tag="place_configured"):
    """One place of the site."""

    place: Place


class DeviceConfigured(ConfigurationRecord, frozen=True, kw_only=True, tag="device_configured"):
    """One device of the inventory; ``place_id`` is where it stands. A device without this record is *pending*.

    ``silent_after_ms``: not heard for so long is silence (None: never judged). ``box_id``: the edge box that alone may
    speak for it. ``consented``: a resident agreed to this meter being read (P13).
    """

    device_id: Id
    device_class: DeviceClass
    name: ShortText = ""
    box_id: Id | None = None
    silent_after_ms: DurationMs | None = None
    consented: bool = False


class ThresholdConfigured(ConfigurationRecord, frozen=True, kw_only=True, tag="threshold_configured"):
    """A number that replaces a rule's default; durations in ms, metres, watts or ratios as its name's suffix says."""

    rule: Id
    name: ShortText
    value: float


class VisitorRegistered(ConfigurationRecord, frozen=True, kw_only=True, tag="visitor_registered"):
    """A host announced visitors: ``party_size`` people may pass the doors from ``from_ms`` to ``to_ms``."""

    registration_id: ShortText
    host_place_id: Id
    party_size: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    from_ms: Ms = 0
    to_ms: Ms = 0
    door_ids: tuple[Id, ...] = ()  # empty: every door


class VehicleRegistered(ConfigurationRecord, frozen=True, kw_only=True, tag="vehicle_registered"):
    """A non-motor vehicle and its tag, owned by ``owner_refs``, living at ``home_place_id``."""

    vehicle_id: Id
    tag_id: Id | None = None
    home_place_id: Id | None = None
    owner_refs: tuple[PersonRef, ...] = ()


class ConsentRecorded(ConfigurationRecord, frozen=True, kw_only=True, tag="consent_recorded"):
    """A separate, dated, revocable consent of one subject to one purpose."""

    subject_ref: PersonRef
    purpose: Id
    granted: bool
    until_ms: Ms | None = None


class ReferenceKind(enum.StrEnum):
    """What a reference that may be erased names."""

    PERSON = "person"  # person_ref of accesses, owners of vehicles, subjects of consents
    VISITOR = "visitor"  # registration_id
    VEHICLE = "vehicle"
    TAG = "tag"


class ReferenceErased(ConfigurationRecord, frozen=True, kw_only=True, tag="reference_erased"):
    """A reference of this site was erased: what names it in anything received up to ``before_ms`` must go.

    ``digest`` is :func:`contracts.erasure.digest_of` the reference: this record outlives what it erases, so it must not
    name it. The engine forgets registrations and states that name the reference; the archive writes it no more.
    """

    reference: ReferenceKind
    digest: Annotated[str, msgspec.Meta(min_length=32, max_length=32)]
    before_ms: Ms


DeviceEvent = (
    AccessAttempted
    | DoorChanged
    | PassageObserved
    | ObjectObserved
    | ObjectFell
    | PowerSampled
    | EnvironmentSampled
    | TagSeen
    | DeviceStateChanged
    | DeviceReported
    | BacklogDrained
    | RowsDropped
)
"""What a device or box may send; everything else is written by ingest alone."""

IngestEvent = IngestInterrupted | ClockStepped

Configuration = (
    SiteConfigured
    | PlaceConfigured
    | DeviceConfigured
    | ThresholdConfigured
    | VisitorRegistered
    | VehicleRegistered
    | ConsentRecorded
    | ReferenceErased
)

AnyEvent = DeviceEvent | IngestEvent | Configuration
"""Every kind that may stand in the log."""

EVENT_TYPES: dict[str, type[Event]] = {str(kind.__struct_config__.tag): kind for kind in AnyEvent.__args__}
"""kind → struct."""

CONFIG_SOURCE = "config"
"""``source_id`` of configuration records."""

INGEST_SOURCE = "ingest"
"""``source_id`` of what ingest says of itself."""

LIFE_SAFETY_KINDS: tuple[type[Event], ...] = (EnvironmentSampled, ObjectFell)
"""Kinds whose batch is flushed at once (EnvironmentSampled only with ``alarm``)."""


def is_life_safety(event: Event) -> bool:
    """Whether the writer must flush its batch at once for this event."""
    return isinstance(event, ObjectFell) or (isinstance(event, EnvironmentSampled) and event.alarm)
