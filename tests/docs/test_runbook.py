"""What the runbook tells people to type exists, and what it says they will see is what Linli says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.main import linli
from app.settings.settings import keys
from incidents.store.operator_alarms import AlarmCode

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
ROOMS = ("app", "streams", "ingest", "incidents")
SOURCE = "\n".join(
    path.read_text(encoding="utf-8") for room in ROOMS for path in (ROOT / room).rglob("*.py")
).replace('"\n                f"', "").replace('"\n                "', "")  # fmt: skip
SECTIONS = "|".join(sorted({key.split(".")[0] for key in keys()}))


def commands() -> list[str]:
    """Every line of its blocks, and every ``linli …`` in its sentences."""
    blocks = [line for block in re.findall(r"```\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()]
    inline = re.findall(r"`(linli [a-z][^`]*)`", TEXT)
    return sorted({line for line in (*blocks, *inline) if line.startswith("linli ")})


@pytest.mark.parametrize("line", commands())
def test_every_command_can_be_typed(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINLI_LOG_URL", "kafka://127.0.0.1:1")
    config = tmp_path / "linli.toml"
    config.touch()
    words = line.replace("/etc/linli/linli.toml", str(config)).split()[1:]
    result = CliRunner().invoke(linli, [*words, "--help"])
    assert result.exit_code == 0, result.output


def test_every_setting_alarm_and_metric_it_names_exists() -> None:
    settings = set(re.findall(rf"`((?:{SECTIONS})\.[a-z_]+)`", TEXT))
    assert len(settings) > 8
    assert settings <= set(keys())
    alarms = set(re.findall(r"[Aa]larm `([a-z_]+)`", TEXT))
    assert len(alarms) > 5
    assert alarms <= set(AlarmCode)
    metrics = {name.removesuffix("_total") for name in re.findall(r"`(linli_[a-z_]+)`", TEXT)}
    assert len(metrics) > 8
    assert {name for name in metrics if name not in SOURCE and name.removeprefix("linli_") not in SOURCE} == set()


def said() -> list[str]:
    """The log lines it quotes, without what is cut out of them."""
    seen = "\n".join(re.findall(r"\*\*Seen\.\*\*(.*?)\*\*(?:Means|Do)\.", TEXT, re.DOTALL))
    quoted = {
        part.strip(" :") for quote in re.findall(r"`([^`]+)`", seen) for part in quote.replace("\n", " ").split("…")
    }
    return sorted(part for part in quoted if part and not part.startswith(("linli ", "linli_")))


@pytest.mark.parametrize("words", said())
def test_every_line_it_says_people_see_is_one_that_linli_says(words: str) -> None:
    assert words in SOURCE


def test_its_links_lead_to_pages_that_exist() -> None:
    assert all((ROOT / "docs" / link).exists() for link in re.findall(r"\]\(([a-z-]+\.md)\)", TEXT))
