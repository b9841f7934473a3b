"""``[[receiver]]`` tables: any number of any kind, and every mistake named with its table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contracts.errors import ConfigurationError
from contracts.events import Origin
from contracts.findings import Severity
from contracts.secrets import Secret
from delivery.receivers.kinds import KINDS
from delivery.receivers.opening import open_receivers
from delivery.receivers.tables import receiver_settings
from delivery.receivers.webhook.settings import WebhookSettings

FOLDER = Path("/etc/linli")
ALL_KINDS = ", ".join(sorted(KINDS))
HOOK = {"kind": "webhook", "url": "https://receiver.example/linli", "secret_file": "hook.secret"}


def problems_of(*tables: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        receiver_settings(tables, folder=FOLDER)
    return str(caught.value).split("; ")


def test_the_only_one_of_a_kind_bears_its_name_and_has_cautious_defaults() -> None:
    (one,) = receiver_settings([HOOK], folder=FOLDER)
    assert (one.kind, one.name, one.profile.name) == ("webhook", "webhook", "webhook")
    assert (one.profile.origins, one.profile.unverified, one.profile.min_severity) == (
        (Origin.LIVE,),
        False,
        Severity.MINOR,
    )
    assert one.own == WebhookSettings(url=HOOK["url"], secret_file=FOLDER / "hook.secret")


def test_any_number_of_a_kind_each_with_its_own_profile() -> None:
    wants = {"origins": ["live", "drill"], "unverified": True, "min_severity": "critical", "timeout_s": 3}
    grid, police = receiver_settings([HOOK | {"name": "grid"}, HOOK | wants | {"name": "police"}], folder=FOLDER)
    assert (grid.name, grid.profile.min_severity) == ("grid", Severity.MINOR)
    assert (police.name, police.profile.unverified) == ("police", True)
    assert police.profile.origins == (Origin.LIVE, Origin.DRILL)
    assert police.profile.min_severity is Severity.CRITICAL


def test_an_absolute_path_stays_and_a_relative_one_is_of_the_folder() -> None:
    table = HOOK | {"secret_file": "/run/secrets/hook", "ca_file": "ca.pem"}
    own = receiver_settings([table], folder=FOLDER)[0].own
    assert isinstance(own, WebhookSettings)
    assert (own.secret_file, own.ca_file) == (Path("/run/secrets/hook"), FOLDER / "ca.pem")


def test_no_tables_are_no_receivers() -> None:
    assert receiver_settings([], folder=FOLDER) == ()


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"kind": "webhok"}, "kind = 'webhok' is unknown: did you mean 'webhook'?"),
        ({}, f"kind is missing: expected one of {ALL_KINDS}"),
        (HOOK | {"urll": 1}, "unknown key 'urll' (did you mean 'url'?)"),
        (HOOK | {"name": "A b"}, "name = 'A b': expected an id"),
        (HOOK | {"name": ""}, "name = '': expected an id"),
        ({"kind": "webhook", "url": "https://x.example/"}, "secret_file is missing"),
        (HOOK | {"url": "http://x.example/"}, "is not encrypted: use https or set allow_http"),
        (HOOK | {"secret_file": ""}, "secret_file: expected the path of a file"),
        (HOOK | {"timeout_s": 0}, "timeout_s = 0: Expected `float` >= 0.1"),
        (HOOK | {"timeout_s": float("nan")}, "timeout_s = nan: Expected `float` >= 0.1"),
        (HOOK | {"timeout_s": float("inf")}, "timeout_s = inf: Expected `float` <= 60.0"),
        (HOOK | {"allow_http": "no"}, "allow_http: Expected `bool`, got `str`"),
        (HOOK | {"origins": ["liv"]}, "origins: Invalid enum value 'liv' - at `$[0]`, expected live, drill, simulated"),
        (HOOK | {"origins": []}, "origins: Expected `array` of length >= 1"),
        (HOOK | {"min_severity": "huge"}, "min_severity: Invalid enum value 'huge', expected info, minor, major"),
    ],
)
def test_a_mistake_is_named_with_what_was_expected(table: dict[str, Any], problem: str) -> None:
    (said,) = problems_of(table)
    assert said.startswith("[[receiver]] 1")
    assert problem in said


def test_all_mistakes_are_named_at_once_each_with_its_table() -> None:
    police = HOOK | {"name": "police"}
    bad = {"kind": "webhook", "name": "grid", "urll": "x", "unverified": "yes"}
    said = problems_of(police, bad, police, HOOK, {"kind": "webhok"})
    assert [problem.partition(": ")[0] for problem in said] == [
        *["[[receiver]] 2 (grid)"] * 4,
        "[[receiver]] 3 (police)",
        "[[receiver]] 4",
        "[[receiver]] 5",
    ]
    assert "name = 'police' is that of [[receiver]] 1 too" in said[4]
    assert "name is missing: expected an id of its own, since several are of kind 'webhook'" in said[5]


def test_no_message_shows_what_may_be_a_secret() -> None:
    written = {"secret": "hush", "url": "https://wang:hush@x.example/?key=hush", "ca_file": ["hush"]}
    assert not [problem for problem in problems_of(HOOK | written) if "hush" in problem]


def test_receivers_are_opened_in_their_order_each_with_its_own_secret() -> None:
    asked = []

    def read_secret(path: Path, key: str) -> Secret:
        asked.append((path, key))
        return Secret("0123456789abcdef")

    tables = [HOOK | {"name": "grid"}, HOOK | {"name": "police", "secret_file": "police.secret"}]
    opened = open_receivers(receiver_settings(tables, folder=FOLDER), read_secret)
    assert [(profile.name, receiver.name) for profile, receiver in opened] == [("grid", "grid"), ("police", "police")]
    assert asked == [(FOLDER / "hook.secret", "grid.secret_file"), (FOLDER / "police.secret", "police.secret_file")]


def test_a_secret_that_cannot_be_read_is_an_error_of_the_configuration() -> None:
    def read_secret(path: Path, key: str) -> Secret:
        raise ConfigurationError(f"{key} = {str(path)!r} cannot be read")

    with pytest.raises(ConfigurationError, match=r"webhook\.secret_file = '/etc/linli/hook\.secret'"):
        open_receivers(receiver_settings([HOOK], folder=FOLDER), read_secret)
