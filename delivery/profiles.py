"""What a receiver may be told: its profile, and the policy that mutes a delivery with a named reason. Pure."""

from __future__ import annotations

import enum

import msgspec

from contracts.durations import HOUR_MS
from contracts.events import Origin
from contracts.findings import Severity
from incidents.store.records import DeliveryKind, Incident


class MuteReason(enum.StrEnum):
    """Why a receiver is not told. Closed: carried into the row, the log and metrics."""

    ORIGIN = "origin"
    UNVERIFIED = "unverified"
    SEVERITY = "severity"
    SCENARIO = "scenario"
    SITE = "site"
    STALE = "stale"
    NEVER_TOLD = "never_told"  # a correction of something it never heard


class ReceiverProfile(msgspec.Struct, frozen=True, kw_only=True):
    """The profile of one receiver: what it wants and may have.

    ``origins``: anything but ``live`` never leaves unless it is listed here. ``unverified``: an absence that is not
    proven stays inside unless this is set. ``stale_after_ms``: older news is muted (None: never). Empty ``scenarios``
    or ``sites`` means all. ``give_up_ms``: how long an accepted-by-nobody delivery is retried.
    """

    name: str
    origins: tuple[Origin, ...] = (Origin.LIVE,)
    unverified: bool = False
    min_severity: Severity = Severity.MINOR
    scenarios: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()
    stale_after_ms: int | None = None
    give_up_ms: int = 72 * HOUR_MS


FOLLOW_UPS = frozenset({DeliveryKind.CORRECTED, DeliveryKind.CLOSED})
"""Kinds that only make sense to a receiver that was told before."""


def mute_reason(
    profile: ReceiverProfile, incident: Incident, kind: DeliveryKind, *, told: bool, now_ms: int
) -> MuteReason | None:
    """Return why ``profile`` is not told; None when it is. ``told``: an earlier delivery of the incident reached it."""
    if Origin(incident.origin) not in profile.origins:
        return MuteReason.ORIGIN
    if kind in FOLLOW_UPS:
        # Whoever was told must hear that it does not hold, whatever the incident looks like by now.
        return None if told else MuteReason.NEVER_TOLD
    stale_ms = profile.stale_after_ms
    checks = (
        (MuteReason.SITE, bool(profile.sites) and incident.site_id not in profile.sites),
        (MuteReason.SCENARIO, bool(profile.scenarios) and incident.scenario not in profile.scenarios),
        (MuteReason.SEVERITY, incident.severity.rank < profile.min_severity.rank),
        (MuteReason.UNVERIFIED, not incident.verified and not profile.unverified),
        (MuteReason.STALE, stale_ms is not None and now_ms - incident.last_ms > stale_ms),
    )
    return next((reason for reason, applies in checks if applies), None)
