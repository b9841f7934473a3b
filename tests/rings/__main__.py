"""``python -m tests.rings [FOLDER]``: check the rooms in FOLDER (default: here) against rings.toml."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.rings.rules import find_violations, load_rules
from tests.rings.source import read_sources


def main(arguments: list[str]) -> int:
    """Write what is wrong to stderr; return 1 if anything is."""
    root = _parser().parse_args(arguments).folder
    rules = load_rules(root / "pyproject.toml")
    sources = read_sources(root, rules.folders)
    found = find_violations(sources, rules)
    for line in found:
        sys.stderr.write(f"{line}\n")
    sys.stderr.write(f"rings: {len(sources)} modules, {len(found)} violations\n")
    return 1 if found else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.rings", description="Check the rooms against rings.toml.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), help="where the rooms are (default: here)")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
