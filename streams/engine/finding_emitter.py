"""Where a site's rules hand in what they concluded: drafts become findings with ids, times, versions and numbers."""

from __future__ import annotations

import enum
from collections.abc import Sequence

import msgspec

from contracts.events import Event, Origin
from contracts.findings import (
    BATCH_UNREADABLE,
    RULE_FAILED,
    Fact,
    Finding,
    Output,
    Phase,
    Rejudge,
    Severity,
    Subject,
    SubjectKind,
    finding_id,
)
from contracts.rules import RuleFacts
from detectors.core.rule import Draft
from detectors.core.site_view import SiteView
from streams.engine.rulebook import BoundRule

MAX_KEY = 80

ENGINE_FACTS: dict[str, RuleFacts] = {
    RULE_FAILED: RuleFacts(
        severity=Severity.INFO, momentary=True, fact_codes=("failed_rule", "failed_key", "failure", "error_type")
    ),
    BATCH_UNREADABLE: RuleFacts(severity=Severity.INFO, momentary=True, fact_codes=("log_position", "decode_error")),
}
"""What the engine itself finds, beside its rules: by the name that stands in the finding's ``rule``."""


class RuleFailure(enum.StrEnum):
    """How a rule broke its contract (docs/protocol.md#rules-that-fail)."""

    RAISED = "raised"
    TOO_MANY_KEYS = "too_many_keys"
    BAD_KEY = "bad_key"
    STATE_TOO_LARGE = "state_too_large"
    WRONG_STATE = "wrong_state"
    DEADLINE_BEFORE_EVENT = "deadline_before_event"
    DEADLINE_NOT_LATER = "deadline_not_later"
    BAD_FINDING = "bad_finding"


class RuleContractError(Exception):
    """A rule broke its contract."""

    def __init__(self, failure: RuleFailure) -> None:
        super().__init__(failure)
        self.failure = failure


class Cause(msgspec.Struct, frozen=True):
    """The trigger of a decision: an event, or the deadline ``at_ms`` (``event_id`` None)."""

    at_ms: int
    due_ms: int
    origin: Origin
    place_id: str
    event_id: str | None = None
    late_by_ms: int = 0


def cause_of(event: Event, max_out_of_orderness_ms: int, late_by_ms: int) -> Cause:
    """Return the cause of what an event decides."""
    return Cause(
        event.at_ms,
        event.received_ms + max_out_of_orderness_ms,
        event.origin,
        event.place_id,
        event.event_id,
        late_by_ms,
    )


class FindingEmitter:
    """One site's outputs of the record being fed. ``number`` counts within site and record.

    ``offset_ms`` is the log's time less that of the site's rules: findings tell the log's.

    Counting per site keeps numbers the same when, after a restart, the record is skipped for other sites.
    """

    __slots__ = ("number", "offset_ms", "out", "position", "site_id")

    def __init__(self, site_id: str) -> None:
        self.site_id = site_id
        self.position = -1
        self.number = 0
        self.offset_ms = 0
        self.out: list[Output] = []

    def begin(self, position: int, out: list[Output]) -> None:
        """Count everything handed in from now on as output of ``position``: once a record."""
        self.position, self.number, self.out = position, 0, out

    def findings(
        self, bound_rule: BoundRule, key: str, drafts: Sequence[Draft], view: SiteView, cause: Cause
    ) -> list[Finding]:
        """Return the findings of one outcome, not yet handed in.

        Raises:
            RuleContractError: a draft does not make a finding that can be read back, or two have one id.
        """
        made = [self._finding(bound_rule, key, draft, view, cause, n) for n, draft in enumerate(drafts)]
        if len({finding.finding_id for finding in made}) < len(made):
            raise RuleContractError(RuleFailure.BAD_FINDING)
        return made

    def emit(self, findings: Sequence[Finding]) -> None:
        """Make ``findings`` output of the record."""
        self.out.extend(findings)
        self.number += len(findings)

    def request(self, rules: tuple[str, ...], from_ms: int, to_ms: int) -> None:
        """Ask for a window to be judged again."""
        self.out.append(
            Rejudge(
                site_id=self.site_id,
                rules=rules,
                from_ms=max(from_ms + self.offset_ms, 0),
                to_ms=max(to_ms + self.offset_ms, 0),
                position=self.position,
                number=self.number,
            )
        )
        self.number += 1

    def failed(self, bound_rule: BoundRule, key: str, error: Exception, cause: Cause) -> None:
        """Hand in ``rule_failed``. Its due time rests on the cause's own time, so a duplicate says the same."""
        failure = error.failure if isinstance(error, RuleContractError) else RuleFailure.RAISED
        key = str(key).encode("utf-8", "replace").decode()  # what a broken rule calls a key may be anything
        facts = [Fact(code="failed_rule", value=bound_rule.name), Fact(code="failed_key", value=key[:MAX_KEY])]
        event_ids = () if cause.event_id is None else (cause.event_id,)
        facts.append(Fact(code="failure", value=failure.value, event_ids=event_ids))
        if failure is RuleFailure.RAISED:
            facts.append(Fact(code="error_type", value=type(error).__name__[:MAX_KEY]))
        whole = f"{bound_rule.name}/{key}"  # what is shown is cut; two keys that begin alike are two failures
        identity = finding_id(self.site_id, RULE_FAILED, whole, cause.at_ms, cause.event_id, 0)
        finding = Finding(
            finding_id=identity,
            open_id=identity,
            nth=0,
            site_id=self.site_id,
            rule=RULE_FAILED,
            key=whole[:MAX_KEY],
            phase=Phase.OPEN,
            subject=Subject(SubjectKind.PLACE, self.site_id),
            place_id=cause.place_id,
            onset_ms=cause.at_ms + self.offset_ms,
            onset_event_id=cause.event_id,
            decided_ms=cause.at_ms + self.offset_ms,
            due_ms=cause.at_ms + bound_rule.max_out_of_orderness_ms + self.offset_ms,
            severity=ENGINE_FACTS[RULE_FAILED].severity,
            facts=tuple(facts),
            origin=cause.origin,
            rule_version=bound_rule.version,
            position=self.position,
            number=self.number,
        )
        self.emit((finding,))

    def _finding(
        self, bound_rule: BoundRule, key: str, draft: Draft, view: SiteView, cause: Cause, ahead: int
    ) -> Finding:
        episode = draft.episode
        onset = (self.site_id, bound_rule.name, key, episode.onset_ms, episode.event_id)
        facts = bound_rule.facts
        finding = Finding(
            finding_id=finding_id(*onset, episode.nth),
            open_id=finding_id(*onset, 0),
            nth=episode.nth,
            site_id=self.site_id,
            rule=bound_rule.name,
            key=key,
            phase=draft.phase,
            subject=draft.subject,
            place_id=draft.place_id,
            onset_ms=episode.onset_ms + self.offset_ms,
            onset_event_id=episode.event_id,
            decided_ms=cause.at_ms + self.offset_ms,
            due_ms=cause.due_ms + self.offset_ms,
            severity=facts.severity if draft.severity is None else draft.severity,
            life_safety=facts.life_safety if draft.life_safety is None else draft.life_safety,
            verified=draft.verified,
            confidence=draft.confidence,
            source_id=draft.source_id,
            model=draft.model,
            facts=draft.facts,
            evidence=draft.evidence,
            late_by_ms=cause.late_by_ms,
            origin=cause.origin,
            config_version=view.config_version,
            rule_version=bound_rule.version,
            position=self.position,
            number=self.number + ahead,
        )
        return _readable(finding)


def _readable(finding: Finding) -> Finding:
    """Return the finding as its readers will see it; findings are rare, so the check costs nothing that matters."""
    try:
        return _DECODER.decode(_ENCODER.encode(finding))
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError):
        raise RuleContractError(RuleFailure.BAD_FINDING) from None


def unreadable(partition: int, position: int, detail: str) -> Finding:
    """Return the finding for a record that is no batch: it belongs to no site, so its partition stands in for one."""
    name = f"partition-{partition}"
    identity = finding_id(name, BATCH_UNREADABLE, str(position), 0, None, 0)
    return Finding(
        finding_id=identity,
        open_id=identity,
        nth=0,
        site_id=name,
        rule=BATCH_UNREADABLE,
        key=str(position),
        phase=Phase.OPEN,
        subject=Subject(SubjectKind.PLACE, name),
        place_id=name,
        onset_ms=0,
        onset_event_id=None,
        decided_ms=0,
        due_ms=0,
        severity=ENGINE_FACTS[BATCH_UNREADABLE].severity,
        facts=(Fact(code="log_position", value=position), Fact(code="decode_error", value=detail[:200])),
        position=position,
    )


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Finding)
