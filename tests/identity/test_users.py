"""People: the first run, names, passwords, roles, sessions and throttling."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import ConfigurationError
from contracts.incidents import AlertAction
from governance import audit
from identity.passwords import hash_password, is_password, random_password
from identity.roles import ACTION_RIGHTS, RIGHTS, Principal, Right, Role
from identity.users import LoginRefused, Users
from incidents.alerts.actions import HUMAN_ACTIONS
from tests.incidents.builders import ManualClock, make_store

pytestmark = pytest.mark.usefixtures("on_both")

PASSWORD = "a long password"


@pytest.fixture
def users(tmp_path: Path) -> Users:
    return Users(make_store(tmp_path), clock_ms=ManualClock())


def test_the_first_run_makes_admin_with_a_random_password_once(users: Users) -> None:
    password = users.first_run()
    assert password is not None and len(password) == 20
    assert users.first_run() is None
    _, session = users.log_in("admin", password, "")
    assert session.person == Principal("admin", {"*": Role.ADMIN})


def test_a_changed_password_ends_the_sessions(users: Users) -> None:
    users.add("wang", PASSWORD, {"s1": Role.OPERATOR})
    token, _ = users.log_in("wang", PASSWORD, "")
    users.set_password("wang", "another password")
    assert users.session_of(token) is None
    with pytest.raises(LoginRefused):
        users.log_in("wang", PASSWORD, "")
    assert users.log_in("wang", "another password", "")[1].person.name == "wang"


def test_a_removed_person_is_out_at_once_and_in_the_audit_log(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    users = Users(store, clock_ms=ManualClock())
    users.add("wang", PASSWORD, {"s1": Role.OPERATOR})
    token, _ = users.log_in("wang", PASSWORD, "")
    users.remove("wang", actor="boss")
    assert users.session_of(token) is None
    assert users.people() == []
    with store.read() as connection:
        trail = [(entry.actor, entry.action) for entry, _ in audit.entries(connection)]
    assert trail == [("linli", "user.add"), ("wang", "session.start"), ("boss", "user.remove")]


@pytest.mark.parametrize(
    ("name", "password", "roles"),
    [
        ("", PASSWORD, {"*": Role.VIEWER}),
        ("linli", PASSWORD, {"*": Role.VIEWER}),
        ("a b", PASSWORD, {"*": Role.VIEWER}),
        ("wang\n", PASSWORD, {"*": Role.VIEWER}),
        ("x" * 41, PASSWORD, {"*": Role.VIEWER}),
        ("wang", "short", {"*": Role.VIEWER}),
        ("wang", "x" * 257, {"*": Role.VIEWER}),
        ("wang", PASSWORD, {}),
        ("wang", PASSWORD, {"No Site": Role.VIEWER}),
    ],
)
def test_a_person_that_cannot_be_is_refused(users: Users, name: str, password: str, roles: dict[str, Role]) -> None:
    with pytest.raises(ConfigurationError):
        users.add(name, password, roles)
    assert users.people() == []


def test_a_taken_name_is_refused(users: Users) -> None:
    users.add("wang", PASSWORD, {"s1": Role.OPERATOR})
    with pytest.raises(ConfigurationError, match="exists"):
        users.add("wang", PASSWORD, {"*": Role.ADMIN})
    assert users.people() == [Principal("wang", {"s1": Role.OPERATOR})]


@pytest.mark.parametrize("command", ["set_password", "remove"])
def test_nobody_of_that_name_is_an_error(users: Users, command: str) -> None:
    arguments = ("nobody", PASSWORD) if command == "set_password" else ("nobody",)
    with pytest.raises(ConfigurationError, match="no user 'nobody'"):
        getattr(users, command)(*arguments)


def test_a_password_is_its_hash_and_nothing_else_is() -> None:
    hashed = hash_password(PASSWORD)
    assert is_password(PASSWORD, hashed)
    assert not is_password(PASSWORD + " ", hashed)
    assert hash_password(PASSWORD) != hashed
    assert PASSWORD not in hashed
    assert random_password() != random_password()


def test_every_action_of_people_needs_a_right_that_some_role_has() -> None:
    assert set(ACTION_RIGHTS) == set(HUMAN_ACTIONS) == set(AlertAction) - {AlertAction.RETRACT}
    assert set(ACTION_RIGHTS.values()) <= set().union(*RIGHTS.values())
    assert Right.ACT not in RIGHTS[Role.VIEWER] and Right.VIEW_EVIDENCE not in RIGHTS[Role.VIEWER]


@given(
    grants=st.dictionaries(st.sampled_from(["*", "s1", "s2", "s3"]), st.sampled_from(list(Role))),
    right=st.sampled_from(list(Right)),
    site=st.sampled_from(["s1", "s2", "s3", "s4"]),
)
def test_the_scope_of_a_right_is_exactly_where_a_person_has_it(
    grants: dict[str, Role], right: Right, site: str
) -> None:
    person = Principal("x", grants)
    assert (site in person.sites(right)) == person.may(right, site)
    if person.sites(right).empty:
        assert not person.may(right, site)
