"""A still or clip that a disk changed anywhere is refused with its file and the way out, and never shown."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from contracts.errors import ConfigurationError
from evidence.files import EvidenceFiles
from evidence.sealed_file import CHUNK_BYTES, SealBroken
from tests.support.damage import spoilt

CLIP = bytes(range(256)) * 700  # 179,200 bytes: three chunks
SHA = hashlib.sha256(CLIP).hexdigest()
BOX = "s1~b1"
WAY_OUT = r"/evidence/present/{0}/{1} is damaged or of another key: .*; restore it, or delete it, or put back the key"
BROKEN = WAY_OUT.format(SHA[:2], SHA)


def _sent(files: EvidenceFiles, start: int = 0, stop: int = len(CLIP)) -> None:
    with files.upload(BOX, SHA, start) as part:
        part.append(CLIP[start:stop])


def _files(folder: Path) -> EvidenceFiles:
    files = EvidenceFiles(folder / "evidence")
    _sent(files)
    files.finish(BOX, SHA)
    return files


def _given(files: EvidenceFiles, start: int, stop: int) -> tuple[bytes, str]:
    """What is given of a range before it ends or is refused, and the sentence it is refused with."""
    given = bytearray()
    try:
        for piece in files.read(SHA, start, stop):
            given += piece
    except SealBroken as error:
        return bytes(given), str(error)
    return bytes(given), ""


def test_a_file_that_was_damaged_anywhere_is_named_with_the_way_out_and_never_shown(tmp_path: Path) -> None:
    files = _files(tmp_path)
    path = tmp_path / "evidence" / "present" / SHA[:2] / SHA
    whole = path.read_bytes()
    for what, content in spoilt(whole, 90):
        path.write_bytes(content)
        given, sentence = _given(files, 0, len(CLIP))
        assert CLIP.startswith(given), what
        if content == whole:
            assert (given, sentence) == (CLIP, "")
            continue
        assert given != CLIP, what
        for refused in (lambda: b"".join(files.read(SHA)), files.check):
            with pytest.raises(SealBroken, match=BROKEN):
                refused()


@pytest.mark.parametrize("start", [0, CHUNK_BYTES + 5, len(CLIP) - 1])
def test_a_range_of_a_damaged_file_is_right_or_refused(tmp_path: Path, start: int) -> None:
    files = _files(tmp_path)
    path = tmp_path / "evidence" / "present" / SHA[:2] / SHA
    refused = 0
    for what, content in spoilt(path.read_bytes(), 60):
        path.write_bytes(content)
        given, sentence = _given(files, start, start + 900)
        assert given == CLIP[start : start + 900] or (sentence and CLIP[start:].startswith(given)), what
        refused += bool(sentence)
    assert refused > 60, "hardly anything was noticed"


def test_an_upload_that_was_damaged_anywhere_goes_on_from_what_is_right(tmp_path: Path) -> None:
    files = EvidenceFiles(tmp_path / "evidence")
    for start in range(0, 90_000, 30_000):
        _sent(files, start, start + 30_000)
    path = tmp_path / "evidence" / "parts" / BOX / f"{SHA}.part"
    for what, content in spoilt(path.read_bytes(), 20):
        path.write_bytes(content)
        held = files.offset(BOX, SHA)
        assert held in {0, 30_000, 60_000, 90_000}, what
        _sent(files, held)
        assert files.finish(BOX, SHA) == len(CLIP), what
        assert b"".join(files.read(SHA)) == CLIP, what


def test_the_daily_look_says_the_first_file_and_how_many_more(tmp_path: Path) -> None:
    files = _files(tmp_path)
    other = hashlib.sha256(b"other").hexdigest()
    with files.upload(BOX, other, 0) as part:
        part.append(b"other")
    files.finish(BOX, other)
    (tmp_path / "evidence" / "present" / other[:2] / "half.new").write_bytes(b"being written")
    files.check()
    for sha256 in (SHA, other):
        path = tmp_path / "evidence" / "present" / sha256[:2] / sha256
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SealBroken, match=WAY_OUT.format(min(SHA, other)[:2], min(SHA, other)) + r".* \(1 more are\)$"):
        files.check()
    files.remove(SHA)
    files.remove(other)
    files.check()


def test_a_cut_key_says_which_file_and_what_to_do(tmp_path: Path) -> None:
    _files(tmp_path)
    key = tmp_path / "evidence" / "evidence.key"
    key.write_bytes(key.read_bytes()[:-1])
    with pytest.raises(ConfigurationError, match=r"evidence\.key has 31 bytes, expected 32; restore it"):
        EvidenceFiles(tmp_path / "evidence")
