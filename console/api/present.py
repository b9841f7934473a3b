"""Incidents, findings and devices as the API shows them: words from a catalogue, times in site time."""

from __future__ import annotations

import datetime
from typing import Literal, cast

from console.api import models
from console.catalogue import MessageCatalogue
from contracts.events import DeviceConfigured
from contracts.findings import Fact, Finding
from contracts.incidents import ALERT_TABLE, AlertAction
from contracts.places import Place
from evidence.store import EvidenceRow
from identity.roles import ACTION_RIGHTS, Principal
from incidents.alerts.actions import HUMAN_ACTIONS
from incidents.alerts.feed import precedence_of
from incidents.store.history import SYSTEM, HistoryEntry
from incidents.store.records import Incident
from inventory.directory import SiteDirectory, place_path, zone_of
from inventory.last_seen import LastSeen
from inventory.notices import DeviceNotice


class Presenter:
    """Shows things to one person in one language."""

    def __init__(self, directory: SiteDirectory, words: MessageCatalogue, person: Principal) -> None:
        self.words = words
        self.person = person
        self._directory = directory

    def row(self, incident: Incident) -> models.IncidentRow:
        """Return an incident as a row of the feed."""
        site_id, word = incident.site_id, self.words.word
        place = self.place(site_id, incident.place_id)
        device = self._device_name(site_id, incident.source_id)
        return models.IncidentRow(
            incident_id=incident.incident_id,
            number=incident.number,
            site_id=site_id,
            site_name=self._directory.site_name(site_id),
            scenario=incident.scenario,
            scenario_text=word("scenario", incident.scenario),
            severity=incident.severity.value,
            severity_text=word("severity", incident.severity),
            life_safety=incident.life_safety,
            verified=incident.verified,
            confidence=round(incident.confidence, 3),
            state=incident.state.value,
            state_text=word("state", incident.state),
            version=incident.version,
            ongoing=incident.ongoing,
            sentence=self.words.text(f"sentence.{incident.scenario}", place=place, device=device or place),
            place_id=incident.place_id,
            place=place,
            building=incident.building,
            device_id=incident.source_id,
            device=device,
            onset_ms=incident.onset_ms,
            onset=self.time(site_id, incident.onset_ms),
            last_ms=incident.last_ms,
            last=self.time(site_id, incident.last_ms),
            opened_ms=incident.opened_ms,
            opened=self.time(site_id, incident.opened_ms),
            recurs_of=incident.recurs_of,
            origin=incident.origin,
            origin_text=word("origin", incident.origin),
            fold_group=incident.fold_group,
            precedence=cast(Literal[0, 1, 2], precedence_of(incident)),
            actions=self._actions(incident),
        )

    def finding(self, finding: Finding) -> models.FindingOut:
        """Return a finding with its reasons as phrases."""
        return models.FindingOut(
            finding_id=finding.finding_id,
            phase=finding.phase.value,
            phase_text=self.words.word("phase", finding.phase),
            decided_ms=finding.decided_ms,
            decided=self.time(finding.site_id, finding.decided_ms),
            severity=finding.severity.value,
            severity_text=self.words.word("severity", finding.severity),
            verified=finding.verified,
            confidence=round(finding.confidence, 3),
            late_by_ms=finding.late_by_ms,
            device_id=finding.source_id,
            device=self._device_name(finding.site_id, finding.source_id),
            model=finding.model,
            rule_version=finding.rule_version,
            config_version=finding.config_version,
            facts=[self._fact(fact) for fact in finding.facts],
        )

    def evidence(self, row: EvidenceRow) -> models.EvidenceOut:
        """Return a still or clip."""
        return models.EvidenceOut(
            sha256=row.sha256,
            evidence_id=row.evidence_id,
            kind=cast(Literal["still", "clip"], row.kind),
            kind_text=self.words.word("evidence_kind", row.kind),
            mime=row.mime,
            size_bytes=row.size_bytes,
            from_ms=row.from_ms,
            to_ms=row.to_ms,
            state=row.state.value,
            state_text=self.words.word("evidence", row.state),
        )

    def history(self, site_id: str, step: HistoryEntry) -> models.HistoryOut:
        """Return one step of an incident's history."""
        return models.HistoryOut(
            version=step.version,
            action=step.action,
            action_text=self.words.word("done", step.action),
            from_state=step.from_state,
            to_state=step.to_state,
            to_state_text=self.words.word("state", step.to_state),
            actor=self._actor(step.actor),
            by_system=step.actor == SYSTEM,
            reason=step.reason,
            reason_text=self.words.word("reason", step.reason) if step.reason else None,
            comment=step.comment,
            at_ms=step.at_ms,
            at=self.time(site_id, step.at_ms),
        )

    def first(self, site_id: str, step: HistoryEntry) -> models.FirstStep:
        """Return who was first, for a conflict."""
        return models.FirstStep(
            actor=self._actor(step.actor),
            action=step.action,
            action_text=self.words.word("done", step.action),
            at_ms=step.at_ms,
            at=self.time(site_id, step.at_ms),
        )

    def device(self, device: DeviceConfigured, heard: LastSeen, now_ms: int) -> models.DeviceOut:
        """Return a device, when it was last heard, and what is wrong with its words."""
        noticed = self._directory.notices(device.site_id, device.device_id)
        state, last = device_state(device, heard, now_ms), heard.last_heard_ms
        if noticed and state == "online":
            state = "unhealthy"
        return models.DeviceOut(
            device_id=device.device_id,
            name=device.name or device.device_id,
            site_id=device.site_id,
            site_name=self._directory.site_name(device.site_id),
            device_class=device.device_class.value,
            device_class_text=self.words.word("device_class", device.device_class),
            place_id=device.place_id,
            place=self.place(device.site_id, device.place_id),
            box_id=device.box_id,
            last_heard_ms=last,
            last_heard=None if last is None else self.time(device.site_id, last),
            state=state,
            state_text=self.words.word("device_state", state),
            notices=[self._notice(one) for one in noticed],
        )

    def _notice(self, notice: DeviceNotice) -> models.NoticeOut:
        return models.NoticeOut(
            code=notice.code.value,
            text=self.words.word("notice", notice.code),
            detail=notice.detail,
            count=notice.count,
            last_ms=notice.last_ms,
        )

    def time(self, site_id: str, at_ms: int) -> str:
        """Return ISO 8601 in site time with its offset, to the millisecond."""
        moment = datetime.datetime.fromtimestamp(at_ms / 1000, tz=zone_of(self._directory, site_id))
        return moment.isoformat(timespec="milliseconds")

    def place(self, site_id: str, place_id: str) -> str:
        """Return the place's names, outermost first; its id where there are none."""
        path = place_path(self._directory, site_id, place_id)
        if not path:
            known = self._directory.place(site_id, place_id)
            return known.name if known and known.name else place_id
        return " ".join(_place_name(place) for place in path)

    def _actions(self, incident: Incident) -> list[AlertAction]:
        possible = (action for action in HUMAN_ACTIONS if (incident.state, action) in ALERT_TABLE)
        return [action for action in possible if self.person.may(ACTION_RIGHTS[action], incident.site_id)]

    def _fact(self, fact: Fact) -> models.FactOut:
        return models.FactOut(
            code=fact.code,
            text=self.words.fact(fact),
            value=fact.value,
            unit=fact.unit,
            limit=fact.limit,
            event_ids=list(fact.event_ids),
        )

    def _device_name(self, site_id: str, device_id: str | None) -> str | None:
        if device_id is None:
            return None
        device = self._directory.device(site_id, device_id)
        return device.name if device and device.name else device_id

    def _actor(self, actor: str) -> str:
        return self.words.text("ui.system") if actor == SYSTEM else actor


def device_state(device: DeviceConfigured, heard: LastSeen, now_ms: int) -> str:
    """Return online, unhealthy, silent, offline or never_heard; silence only for devices that are judged for it."""
    if heard.online is False:
        return "offline"
    if heard.last_heard_ms is None:
        return "never_heard"
    if device.silent_after_ms is not None and now_ms - heard.last_heard_ms > device.silent_after_ms:
        return "silent"
    return "unhealthy" if heard.healthy is False else "online"


def _place_name(place: Place) -> str:
    return place.name or place.room or place.place_id
