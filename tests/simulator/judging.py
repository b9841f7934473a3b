"""Holds a run of the rules against a simulation's truth: what was found, missed, and found wrongly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from contracts.events import AnyEvent
from contracts.findings import Finding, Phase
from detectors.core.rule import Rule
from ingest.pipeline.event_file import EventFile
from simulator.truth import Truth
from streams.engine.in_memory_run import run_file

ONSET_SLACK_MS = 1_500
"""Clock corrections and network delay move a decision by so much against true time."""


class Verdict(msgspec.Struct, frozen=True):
    """Truths found and missed, and OPENs that no expected truth explains."""

    found: list[Truth]
    missed: list[Truth]
    wrong: list[Finding]

    def table(self) -> str:
        """One line per rule and detail: found of expected; then the wrong ones per rule."""
        found = Counter((t.rule, t.detail) for t in self.found)
        expected = found + Counter((t.rule, t.detail) for t in self.missed)
        lines = [f"{rule:24} {detail:16} {found[rule, detail]}/{n}" for (rule, detail), n in sorted(expected.items())]
        wrong = Counter(finding.rule for finding in self.wrong)
        return "\n".join([*lines, *(f"{rule:24} {'wrong':16} {n}" for rule, n in sorted(wrong.items()))])


def opened(events: Iterable[AnyEvent], rules: Sequence[Rule[Any]]) -> list[Finding]:
    """The OPENs of ``events``, taken as ``replay`` takes them: pending devices left out, clocks put right."""
    lines = (msgspec.json.encode(event) for event in events)
    outputs = run_file(EventFile().events(lines), rules)
    return [out for out in outputs if isinstance(out, Finding) and out.phase is Phase.OPEN]


def judge(truths: Sequence[Truth], opens: Sequence[Finding]) -> Verdict:
    """Each expected truth takes one OPEN of its rule, site and subject that was decided in its time."""
    free = list(opens)
    found: list[Truth] = []
    missed: list[Truth] = []
    for truth in truths:
        if not truth.expected:
            continue
        match = next((finding for finding in free if _explains(truth, finding)), None)
        if match is None:
            missed.append(truth)
        else:
            free.remove(match)
            found.append(truth)
    return Verdict(found, missed, free)


def _explains(truth: Truth, finding: Finding) -> bool:
    same = (truth.site_id, truth.rule, truth.subject) == (finding.site_id, finding.rule, finding.subject.ref)
    return same and truth.from_ms - ONSET_SLACK_MS <= finding.decided_ms <= truth.to_ms + ONSET_SLACK_MS
