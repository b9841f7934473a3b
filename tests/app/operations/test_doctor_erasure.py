"""``linli doctor`` and the key of erased references: there, readable, a key, and the one that made the erasures."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.settings.loading import load_settings
from app.wiring.reference_key import reference_key
from app.wiring.stores import open_incidents
from contracts.erasure import Erasure, ReferenceKey
from contracts.events import ReferenceKind
from governance.erasure_register import order_erasure
from tests.app.operations.test_doctor import doctor, settings_of

KEY = "ab" * 32


def _told(settings: dict[str, str]) -> tuple[str, str, str]:
    _, lines = doctor(settings)
    (line,) = lines["erasure"]
    return str(line.level), line.detail, line.remedy


def _erased(settings: dict[str, str], key: ReferenceKey) -> None:
    """As somebody erased a person with this key."""
    store = open_incidents(load_settings(None, settings))
    with store.write() as connection:
        digest = key.digest_of("s1", ReferenceKind.PERSON, "p1")
        order_erasure(connection, Erasure("s1", ReferenceKind.PERSON, digest, 5), actor="admin", now_ms=9)
    store.close()


def test_a_key_that_the_first_start_makes_is_well_and_the_doctor_makes_none(tmp_path: Path) -> None:
    settings, path = settings_of(tmp_path), tmp_path / "erasure.key"
    level, detail, _ = _told(settings)
    assert (level, f"{path} is not there yet" in detail, path.exists()) == ("ok", True, False)
    key = reference_key(load_settings(None, settings))
    _erased(settings, key)
    assert _told(settings) == ("ok", f"key {key.name} in {path}", "")
    assert key.name not in path.read_text()


def test_a_key_that_is_gone_after_an_erasure_or_is_another_one_fails(tmp_path: Path) -> None:
    settings, path = settings_of(tmp_path), tmp_path / "erasure.key"
    key = reference_key(load_settings(None, settings))
    _erased(settings, key)
    path.unlink()
    level, detail, remedy = _told(settings)
    assert (level, f"made with key {key.name}" in detail, "from a backup" in remedy) == ("fail", True, True)
    path.write_text(KEY)
    path.chmod(0o600)
    level, detail, remedy = _told(settings)
    assert (level, f"were made with {key.name}, and are not recognised" in detail) == ("fail", True)
    assert "from a backup" in remedy


@pytest.mark.parametrize("content", [b"", b"abcd\n", b"zz" * 32, b"\xff\xfe" * 32, KEY.encode() + b"00"])
def test_a_file_that_is_no_key_fails_with_the_way_out(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "erasure.key").write_bytes(content)
    level, detail, remedy = _told(settings_of(tmp_path))
    assert (level, "no key of 64 hex digits" in detail, "put erasure.key_file back" in remedy) == ("fail", True, True)


def test_a_key_that_cannot_be_read_fails(tmp_path: Path) -> None:
    (tmp_path / "erasure.key").mkdir()
    level, detail, _ = _told(settings_of(tmp_path))
    assert (level, "Is a directory" in detail) == ("fail", True)


def test_a_district_says_which_key_every_host_must_have_or_that_it_has_none(tmp_path: Path) -> None:
    path = tmp_path / "its.key"
    settings = settings_of(tmp_path) | {
        "LINLI_LOG_URL": "kafka://127.0.0.1:1",
        "LINLI_ERASURE_KEY_FILE": str(path),
        "LINLI_DEAD_LETTERS_FOLDER": str(tmp_path / "dead"),
    }
    level, detail, remedy = _told(settings)
    assert (level, "may be guessed" in detail, "openssl rand -hex 32" in remedy) == ("warn", True, True)
    path.write_text(KEY)
    path.chmod(0o600)
    name = ReferenceKey(bytes.fromhex(KEY)).name
    level, detail, _ = _told(settings)
    assert (level, detail.startswith(f"key {name} in {path}")) == ("ok", True)
    assert detail.endswith("; it must have this name on every host")
