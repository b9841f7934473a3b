"""What is right: the clean run, and how findings are compared with it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import msgspec

from contracts.batch import Batch
from contracts.contradictions import contradiction_of
from contracts.events import AnyEvent, Event
from contracts.findings import ENGINE_FINDINGS, Finding, content_of, finding_id
from detectors.registry import all_rules
from streams.engine.engine import Engine
from tests.fuzz.carriage import QUIET_MS
from tests.fuzz.history import moved

_MARK = re.compile(r"~[0-9a-f]{8}$")
Found = dict[str, Finding]
"""Findings by id, as far as they are content."""


def clean(sites: Mapping[str, Sequence[Event]]) -> Found:
    """Return the findings of one engine that is given each site's events in order of time, all at once."""
    found: Found = {}
    for events in sites.values():
        in_order = cast("tuple[AnyEvent, ...]", tuple(sorted(events, key=lambda event: event.at_ms)))
        end = Batch(partition=0, watermark_ms=max(event.received_ms for event in events) + QUIET_MS)
        found |= undisturbed([[Batch(partition=0, watermark_ms=0, events=in_order), end]])
    return found


def undisturbed(logs: Sequence[Sequence[Batch]]) -> Found:
    """Return the findings of engines that read these logs, one a partition, without an interruption."""
    found: list[Finding] = []
    for partition, records in enumerate(logs):
        engine = Engine(all_rules(), partition=partition, partitions=len(logs), log_id="clean")
        for position, record in enumerate(records):
            found += [output for output in engine.feed(record, position) if isinstance(output, Finding)]
    return first_of_each(found)[0]


def first_of_each(findings: Iterable[Finding]) -> tuple[Found, list[str]]:
    """Return the findings that stand, and what contradicts them."""
    first: dict[str, Finding] = {}
    contradictions: list[str] = []
    for finding in findings:
        known = first.setdefault(finding.finding_id, finding)
        contradiction = contradiction_of(known, finding)
        contradictions += [contradiction.detail] if contradiction else []
    return {name: content_of(finding) for name, finding in first.items()}, contradictions


def at_its_time(found: Found, by_ms: int) -> Found:
    """Return findings of a history that was moved by ``by_ms`` as if it had not been: times, and ids made of them."""
    return _named_anew(moved(finding, -by_ms) for finding in found.values())


def without_marks(found: Found) -> Found:
    """Return findings as if an event that was told apart had no mark: it is made of the device's own time, so that a
    history which was moved has others.
    """
    return _named_anew(_unmarked(finding) for finding in found.values())


def differences(found: Found, expected: Found) -> list[str]:
    """Return what is missing, what is too much, what says something else, and what failed; nothing when all is well."""
    said = [f"missing: {_text(expected[name])}" for name in expected.keys() - found.keys()]
    said += [f"too much: {_text(found[name])}" for name in found.keys() - expected.keys()]
    changed = [name for name in found.keys() & expected.keys() if found[name] != expected[name]]
    said += [f"another content: {_text(found[name])}, expected {_text(expected[name])}" for name in changed]
    said += [f"failed: {_text(finding)}" for finding in found.values() if finding.rule in ENGINE_FINDINGS]
    return sorted(said)


def _named_anew(findings: Iterable[Finding]) -> Found:
    """Return findings by the ids that follow from what they say."""
    return {
        _own_id(f, f.nth): msgspec.structs.replace(f, finding_id=_own_id(f, f.nth), open_id=_own_id(f, 0))
        for f in findings
    }


def _unmarked(value: Any) -> Any:
    """Return the same without marks in its texts, however deep."""
    if isinstance(value, msgspec.Struct):
        names = type(value).__struct_fields__
        return msgspec.structs.replace(value, **{name: _unmarked(getattr(value, name)) for name in names})
    if isinstance(value, tuple):
        return tuple(map(_unmarked, value))
    return _MARK.sub("~", value) if type(value) is str else value


def _own_id(finding: Finding, nth: int) -> str:
    onset = (finding.site_id, finding.rule, finding.key, finding.onset_ms, finding.onset_event_id)
    return finding_id(*onset, nth)


def _text(finding: Finding) -> str:
    facts = ", ".join(f"{fact.code}={fact.value}" for fact in finding.facts)
    return (
        f"{finding.site_id} {finding.rule} {finding.key} {finding.phase} {finding.nth} onset {finding.onset_ms} "
        f"{finding.onset_event_id} decided {finding.decided_ms} ({facts})"
    )
