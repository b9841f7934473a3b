"""Every word that can be shown is in both catalogues, with the same keys and the same values to fill in."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable

import pytest

from app.wiring.rule_facts import finding_facts
from console.catalogue import LANGUAGES, MessageCatalogue, catalogue, choose_language
from console.page_files import page_files
from contracts.errors import RejectReason
from contracts.events import Origin
from contracts.findings import Fact, Phase, Severity, SubjectKind
from contracts.incidents import AlertAction, AlertState, FalseAlarmReason
from contracts.names import DeviceClass
from detectors.core.facts import FACT_UNITS, FACT_VALUES
from detectors.registry import thresholds
from identity.roles import Role
from incidents.store.operator_alarms import AlarmCode
from incidents.store.records import EvidenceState
from inventory.notices import NoticeCode

WORDS = [catalogue(language) for language in LANGUAGES]


def _placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_catalogues_have_the_same_keys_and_placeholders() -> None:
    chinese, english = WORDS
    assert set(chinese.texts) == set(english.texts)
    differing = [key for key in chinese.texts if _placeholders(chinese.texts[key]) != _placeholders(english.texts[key])]
    assert [key for key in differing if not key.startswith("sentence.")] == []
    assert all(text.strip() for words in WORDS for text in words.texts.values())


@pytest.mark.parametrize("words", WORDS, ids=LANGUAGES)
def test_every_code_has_its_word(words: MessageCatalogue) -> None:
    groups: dict[str, Iterable[str]] = {
        "scenario": finding_facts(),
        "sentence": finding_facts(),
        "severity": Severity,
        "state": AlertState,
        "action": AlertAction,
        "done": [*AlertAction, "raise"],
        "reason": FalseAlarmReason,
        "phase": Phase,
        "origin": Origin,
        "evidence": EvidenceState,
        "evidence_kind": ["still", "clip"],
        "subject": SubjectKind,
        "device_class": DeviceClass,
        "notice": [code.value for code in NoticeCode],
        "device_state": ["online", "silent", "offline", "unhealthy", "never_heard"],
        "role": Role,
        "alarm": AlarmCode,
        "fact": FACT_UNITS,
        "threshold": thresholds(),
    }
    missing = [f"{group}.{code}" for group, codes in groups.items() for code in codes]
    missing += [f"unit.{unit}" for unit in set(FACT_UNITS.values()) if unit]
    missing += [f"word.{code}.{value}" for code, values in FACT_VALUES.items() for value in values]
    assert [key for key in missing if key not in words.texts] == []


@pytest.mark.parametrize("words", WORDS, ids=LANGUAGES)
def test_every_fact_becomes_a_phrase_with_its_value_and_limit(words: MessageCatalogue) -> None:
    for code, unit in FACT_UNITS.items():
        phrase = words.fact(Fact(code=code, value=12.5, unit=unit, limit=7.25))
        assert "12.5" in phrase and "7.25" in phrase
        assert "{" not in phrase
        for value in (True, None, *FACT_VALUES.get(code, ())):
            assert "{" not in words.fact(Fact(code=code, value=value))


@pytest.mark.parametrize("words", WORDS, ids=LANGUAGES)
def test_every_sentence_can_be_filled(words: MessageCatalogue) -> None:
    for rule in finding_facts():
        assert "{" not in words.text(f"sentence.{rule}", place="P", device="D")


def test_every_error_code_of_the_api_has_its_text() -> None:
    from pathlib import Path

    import console.api.context
    import console.api.errors
    import console.api.routes_devices
    import console.api.routes_evidence
    import console.api.routes_incidents
    import console.api.routes_session

    modules = (
        console.api.errors,
        console.api.context,
        console.api.routes_evidence,
        console.api.routes_incidents,
        console.api.routes_session,
    )
    codes = {code for m in modules for code in re.findall(r'ApiError\(\d+, "(\w+)"', Path(str(m.__file__)).read_text())}
    codes |= {reason.value for reason in (RejectReason.BAD_ID, RejectReason.OUT_OF_RANGE, RejectReason.TOO_LARGE)}
    codes |= {RejectReason.OVER_LIMIT.value, RejectReason.WRONG_TYPE.value, "not_allowed", "bad_request", "unavailable"}
    assert len(codes) > 15
    for words in WORDS:
        assert [code for code in codes if f"error.{code}" not in words.texts] == []


def test_every_word_the_page_asks_for_is_there() -> None:
    asked: set[str] = set()
    for name, (body, _) in page_files().items():
        if name.endswith((".js", ".html")):
            text = body.decode()
            asked |= set(re.findall(r"""\bt\(\s*["'](\w+)["']""", text))
            asked |= set(re.findall(r'data-t(?:-placeholder|-label|-title)?="(\w+)"', text))
    assert len(asked) > 20
    for words in WORDS:
        assert sorted(key for key in asked if f"ui.{key}" not in words.texts) == []


def test_every_word_for_the_page_is_asked_for() -> None:
    text = "".join(body.decode() for name, (body, _) in page_files().items() if name.endswith(".js"))
    unused = [key for key in WORDS[0].texts if key.startswith("ui.") and not re.search(rf"\b{key[3:]}\b", text)]
    assert unused == ["ui.system"]  # said by the API


@pytest.mark.parametrize(
    ("asked", "accept", "chosen"),
    [
        ("en", "zh", "en"),
        (None, "en", "en"),
        (None, "zh-TW;q=0.4, en;q=0.9", "en"),
        (None, "zh, en", "zh-CN"),
        (None, "de", "zh-CN"),
        (None, None, "zh-CN"),
        ("../etc", "en;q=abc", "en"),
        (None, ",;q=,", "zh-CN"),
    ],
)
def test_the_language_is_chosen_by_query_then_header(asked: str | None, accept: str | None, chosen: str) -> None:
    assert choose_language(asked, accept) == chosen
