"""What the engine says of failures is in the table of fact codes, so that the catalogues have words for it."""

from __future__ import annotations

import re
from pathlib import Path

import streams.engine.finding_emitter
from detectors.core.facts import FACT_UNITS, FACT_VALUES
from streams.engine.finding_emitter import RuleFailure


def test_every_failure_has_its_word() -> None:
    assert set(FACT_VALUES["failure"]) == set(RuleFailure)


def test_every_code_the_engine_states_is_in_the_table() -> None:
    source = Path(streams.engine.finding_emitter.__file__).read_text(encoding="utf-8")
    codes = re.findall(r'Fact\(code="(\w+)"', source)
    assert codes
    assert set(codes) <= set(FACT_UNITS)
