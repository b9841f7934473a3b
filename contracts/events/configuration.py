"""Configuration records: appended to the log by the partition's writer, one per row of a table."""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec

from contracts.events.envelope import DurationMs, Event, Ms, PersonRef, Seq, ShortText
from contracts.names import DeviceClass, Id
from contracts.places import Place

StoreName = Annotated[str, msgspec.Meta(max_length=16)]


class ConfigurationRecord(Event, frozen=True, kw_only=True, tag_field="kind"):
    """A versioned row of the site's configuration. ``version`` grows per site; the engine applies each once.

    ``source_id`` is ``config``, ``at_ms`` the time the writer appended it, so it is never late. ``removed`` deletes.
    ``store`` names the inventory that allotted the version, and ``transaction`` what wrote it: a store that was lost or
    put back from a backup allots the same versions again. Empty: of a time before they had names.
    """

    version: Seq
    store: StoreName = ""
    transaction: StoreName = ""
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
    speak for it. ``consented``: a resident agreed to this meter being read (docs/requirements.md#p13).
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

    ``digest`` is made of the reference with the installation's key (:class:`contracts.erasure.ReferenceKey`): this
    record outlives what it erases, so it must not name it. The engine forgets registrations and states that name the
    reference; the archive writes it no more.
    """

    reference: ReferenceKind
    digest: Annotated[str, msgspec.Meta(min_length=32, max_length=32)]
    before_ms: Ms
