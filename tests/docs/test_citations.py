"""What code, pages, tests and deployment cite is there: documents, sections, decisions, requirements."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.docs.citations import ROOT, Library, anchors_of, dangling, dangling_in, decisions, library, texts

KNOWN = library()
INDEX = ROOT / "docs" / "adr" / "README.md"


def test_everything_that_is_cited_exists() -> None:
    assert [str(each) for each in dangling_in(texts(), KNOWN)] == []


def test_all_rooms_are_looked_through() -> None:
    rooms = {path.relative_to(ROOT).parts[0] for path in texts()}
    assert rooms >= {"contracts", "streams", "ingest", "edge", "docs", "tests", "deploy", "README.md", "Makefile"}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("See docs/no-such-page.md.", "docs/no-such-page.md"),
        ('"""Keep it (docs/protocol.md#no-such-section)."""', "docs/protocol.md#no-such-section"),
        ("Built as DESIGN.md says.", "DESIGN.md"),
        ("golden files lie in docs/no-such-folder/", "docs/no-such-folder/"),
        ("# one append in flight (LOG §2)", "LOG §"),
        ("a plateau of 45 min, STANDARDS §4.2", "STANDARDS §"),
        ("Numbered as in ADR 15.", "ADR 15"),
        ("why: docs/adr/0011", "ADR 11"),
        ("no waveform (P19)", "P19"),
    ],
)
@pytest.mark.parametrize("name", ["streams/engine/planted.py", "docs/planted.md", "deploy/planted.sh"])
def test_a_dangling_citation_is_named_with_its_line(text: str, named: str, name: str) -> None:
    found = dangling(ROOT / name, f"first line\n{text}\n", KNOWN)
    assert [(each.file, each.line, each.cited) for each in found] == [(name, 2, named)]


@pytest.mark.parametrize(
    "text",
    [
        "docs/protocol.md#watermark, docs/requirements.md#p8 and docs/adr/0014",
        "README.md, `edge.md`, ADR 10, ADR-0010, (P8), docs/contracts/events.schema.json",
        "Fold.P95 and P99 are percentiles; RFC 2617 §3.2 and GA/T 1400.4-2017 §5 are standards",
    ],
)
def test_what_exists_may_be_cited(text: str) -> None:
    assert dangling(ROOT / "streams" / "engine" / "planted.py", text, KNOWN) == []


@pytest.mark.parametrize(
    "link", ["[a](no-such.md)", "[a](../no-such/)", "[a](#no-such)", "[a](edge.md#no-such)", "[a](pictures/no.png)"]
)
def test_a_link_that_leads_nowhere_is_named(link: str) -> None:
    found = dangling(ROOT / "docs" / "planted.md", f"\n```\n[not](a-link)\n```\n{link}", KNOWN)
    assert {each.line for each in found} == {5}
    assert any(each.cited in link for each in found)


def test_links_to_pages_sections_pictures_folders_and_other_sites_are_fine() -> None:
    page = "[a](edge.md) [b](protocol.md#watermark) [c](pictures/feed.png) [d](adr) [e](https://example.org/x#y)"
    assert dangling(ROOT / "docs" / "planted.md", page, KNOWN) == []


def test_headings_in_examples_are_no_sections() -> None:
    assert anchors_of("# Page\n\n```sh\n# a comment\n```\n\n## A `code` heading, with signs: §\n") == {
        "page",
        "a-code-heading-with-signs-",
    }


def test_numbers_of_decisions_are_unique_and_stand_in_their_titles() -> None:
    numbers = [int(path.name[:4]) for path in decisions()]
    assert [number for number, times in Counter(numbers).items() if times > 1] == []
    titles = [path.read_text(encoding="utf-8").splitlines()[0] for path in decisions()]
    assert [title.split(". ")[0] for title in titles] == [f"# {number}" for number in numbers]


def test_every_decision_is_reached_from_the_index() -> None:
    linked = set(re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", INDEX.read_text(encoding="utf-8")))
    assert linked == {path.name for path in decisions()}


def test_requirements_are_p1_to_p18() -> None:
    anchors = KNOWN.anchors["docs/requirements.md"]
    assert {anchor for anchor in anchors if re.fullmatch(r"p\d+", anchor)} == {f"p{n}" for n in range(1, 19)}


def test_the_engines_theory_names_modules_that_exist() -> None:
    theory = (ROOT / "streams" / "engine" / "__init__.py").read_text(encoding="utf-8")
    named = {name for group in re.findall(r"\((``[a-z_]+``(?:, ``[a-z_]+``)*)\)", theory) for name in group.split(", ")}
    modules = {path.stem for path in (ROOT / "streams" / "engine").glob("*.py")}
    assert len(named) > 5
    assert {name.strip("`") for name in named} <= modules


def test_a_library_of_another_tree_is_read_in_the_same_way(tmp_path: Path) -> None:
    (tmp_path / "docs" / "adr").mkdir(parents=True)
    (tmp_path / "docs" / "adr" / "0003-a-choice.md").write_text("# 3. A choice\n", encoding="utf-8")
    (tmp_path / "docs" / "requirements.md").write_text("### P1\n", encoding="utf-8")
    assert library(tmp_path) == Library(
        tmp_path,
        {"docs/adr/0003-a-choice.md": frozenset({"3-a-choice"}), "docs/requirements.md": frozenset({"p1"})},
        frozenset({"3"}),
    )
