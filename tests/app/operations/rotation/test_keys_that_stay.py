"""Keys that cannot be exchanged: what the page on security says to do instead gives another key, and loses no other."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from evidence.files import EvidenceFiles
from evidence.sealed_file import SealBroken, load_key, seal
from ingest.shard.dead_letters import DeadLetters
from streams.archive.archive import Archive
from tests.ingest.builders import NOW_MS

PLAIN = b"a picture"
NAME = hashlib.sha256(PLAIN).hexdigest()


def test_a_site_that_was_erased_from_the_archive_gets_another_key(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    before, others = archive.keys.make("s1"), archive.keys.make("s2")
    assert archive.keys.make("s1") == before  # never by itself
    archive.erase_site("s1")
    assert archive.keys.sites() == ["s2"]
    assert archive.keys.make("s1") != before
    assert archive.keys.of("s2") == others
    archive.close()


def test_a_folder_of_evidence_that_was_moved_away_is_followed_by_another_key(tmp_path: Path) -> None:
    folder, moved = tmp_path / "evidence", tmp_path / "moved"
    _hold_a_picture(folder)
    assert b"".join(EvidenceFiles(folder).read(NAME)) == PLAIN
    folder.rename(moved)
    new = EvidenceFiles(folder)
    assert not new.has(NAME)
    assert b"".join(EvidenceFiles(moved).read(NAME)) == PLAIN
    with pytest.raises(SealBroken):
        list(EvidenceFiles(moved, folder / "evidence.key").read(NAME))


def _hold_a_picture(folder: Path) -> None:
    EvidenceFiles(folder)
    path = folder / "present" / NAME[:2] / NAME
    path.parent.mkdir()
    seal(path, load_key(folder / "evidence.key"), NAME, len(PLAIN), [PLAIN])


def test_dead_letters_begin_anew_when_their_key_goes_with_them(tmp_path: Path) -> None:
    DeadLetters(tmp_path).close()
    before = (tmp_path / "key").read_bytes()
    for path in tmp_path.iterdir():
        path.unlink()
    letters = DeadLetters(tmp_path)
    assert letters.flush(NOW_MS) == 0
    assert (tmp_path / "key").read_bytes() != before
    letters.close()
