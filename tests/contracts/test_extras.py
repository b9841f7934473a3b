"""A package of an extra that is missing is named with the extra; another missing module is a failure of its own."""

from __future__ import annotations

import pytest

from contracts.extras import EXTRAS, not_installed


@pytest.mark.parametrize("package", sorted(EXTRAS))
def test_a_missing_package_is_named_with_the_extra_that_brings_it(package: str) -> None:
    said = str(not_installed(ModuleNotFoundError(f"No module named '{package}.part'", name=f"{package}.part")))
    assert said == f"{package} is not installed: `pip install 'linli[{EXTRAS[package]}]'`"


def test_a_package_that_says_it_cannot_be_used_is_named_too() -> None:
    with pytest.raises(ImportError) as caught:
        exec("raise ImportError('no pq wrapper available')", {"__name__": "psycopg.pq"})
    assert str(not_installed(caught.value)) == "psycopg is not installed: `pip install 'linli[cluster]'`"


def test_any_other_missing_module_stays_what_it_is() -> None:
    error = ModuleNotFoundError("No module named 'nonsense'", name="nonsense")
    with pytest.raises(ModuleNotFoundError) as caught:
        not_installed(error)
    assert caught.value is error
