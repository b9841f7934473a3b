"""Every kind of receiver keeps the contract before a hostile peer, sends its golden messages, and has its places."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from contracts.errors import ConfigurationError
from delivery.conformance import golden
from delivery.conformance.adapter import adapter_of
from delivery.conformance.bench import Bench
from delivery.conformance.case import Case
from delivery.conformance.cases import CASES
from delivery.conformance.suite import CHECKS, ConformanceError, check_case
from delivery.receivers.kinds import KINDS

PLACES = ("__init__.py", "settings.py", "mapping.py", "client.py", "conformance.py", "golden")

TESTS = Path(__file__).parent / "receivers"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench(tmp_path_factory.mktemp("conformance")) as shared:
        yield shared


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_receiver_conforms(kind: str, case: Case, bench: Bench) -> None:
    check_case(kind, case, bench)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_receiver_conforms_in(kind: str, check: str, bench: Bench) -> None:
    CHECKS[check](kind, bench)


def test_no_two_cases_have_one_name() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_kind_has_all_its_places(kind: str) -> None:
    there = {entry.name for entry in files(f"delivery.receivers.{kind}").iterdir()}
    missing = [f"delivery/receivers/{kind}/{name}" for name in PLACES if name not in there]
    assert not missing, f"see delivery/receivers/__init__.py for what belongs there: {missing}"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_kind_has_tests_of_its_own(kind: str) -> None:
    assert list((TESTS / kind).glob("test_*.py")), (
        f"tests/delivery/receivers/{kind}: no test of what is special about it"
    )


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_settings_of_a_kind_are_as_every_kind_has_them(kind: str) -> None:
    config, fields = KINDS[kind].settings.__struct_config__, get_type_hints(KINDS[kind].settings)
    where = f"delivery/receivers/{kind}/settings.py"
    assert config.frozen, f"{where}: frozen=True is missing"
    assert config.forbid_unknown_fields, f"{where}: forbid_unknown_fields=True is missing"
    paths = {name for name, type_ in fields.items() if Path in (type_, *get_args(type_))}
    assert paths == {name for name in fields if name.endswith("_file")}, (
        f"{where}: *_file fields are Paths, and only they"
    )


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_secret_of_a_kind_is_a_file(kind: str) -> None:
    said = [n for n in KINDS[kind].settings.__struct_fields__ if re.search("secret|token|password", n)]
    assert all(n.endswith("_file") for n in said), f"delivery/receivers/{kind}/settings.py: *_file, not {said}"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_mapping_of_a_kind_says_that_it_is_pure(kind: str) -> None:
    says = (import_module(f"delivery.receivers.{kind}.mapping").__doc__ or "").partition("\n")[0]
    assert "Pure" in says, f"delivery/receivers/{kind}/mapping.py: the first line of its docstring must say it: Pure."


def test_every_folder_of_a_receiver_is_a_kind() -> None:
    folders = {entry.name for entry in files("delivery.receivers").iterdir() if entry.joinpath("client.py").is_file()}
    assert folders == set(KINDS), "a line in delivery/receivers/kinds.py is missing, or its folder is"
    assert list(KINDS) == sorted(KINDS), "delivery/receivers/kinds.py: KINDS is not in order of names"


def test_a_kind_without_golden_messages_is_told_where_they_belong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(golden, "files", lambda _package: tmp_path)
    with pytest.raises(ConfigurationError, match=r"delivery/receivers/pigeon/golden has no NEWS\.json"):
        golden.golden_messages("pigeon")


@pytest.mark.parametrize(("saved", "says"), [(None, "sent\nPOST .*instead of\nnothing"), ("LF", "other line ends")])
def test_a_request_that_is_not_saved_as_it_was_sent_is_shown(
    saved: str | None, says: str, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(str(files("delivery.receivers.webhook").joinpath("golden")), tmp_path / "golden")
    request = tmp_path / "golden" / "opened.http"
    text = request.read_bytes()
    request.unlink()
    if saved == "LF":
        request.write_bytes(text.replace(b"\r\n", b"\n"))
    monkeypatch.setattr(golden, "files", lambda _package: tmp_path)
    with pytest.raises(ConformanceError, match=f"(?s)^webhook, golden messages: golden/opened.http.*{says}"):
        CHECKS["the golden messages"]("webhook", bench)


def test_a_kind_without_an_adapter_is_told_where_it_belongs() -> None:
    with pytest.raises(ConfigurationError, match=r"delivery/receivers/pigeon/conformance\.py has no ADAPTER"):
        adapter_of("pigeon")
