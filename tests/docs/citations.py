"""What code and pages cite: documents and their sections, decisions (ADR), requirements. Finds what is not there.

A citation is a page (``docs/edge.md``), a section of it (``docs/protocol.md#watermark``), a decision (``ADR 10``), a
requirement (``P8``), or, in a page, a link. A section sign stands only behind a public standard, whose sections are not
ours to check.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parents[2]
SUFFIXES = frozenset({".py", ".md", ".toml", ".sh", ".yml", ".yaml", ".conf", ".txt", ".html", ".js", ".service", ""})
SKIPPED = frozenset({"__pycache__", "node_modules", "build", "dist", "data", "demo-data", "kafka-data"})
PLANTED = {
    "pyproject.toml": re.compile(r"^app/docs/"),  # where the wheel has them
    "tests/docs/test_citations.py": re.compile(""),
    "tests/detectors/test_completeness.py": re.compile(r"gate_left_open"),
}
"""Tests whose strings are meant to cite what is not there, and which ones of them."""

_FENCE = re.compile(r"^(```|~~~).*?^\1[ \t]*$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
_NAMED_ANCHOR = re.compile(r"<a (?:id|name)=\"([^\"]+)\"")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PAGE = re.compile(r"(?<![\w/.-])((?:[\w-]+/|\.\./)*[\w.-]*\w\.md)(?:#([\w-]+))?(?!\w)")
_UNDER_DOCS = re.compile(r"(?<![\w/.-])(docs/[\w./-]*[\w/])(?![\w{<*])")
_ADR = re.compile(r"\bADRs?[- ]?0*(\d+)\b|\bdocs/adr/0*(\d+)(?![\w-])")
_REQUIREMENT = re.compile(r"(?<![\w.])P(\d{1,2})(?![\w%])")
_PERCENTILES = frozenset({"50", "90", "95", "99"})
SIGN = chr(0xA7)
_SECTION_SIGN = re.compile(rf"[^\n]{{0,40}}{SIGN}")
_STANDARD = re.compile(r"(RFC \d+|(?:GA|GB|CJ|DB\d+)(?:/T)? [\d.-]+|ISO [\d.-]+),? ?.$")


class Dangling(msgspec.Struct, frozen=True):
    """A citation of what is not there."""

    file: str
    line: int
    cited: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.cited}"


class Library(msgspec.Struct, frozen=True):
    """What may be cited. ``anchors``: of each page below the root, by its path."""

    root: Path
    anchors: dict[str, frozenset[str]]
    decisions: frozenset[str]

    def page(self, name: str, citing: Path) -> str | None:
        """The path of the page that ``citing`` means by ``name``; None when there is none."""
        docs = self.root / "docs"
        for folder in (self.root, citing.parent, docs, docs / "adr", docs / "contracts"):
            path = (folder / name).resolve()
            if path.is_file() and path.is_relative_to(self.root):
                return path.relative_to(self.root).as_posix()
        return None


def library(root: Path = ROOT) -> Library:
    """The pages and decisions below ``root``."""
    pages = [path for path in texts(root) if path.suffix == ".md"]
    return Library(
        root,
        {page.relative_to(root).as_posix(): anchors_of(page.read_text(encoding="utf-8")) for page in pages},
        frozenset(str(int(page.name[:4])) for page in decisions(root)),
    )


def decisions(root: Path = ROOT) -> list[Path]:
    """The pages of decisions, in order of their numbers."""
    return sorted((root / "docs" / "adr").glob("[0-9][0-9][0-9][0-9]-*.md"))


def texts(root: Path = ROOT) -> Iterator[Path]:
    """Every file below ``root`` in which a person may cite something."""
    for path in sorted(root.iterdir()):
        if path.name.startswith(".") or path.name in SKIPPED or path.name.endswith(".egg-info"):
            continue
        if path.is_dir():
            yield from texts(path)
        elif path.suffix in SUFFIXES:
            yield path


def anchors_of(page: str) -> frozenset[str]:
    """The anchors of a page: its headings as GitHub names them, and those that it names itself.

    >>> sorted(anchors_of("# The `Batch`, in short" + chr(10) + "## P8"))
    ['p8', 'the-batch-in-short']
    """
    bare = _FENCE.sub("", page)
    headings = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in _HEADING.findall(bare))
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return frozenset(slugs | set(_NAMED_ANCHOR.findall(bare)))


def dangling(path: Path, text: str, known: Library) -> list[Dangling]:
    """What ``text``, the content of ``path``, cites and ``known`` has not, in order of lines."""
    name = path.relative_to(known.root).as_posix()
    finders = (_pages, _paths, _decisions, _requirements, _section_signs)
    found = [each for finder in finders for each in finder(path, text, known)]
    if path.suffix == ".md":
        found += _links(path, _FENCE.sub(_blank, text), known)
    lines = {(text.count("\n", 0, at) + 1, cited) for at, cited in found}
    return [Dangling(name, line, cited) for line, cited in sorted(lines)]


def dangling_in(paths: Iterable[Path], known: Library) -> list[Dangling]:
    """What these files cite and ``known`` has not."""
    found = [
        each for path in paths for each in dangling(path, path.read_text(encoding="utf-8", errors="replace"), known)
    ]
    return [each for each in found if each.file not in PLANTED or not PLANTED[each.file].search(each.cited)]


_Found = Iterator[tuple[int, str]]


def _pages(path: Path, text: str, known: Library) -> _Found:
    """Pages by their names, with or without a section."""
    for match in _PAGE.finditer(text):
        page = known.page(match[1], path)
        if page is None:
            yield match.start(), match[1]
        elif match[2] and match[2] not in known.anchors[page]:
            yield match.start(), f"{match[1]}#{match[2]}"


def _paths(_path: Path, text: str, known: Library) -> _Found:
    """Anything else below ``docs/``."""
    for match in _UNDER_DOCS.finditer(text):
        if not match[1].endswith(".md") and not _ADR.match(match[1]) and not (known.root / match[1]).exists():
            yield match.start(), match[1]


def _decisions(_path: Path, text: str, known: Library) -> _Found:
    for match in _ADR.finditer(text):
        number = match[1] or match[2]
        if number not in known.decisions:
            yield match.start(), f"ADR {number}"


def _requirements(_path: Path, text: str, known: Library) -> _Found:
    anchors = known.anchors["docs/requirements.md"]
    for match in _REQUIREMENT.finditer(text):
        if match[1] not in _PERCENTILES and f"p{match[1]}" not in anchors:
            yield match.start(), f"P{match[1]}"


def _section_signs(_path: Path, text: str, _known: Library) -> _Found:
    for match in _SECTION_SIGN.finditer(text):
        if not _STANDARD.search(match[0]):
            *_, last = match[0].removesuffix(SIGN).split() or [""]
            yield match.end() - 1, f"{last.lstrip('(')} {SIGN}".strip()


def _links(path: Path, text: str, known: Library) -> _Found:
    """Links of a page: what they lead to is there, and so is the section."""
    for match in _LINK.finditer(text):
        target, _, anchor = match[1].partition("#")
        if re.match(r"[a-z]+:", match[1]):
            continue
        there = (path.parent / target).resolve() if target else path
        page = there.relative_to(known.root).as_posix() if there.is_relative_to(known.root) else ""
        if not there.exists() or (anchor and anchor not in known.anchors.get(page, frozenset())):
            yield match.start(), match[1]


def _blank(fenced: re.Match[str]) -> str:
    """As much of nothing, so that what comes after keeps its place."""
    return re.sub(r"[^\n]", " ", fenced[0])
