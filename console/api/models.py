"""What the API says and takes: explicit pydantic models, the only place that uses pydantic.

Codes stand beside their words in the reader's language; times are epoch ms beside ISO 8601 in site time with offset.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from console.api.bounds import Code, LongText, Version
from contracts.incidents import AlertAction, FalseAlarmReason


class Model(BaseModel):
    """Base of every body."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FirstStep(Model):
    """Who was first."""

    actor: str
    action: str
    action_text: str
    at_ms: int
    at: str


class Credentials(Model):
    """A name and a password."""

    name: Code
    password: Annotated[str, Field(max_length=256)]


class GrantOut(Model):
    """A role at a site, ``*`` for every site."""

    site_id: str
    role: str
    role_text: str


class SessionOut(Model):
    """Who is logged in, until when, and what they may see."""

    name: str
    grants: list[GrantOut]
    expires_ms: int
    may_view_evidence: bool
    may_view_health: bool


class SiteOut(Model):
    """A site the reader may see."""

    site_id: str
    name: str
    time_zone: str


class RuleOut(Model):
    """A rule, which is what the scenario of an incident names."""

    name: str
    title: str
    severity: str
    life_safety: bool


class IncidentRow(Model):
    """An incident as a row of the feed. ``precedence``: lower stands above in ``order=urgent``."""

    incident_id: str
    number: str
    site_id: str
    site_name: str
    scenario: str
    scenario_text: str
    severity: str
    severity_text: str
    life_safety: bool
    verified: bool
    confidence: float
    state: str
    state_text: str
    version: int
    ongoing: bool
    sentence: str
    place_id: str
    place: str
    building: str | None
    device_id: str | None
    device: str | None
    onset_ms: int
    onset: str
    last_ms: int
    last: str
    opened_ms: int
    opened: str
    recurs_of: str | None
    origin: str
    origin_text: str
    fold_group: str | None
    precedence: Literal[0, 1, 2]
    actions: list[AlertAction]


class IncidentList(Model):
    """A page of incidents in the order asked for. A stream after ``seq`` misses nothing."""

    incidents: list[IncidentRow]
    cursor: str | None
    seq: int


class FactOut(Model):
    """One reason: its code and numbers, and the phrase in the reader's language."""

    code: str
    text: str
    value: float | str | bool | None
    unit: str
    limit: float | None
    event_ids: list[str]


class FindingOut(Model):
    """One conclusion of a rule."""

    finding_id: str
    phase: str
    phase_text: str
    decided_ms: int
    decided: str
    severity: str
    severity_text: str
    verified: bool
    confidence: float
    late_by_ms: int
    device_id: str | None
    device: str | None
    model: str | None
    rule_version: int
    config_version: int
    facts: list[FactOut]


class EvidenceOut(Model):
    """A still or clip and whether it is here."""

    sha256: str
    evidence_id: str
    kind: Literal["still", "clip"]
    kind_text: str
    mime: str
    size_bytes: int
    from_ms: int
    to_ms: int
    state: str
    state_text: str


class HistoryOut(Model):
    """One step of an incident's history."""

    version: int
    action: str
    action_text: str
    from_state: str
    to_state: str
    to_state_text: str
    actor: str
    by_system: bool
    reason: str | None
    reason_text: str | None
    comment: str
    at_ms: int
    at: str


class IncidentDetail(Model):
    """Everything about one incident. ``earlier``: the one that it recurs."""

    incident: IncidentRow
    earlier: IncidentRow | None
    findings: list[FindingOut]
    evidence: list[EvidenceOut]
    history: list[HistoryOut]


class ActionIn(Model):
    """An action, and the version that was looked at. ``reason`` is given with ``mark_false`` and only then."""

    action: AlertAction
    version: Version
    reason: FalseAlarmReason | None = None
    comment: LongText = ""


class ChangeOut(Model):
    """The data of an ``incident`` event of the stream."""

    seq: int
    kind: str
    incident: IncidentRow


class NoticeOut(Model):
    """What ingest noticed of a device: messages or fields that could not be used, a place or a sign that is wrong."""

    code: str
    text: str
    detail: str
    count: int
    last_ms: int


class DeviceOut(Model):
    """A device and when it was last heard."""

    device_id: str
    name: str
    site_id: str
    site_name: str
    device_class: str
    device_class_text: str
    place_id: str
    place: str
    box_id: str | None
    last_heard_ms: int | None
    last_heard: str | None
    state: str
    state_text: str
    notices: list[NoticeOut]


class DeviceList(Model):
    """The devices of the sites the reader may see."""

    devices: list[DeviceOut]


class AlarmOut(Model):
    """An operator alarm: something is wrong with Linli itself."""

    code: str
    text: str
    subject: str
    detail: str
    first_ms: int
    last_ms: int
    times: int


class HealthOut(Model):
    """Whether Linli works. Alarms and figures only for readers who may see them. ``nothing_judged_since_ms`` is for
    everybody who is logged in: since when messages are not judged, so that nothing would be noticed.
    """

    status: Literal["ok", "degraded"]
    now_ms: int
    seq: int
    nothing_judged_since_ms: int | None
    alarms: list[AlarmOut] | None
    figures: dict[str, float] | None


class CatalogueOut(Model):
    """The words of the page in one language."""

    language: str
    texts: dict[str, str]


class ErrorOut(Model):
    """An error, as a code and in the reader's language. ``first`` and ``incident`` come with a conflict."""

    code: str
    message: str
    first: FirstStep | None = None
    incident: IncidentRow | None = None
