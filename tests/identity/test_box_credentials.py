"""Boxes of two sites may have one id; each has a token of its own."""

from __future__ import annotations

from pathlib import Path

from edge.token import make_token, register
from identity.box_credentials import BoxTokens


def test_the_same_id_at_another_site_disables_nobody(tmp_path: Path) -> None:
    for site in ("s1", "s2", "s1"):
        out = tmp_path / f"token-{site}-{len(list(tmp_path.glob('token*')))}"
        register(make_token("b1", site, out), tmp_path)
    first, second, third = (
        path.read_text().strip() for path in sorted(tmp_path.glob("token*"), key=lambda p: p.name[-1])
    )
    boxes = BoxTokens(tmp_path / "boxes.jsonl")
    known = [box and (box.site_id, box.box_id) for box in map(boxes.box_of, (first, second, third))]
    assert known == [None, ("s2", "b1"), ("s1", "b1")]


def test_lines_that_were_written_before_still_count(tmp_path: Path) -> None:
    digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    path = tmp_path / "boxes.jsonl"
    path.write_text(f'{{"box_id":"b1","site_id":"s1","token_sha256":"{digest}"}}\n')
    box = BoxTokens(path).box_of("test")
    assert box is not None
    assert (box.site_id, box.box_id) == ("s1", "b1")
