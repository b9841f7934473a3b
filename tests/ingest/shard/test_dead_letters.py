"""Dead letters keep why, not who: scrubbed, encrypted, bounded in number and time."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from contracts.errors import ConfigurationError, Permanent, RejectReason
from ingest.pipeline.scrub import MAX_EXCERPT, scrub, scrub_topic
from ingest.shard import dead_letters
from ingest.shard.dead_letters import KEEP_MS, PER_SOURCE, PER_SOURCE_A_MINUTE, DeadLetter, DeadLetters, dead_letter
from tests.ingest.builders import NOW_MS

SECRET = {
    "kind": "access_attempted",
    "persionName": "张三",
    "idCard": "110101199001011234",
    "phone": 13800138000,
    "pic": "data:image/jpeg;base64," + "A" * 4000,
    "site_id": "110101199001011234",
    "info": [{"name": "Li Si", "similarity": 0.93, "at_ms": NOW_MS}],
    "李四": "x",
}


def _letter(n: int = 0, device: str = "g1", at_ms: int = NOW_MS) -> DeadLetter:
    detail, topic = f"$.state: row {n}", "linli/v1/s1/gate/g1/evt"
    return dead_letter(RejectReason.WRONG_TYPE, detail, ("s1", device), topic, b"{}", at_ms)


def test_scrubbing_keeps_structure_and_loses_people() -> None:
    excerpt = scrub(json.dumps(SECRET).encode())
    for personal in ("张三", "110101", "138001", "AAAA", "Li Si", "李四"):
        assert personal not in excerpt
    kept = json.loads(excerpt)
    assert kept["kind"] == "access_attempted"
    assert kept["<key 11>"] == "<text 2>"
    assert (kept["<key 5>"], kept["site_id"]) == ("<number>", "<text 18>")
    assert kept["<key 4>"] == [{"name": "<text 5>", "<key 10>": "<number>", "at_ms": NOW_MS}]


@pytest.mark.parametrize("payload", [b"", b"\xff\xfe", b"[" * 9000, b"Zhang San", b"x" * 10_000_000, b'"\\ud800"'])
def test_scrubbing_never_fails_and_never_quotes_what_it_cannot_read(payload: bytes) -> None:
    excerpt = scrub(payload)
    assert "Zhang" not in excerpt
    assert len(excerpt) <= MAX_EXCERPT


def test_an_excerpt_is_bounded() -> None:
    assert len(scrub(json.dumps({f"k{n}": {str(m): m for m in range(50)} for n in range(50)}).encode())) <= MAX_EXCERPT


def test_of_a_topic_only_our_words_and_known_ids_are_kept() -> None:
    assert scrub_topic("linli/v1/s1/gate/zhang-san/evt", {"s1"}) == "linli/v1/s1/gate/<level 9>/evt"
    assert scrub_topic("mqtt/face/110101199001011234/Rec") == "<level 4>/face/<level 18>/<level 3>"
    assert len(scrub_topic("a/" * 1000)) <= 200


def test_a_letter_is_read_back_and_is_not_in_the_file(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path)
    detail, topic = "it is cut off", "linli/v1/s1/gate/g1/evt"
    letter = dead_letter(RejectReason.WRONG_SITE, detail, ("s1", "g1"), topic, b'{"secret": true}', NOW_MS)
    letters.add(letter)
    assert letters.list(10) == []
    assert letters.flush(NOW_MS) == 1
    (found,) = DeadLetters(tmp_path).list(10)
    assert (found.detail, found.topic, found.sha256, found.size) == (detail, topic, letter.sha256, 16)
    assert letters.show(found.letter) == found
    assert letters.show(99) is None
    on_disk = b"".join(p.read_bytes() for p in tmp_path.iterdir() if p.name != "key")
    assert detail.encode() not in on_disk
    assert b"secret" not in on_disk


def test_the_key_is_its_owners_alone_and_a_broken_one_says_what_to_do(tmp_path: Path) -> None:
    DeadLetters(tmp_path).close()
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "key").write_bytes(b"not a key")
    with pytest.raises(ConfigurationError, match="restore it, or delete it"):
        DeadLetters(tmp_path)


def test_letters_end_after_72_hours_and_by_quota_per_source(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path)
    for n in range(PER_SOURCE + 30):
        letters.add(_letter(n, at_ms=NOW_MS + n))
    letters.add(_letter(device="g2", at_ms=NOW_MS))
    letters.flush(NOW_MS)
    assert letters.counts() == {("wrong_type", "s1/g1"): PER_SOURCE, ("wrong_type", "s1/g2"): 1}
    assert letters.list(1, source="s1/g1")[0].detail.endswith(f"row {PER_SOURCE + 29}")
    letters.flush(NOW_MS + KEEP_MS + PER_SOURCE)
    assert [x.detail for x in letters.list(999)] == [
        f"$.state: row {n}" for n in range(PER_SOURCE + 29, PER_SOURCE - 1, -1)
    ]
    assert letters.purge() == 30
    assert letters.list(9) == []


def test_a_source_is_heard_a_few_times_a_minute(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path)
    wanted = [letters.wants("s1/g1", NOW_MS + n) for n in range(100)]
    assert wanted.count(True) == PER_SOURCE_A_MINUTE
    assert letters.wants("s1/g2", NOW_MS)
    assert letters.wants("s1/g1", NOW_MS + 60_000)


def _spoil(path: Path, was: bytes = b"s1/g1", now: bytes = b"s1/g7") -> None:
    """Change the last byte of a letter's source as a disk does, below whoever has the file open."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    at = path.read_bytes().rindex(was)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(now)


def _kept(folder: Path) -> DeadLetters:
    letters = DeadLetters(folder)
    for n in range(3):
        letters.add(_letter(n))
    letters.flush(NOW_MS)
    return letters


def test_a_letter_that_a_disk_changed_is_told_while_it_is_open_and_when_it_is_opened(tmp_path: Path) -> None:
    letters = _kept(tmp_path)
    letters.check_rows()
    with closing(sqlite3.connect(letters.path, isolation_level=None)) as db:
        db.execute("DROP INDEX letters_by_source")  # which would be another place with that text
    _spoil(letters.path)
    told = r"dead-letters\.db is damaged: letter \d is not what was written; restore it or move it away"
    with pytest.raises(Permanent, match=told):
        letters.check_rows()
    letters.close()
    with pytest.raises(Permanent, match=told):
        DeadLetters(tmp_path)


def test_of_a_large_file_a_letter_is_looked_at_when_it_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters = _kept(tmp_path)
    letters.close()
    with closing(sqlite3.connect(letters.path, isolation_level=None)) as db:
        db.execute("UPDATE letters SET size = 3 WHERE letter = 2")
    monkeypatch.setattr(dead_letters, "WHOLE_BYTES", 1)
    with closing(DeadLetters(tmp_path)) as again:
        for look in (lambda: again.show(2), lambda: again.list(9)):
            with pytest.raises(Permanent, match=r"dead-letters\.db is damaged: letter 2 is not what was written"):
                look()
        assert again.show(1) is not None


def test_letters_of_an_earlier_version_get_their_checksums_once(tmp_path: Path) -> None:
    letters = _kept(tmp_path)
    before = letters.list(9)
    letters.close()
    with closing(sqlite3.connect(letters.path, isolation_level=None)) as db:
        db.execute("ALTER TABLE letters DROP COLUMN checksum")
    with closing(DeadLetters(tmp_path)) as again:
        assert again.list(9) == before
    with closing(sqlite3.connect(letters.path, isolation_level=None)) as db:
        assert None not in {checksum for (checksum,) in db.execute("SELECT checksum FROM letters")}
        db.execute("UPDATE letters SET at_ms = at_ms + 1 WHERE letter = 2")
    with pytest.raises(Permanent, match="letter 2 is not what was written"):
        DeadLetters(tmp_path)
