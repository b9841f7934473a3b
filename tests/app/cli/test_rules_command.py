"""``linli rules``: a person finds a rule, its ranges, and the name that they nearly typed."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from app.main import linli
from contracts.errors import ConfigurationError
from detectors.registry import rule_facts


def _said(*arguments: str) -> str:
    result = CliRunner().invoke(linli, ["rules", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_the_list_has_every_rule_with_its_severity_and_title() -> None:
    lines = [line.split("\t") for line in _said("list").splitlines()]
    assert [line[0] for line in lines] == sorted(rule_facts())
    assert ["smoke_or_heat", "critical", "life safety", "Smoke or heat"] in lines
    assert "stranger_entry\t重要\t-\t陌生人进入" in _said("list", "--lang", "zh-CN")


@pytest.mark.parametrize("name", sorted(rule_facts()))
def test_a_rule_is_shown_with_each_threshold_and_its_range(name: str) -> None:
    shown, facts = _said("show", name), rule_facts()[name]
    for threshold in facts.thresholds:
        assert f"  {threshold.name}: " in shown
        assert f"allowed {threshold.allowed}" in shown
    for code in facts.fact_codes:
        assert f"`{code}`: " in shown
    assert "Late data" in shown


def test_what_another_rule_decides_for_it_is_shown_too() -> None:
    assert "also follows smoke_or_heat.temperature_c" in _said("show", "indoor_ebike_charging")


@pytest.mark.parametrize(
    ("name", "said"),
    [("smoke_heat", "did you mean 'smoke_or_heat'"), ("xyz", "expected one of camera_impaired, .*, stranger_entry")],
)
def test_a_name_that_is_no_rule_is_told_which_are(name: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        CliRunner().invoke(linli, ["rules", "show", name], catch_exceptions=False)
