"""What is kept of an erasure cannot be guessed without the installation's key; what was kept before is made so."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from sqlalchemy import select

from app.main import linli
from app.settings.loading import load_settings
from app.wiring.erasure import open_stores
from app.wiring.reference_key import reference_key
from app.wiring.rule_facts import finding_facts
from app.wiring.run_child import run_settings
from contracts.erasure import UNKEYED, Eraser, Erasure, ReferenceKey, digest_of, key_name, tombstone_of
from contracts.errors import ConfigurationError
from contracts.events import ReferenceErased, ReferenceKind
from contracts.findings import Fact, Subject, SubjectKind
from contracts.names import is_id
from governance.erasing import verify
from governance.erasure_answers import ErasureOutcome
from governance.erasure_register import order_erasure
from governance.erasure_stores import Stores
from incidents.intake.intake import Intake
from incidents.store.schema import erasures
from streams.log.sqlite.day_log import DayLog
from system.clock import wall_ms
from tests.governance.planted import REF, planted_erasure, planted_records
from tests.incidents.builders import make_directory, make_finding

KIND = ReferenceKind.PERSON
PLAIN = digest_of("s1", KIND, REF)
KEY, OTHER_KEY = ReferenceKey(b"1" * 32), ReferenceKey(b"2" * 32)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One machine with a log and people's tables that name the reference."""
    for name, value in run_settings(tmp_path, "mqtt://127.0.0.1:1", 0, "").items():
        monkeypatch.setenv(name, value)
    DayLog(tmp_path).close()
    return tmp_path


@pytest.fixture
def stores(folder: Path) -> Iterator[Stores]:
    with open_stores(load_settings(), wall_ms) as opened:
        opened.inventory.put(planted_records(), now_ms=1)
        yield opened


def _guessable(folder: Path) -> set[str]:
    """Files in which somebody who guesses the reference finds it: its digest without a key, or a tombstone of it."""
    sought = (PLAIN.encode(), tombstone_of(PLAIN).encode())
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.name for path, text in itertools.product(files, sought) if text in path.read_bytes()}


def test_a_digest_tells_nothing_to_who_has_not_the_key() -> None:
    digest = KEY.digest_of("s1", KIND, REF)
    assert digest == KEY.keyed(PLAIN) == KEY.keyed(digest)
    assert (len(digest), key_name(digest), is_id(tombstone_of(digest))) == (32, KEY.name, True)
    assert len({digest, PLAIN, OTHER_KEY.digest_of("s1", KIND, REF), UNKEYED.digest_of("s1", KIND, REF)}) == 3
    assert (KEY.is_foreign(digest), OTHER_KEY.is_foreign(digest), UNKEYED.is_foreign(digest)) == (False, True, True)
    assert not KEY.is_foreign(PLAIN)
    assert "1111" not in f"{KEY!r} {KEY}"


def test_references_are_recognised_by_digests_with_the_key_and_by_old_ones() -> None:
    text = f"about {REF}, again"
    for digest, key, known in (
        (KEY.keyed(PLAIN), KEY, True),
        (PLAIN, KEY, True),
        (PLAIN, UNKEYED, True),
        (KEY.keyed(PLAIN), OTHER_KEY, False),
        (KEY.keyed(PLAIN), UNKEYED, False),
    ):
        left = Eraser([Erasure("s1", KIND, digest, 10)], key).text("s1", text, 5)
        assert (REF not in left) == known
        assert left in {text, text.replace(REF, tombstone_of(key.keyed(PLAIN)))}


def test_the_key_is_made_once_for_its_owner_alone_and_a_broken_one_is_named(folder: Path) -> None:
    settings = load_settings()
    first = reference_key(settings)
    assert (first.name, first.digest_of("s1", KIND, REF)) == (
        reference_key(settings).name,
        reference_key(settings).digest_of("s1", KIND, REF),
    )
    assert (folder / "erasure.key").stat().st_mode & 0o777 == 0o600
    (folder / "erasure.key").write_text("no key", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="is no key of 64 hex digits"):
        reference_key(settings)


def test_nothing_that_an_erasure_leaves_can_be_guessed(folder: Path, stores: Stores) -> None:
    finding = make_finding(
        rule="presence", key=f"gate/{REF}", onset_ms=wall_ms() - 10, subject=Subject(SubjectKind.PERSON, REF),
        facts=(Fact(code="listed", value=REF),),
    )  # fmt: skip
    Intake(stores.store, make_directory("s1"), finding_facts(), ["hook"]).take([(1, finding)])
    done = CliRunner().invoke(linli, ["erase", "--site", "s1", "--person", REF])
    assert (done.exit_code, "incidents: erased" in done.output) == (0, True), done.output
    assert planted_erasure(folder).digest[:12].encode() in (folder / "incidents.db").read_bytes()
    assert _guessable(folder) == set()


def _as_before(stores: Stores) -> None:
    """An erasure as an earlier version left it: its digest without a key in each store, and tombstones of it."""
    erasure, tombstone = Erasure("s1", KIND, PLAIN, 5), tombstone_of(PLAIN)
    with stores.store.write() as connection:
        order_erasure(connection, erasure, "cli", 5)
    base = {"event_id": "c", "site_id": "s1", "source_id": "config", "place_id": "s1", "at_ms": 5, "version": 0}
    said = {"kind": "reference_erased", "reference": "person", "digest": PLAIN, "before_ms": 5}
    record = msgspec.convert(base | said, ReferenceErased)
    stores.inventory.put([record], now_ms=5)
    assert stores.archive is not None
    stores.archive.catalogue.erase(erasure, {})
    subject = Subject(SubjectKind.PERSON, tombstone)
    finding = make_finding(rule="presence", key=f"gate/{tombstone}", onset_ms=2, subject=subject)
    Intake(stores.store, make_directory("s1"), finding_facts(), ["hook"]).take([(1, finding)])


def test_what_an_earlier_version_kept_is_recognised_and_replaced(folder: Path, stores: Stores) -> None:
    _as_before(stores)
    assert {path for path in _guessable(folder) if path.endswith((".db", "-wal"))} != set()
    ((known, answers),) = verify(stores)
    assert known.digest == PLAIN
    assert [a.outcome for a in answers if a.store == "inventory"] == [ErasureOutcome.STILL_THERE]
    assert CliRunner().invoke(linli, ["erase", "--site", "s1", "--person", "somebody-else"]).exit_code == 0
    assert _guessable(folder) == {"incidents.db"}  # the audit log, which nobody can change
    with stores.store.read() as connection:
        digests = set(connection.execute(select(erasures.c.digest)).scalars())
    assert stores.reference_key.keyed(PLAIN) in digests and PLAIN not in digests
    assert stores.archive is not None
    assert PLAIN not in {erasure.digest for erasure in stores.archive.catalogue.erasures()}
    (record,) = [
        r
        for _, r in stores.inventory.changes_after(0, 99)
        if getattr(r, "digest", "") == stores.reference_key.keyed(PLAIN)
    ]
    stores.inventory.check_rows()
    assert record.version == 5


def test_with_another_key_verify_says_so_instead_of_finding_everything_clean(folder: Path, stores: Stores) -> None:
    assert CliRunner().invoke(linli, ["erase", "--site", "s1", "--person", REF]).exit_code == 0
    (folder / "erasure.key").write_text("ab" * 32, encoding="utf-8")
    looked = CliRunner().invoke(linli, ["erase", "verify"])
    assert looked.exit_code == 1
    assert f"key: still there (made with key {stores.reference_key.name}, here is " in looked.output


def test_a_district_makes_no_key_of_its_own_and_without_one_does_not_erase(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINLI_LOG_URL", "kafka://127.0.0.1:1")
    monkeypatch.setenv("LINLI_ERASURE_KEY_FILE", str(folder / "no.key"))
    assert (reference_key(load_settings()).name, (folder / "no.key").exists()) == ("", False)
    refused = CliRunner().invoke(linli, ["erase", "--site", "s1", "--person", REF]).exception
    assert isinstance(refused, ConfigurationError)
    assert "openssl rand -hex 32" in str(refused)
