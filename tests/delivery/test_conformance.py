"""Every kind of receiver keeps the contract before a hostile peer, sends its golden messages, and has its places."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

import pytest

from contracts.errors import ConfigurationError
from delivery.conformance.adapter import adapter_of
from delivery.conformance.bench import Bench
from delivery.conformance.case import Case
from delivery.conformance.cases import CASES
from delivery.conformance.suite import CHECKS, check_case
from delivery.receivers.kinds import KINDS

PLACES = ("settings.py", "mapping.py", "client.py", "conformance.py", "golden")


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


def test_every_folder_of_a_receiver_is_a_kind() -> None:
    folders = {entry.name for entry in files("delivery.receivers").iterdir() if entry.joinpath("client.py").is_file()}
    assert folders == set(KINDS), "a line in delivery/receivers/kinds.py is missing, or its folder is"


def test_a_kind_without_an_adapter_is_told_where_it_belongs() -> None:
    with pytest.raises(ConfigurationError, match=r"delivery/receivers/pigeon/conformance\.py has no ADAPTER"):
        adapter_of("pigeon")
