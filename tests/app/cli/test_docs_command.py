"""``linli docs``: what it lists, what it prints, and what it says about a page that is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import app.cli.docs
from app.cli.docs import pages_folder, title_of
from app.main import linli
from contracts.errors import ConfigurationError

DOCS = Path(__file__).resolve().parents[3] / "docs"


def _run(*words: str) -> str:
    result = CliRunner().invoke(linli, ["docs", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_it_lists_every_page_with_its_title() -> None:
    lines = dict(line.split(maxsplit=1) for line in _run().splitlines())
    assert lines["runbook"] == "Runbook of a district"
    assert {"operations", "words", "inventory"} <= set(lines)


def test_it_prints_a_page_as_it_is() -> None:
    assert _run("runbook") == (DOCS / "runbook.md").read_text(encoding="utf-8")
    assert _run("inventory") == (DOCS / "examples" / "inventory.toml").read_text(encoding="utf-8")


def test_it_lists_the_index_of_decisions_and_prints_each_of_them() -> None:
    lines = dict(line.split(maxsplit=1) for line in _run().splitlines())
    assert [name for name in lines if "/" in name] == ["adr/README"]
    name = "adr/0003-one-file-per-append"
    assert _run(name) == _run(f"{name}.md") == (DOCS / f"{name}.md").read_text(encoding="utf-8")


def test_a_link_stays_a_link_where_it_leads_to_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decision = "adr/0003-one-file-per-append"
    (tmp_path / "adr").mkdir()
    (tmp_path / "edge.md").write_text(f"[Why]({decision}.md) and [of what](contracts/a.json)", encoding="utf-8")
    (tmp_path / f"{decision}.md").write_text(
        "[Box](../edge.md#what-it-costs), [proof](../protocol.md#watermark)", encoding="utf-8"
    )
    monkeypatch.setattr(app.cli.docs, "pages_folder", lambda: tmp_path)
    assert _run("edge") == f"[Why]({decision}.md) and of what"
    assert _run(decision) == "[Box](../edge.md#what-it-costs), proof"


@pytest.mark.parametrize(("asked", "hint"), [("runbok", "did you mean 'runbook'"), ("zzz", "there are .*operations")])
def test_a_page_that_is_none_is_refused_with_a_hint(asked: str, hint: str) -> None:
    with pytest.raises(ConfigurationError, match=hint):
        CliRunner().invoke(linli, ["docs", asked], catch_exceptions=False)


def test_the_pages_of_an_installed_wheel_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.cli.docs, "files", lambda _: tmp_path / "app")
    (tmp_path / "app").mkdir()
    (tmp_path / "docs").mkdir()
    assert Path(str(pages_folder())).resolve() == tmp_path / "docs"
    (tmp_path / "app" / "docs").mkdir()
    assert pages_folder() == tmp_path / "app" / "docs"


def test_a_title_is_the_first_line_that_says_something() -> None:
    assert title_of("\n#\n# An example: one\n") == "An example: one"
    assert title_of("") == ""
