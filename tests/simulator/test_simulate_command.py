"""`linli simulate` writes both files, says what they hold, and refuses what makes no sense."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from app.cli.simulate import command
from contracts.errors import ConfigurationError
from contracts.events import AnyEvent, Origin
from simulator.truth import Truth


def test_it_writes_events_and_truth_and_says_how_many_on_stderr(tmp_path: Path) -> None:
    out, truth = tmp_path / "e.jsonl", tmp_path / "t.jsonl"
    arguments = ["--seed", "5", "--sites", "1", "--out", str(out), "--truth", str(truth)]
    result = CliRunner().invoke(command, [*arguments, "--start", "2026-05-01T00:00+08:00", "--origin", "drill"])
    events = [msgspec.json.decode(line, type=AnyEvent) for line in out.read_bytes().splitlines()]
    truths = [msgspec.json.decode(line, type=Truth) for line in truth.read_bytes().splitlines()]

    assert result.exit_code == 0
    assert result.stdout == ""
    assert f"{len(events)} events, {sum(t.expected for t in truths)} findings expected" in result.stderr
    assert events[0].at_ms == 1_777_564_800_000
    assert {e.origin for e in events} == {Origin.DRILL}


def test_a_dash_writes_events_to_stdout() -> None:
    result = CliRunner().invoke(command, ["--seed", "5", "--sites", "1", "--out", "-", "--start", "1777564800000"])

    assert msgspec.json.decode(result.stdout_bytes.splitlines()[0])["kind"] == "site_configured"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed", "1"], "nothing to do"),
        (["--seed", "1", "--out", "-", "--start", "tomorrow"], "expected ISO time"),
        (["--seed", "1", "--out", "-", "--start", "2026-05-01T00:00"], "has no offset"),
    ],
)
def test_what_makes_no_sense_is_a_configuration_error(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        CliRunner().invoke(command, arguments, catch_exceptions=False)
