"""The pages that the wheel carries are those of ``docs/`` for people who run Linli, and ``linli docs`` prints them."""

from __future__ import annotations

import tomllib
from pathlib import Path

from app.cli.docs import EXAMPLE, pages

ROOT = Path(__file__).resolve().parents[2]
NOT_SHIPPED = {"architecture", "benchmarks", "chaos", "protocol"}
"""For people who change Linli, and have the repository."""


def _shipped() -> dict[str, str]:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included: dict[str, str] = build["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    return included


def test_every_page_for_people_who_run_linli_is_in_the_wheel() -> None:
    wanted = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md") if page.stem not in NOT_SHIPPED}
    assert set(_shipped()) == wanted | {"docs/adr", "docs/examples/inventory.toml"}
    assert all(target == f"app/{source}" for source, target in _shipped().items())


def test_the_command_knows_every_page_of_the_wheel() -> None:
    shipped = {Path(source).stem for source in _shipped()} - {"adr"}
    shipped |= {f"adr/{decision.stem}" for decision in (ROOT / "docs/adr").glob("*.md")}
    assert shipped <= set(pages())
    assert EXAMPLE in shipped
