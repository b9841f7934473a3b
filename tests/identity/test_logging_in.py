"""Logging in when many try at once: what is tried, what it costs, and who is kept out by it."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select, update

from contracts.errors import Transient
from identity import users as users_module
from identity.hashing_queue import HashingQueue
from identity.passwords import hash_password, is_outdated, is_password
from identity.roles import Role
from identity.users import LoginRefused, Users
from incidents.store import schema
from tests.incidents.builders import ManualClock, make_store

pytestmark = pytest.mark.usefixtures("on_both")

PASSWORD = "a long password"
OLD = "scrypt$16384$8$1$00112233445566778899aabbccddeeff$"
"""What stands before the hash that earlier versions stored."""


@pytest.fixture
def users(tmp_path: Path) -> Users:
    users = Users(make_store(tmp_path), clock_ms=ManualClock())
    users.add("wang", PASSWORD, {"s1": Role.OPERATOR})
    return users


def _all_at_once(many: int, work: Callable[[int], object]) -> Counter[str]:
    """Do ``work`` in as many threads, begun together; counts what each returned or raised."""
    together, answers = threading.Barrier(many), Counter[str]()

    def run(n: int) -> None:
        together.wait()
        try:
            work(n)
            answers["done"] += 1
        except LoginRefused as refused:
            answers["waits" if refused.wait_ms else "wrong"] += 1
        except Transient:
            answers["busy"] += 1

    threads = [threading.Thread(target=run, args=(n,)) for n in range(many)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_of_many_tries_at_once_no_more_are_hashed_than_may_fail(users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []

    def counted(password: str, _hashed: str) -> bool:
        hashed.append(password)
        return False

    monkeypatch.setattr(users_module, "is_password", counted)
    answers = _all_at_once(60, lambda n: users.log_in("wang", f"guess-number-{n}", "203.0.113.9"))
    assert len(hashed) == answers["wrong"] == 5
    assert answers["waits"] == 55


def test_no_more_are_hashed_at_once_than_there_are_turns() -> None:
    queue, lock, inside, most = HashingQueue(2, 100), threading.Lock(), 0, 0

    def work(_n: int) -> None:
        nonlocal inside, most
        with queue.turn():
            with lock:
                inside += 1
                most = max(most, inside)
            hash_password(PASSWORD)
            with lock:
                inside -= 1

    assert _all_at_once(6, work)["done"] == 6
    assert most == 2


def test_who_comes_while_too_many_wait_is_sent_away_at_once() -> None:
    queue, held, done = HashingQueue(1, 0), threading.Event(), threading.Event()

    def hold() -> None:
        with queue.turn():
            held.set()
            done.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    with pytest.raises(Transient), queue.turn():
        pass
    done.set()
    holder.join()
    with queue.turn():
        pass


def test_a_try_that_was_sent_away_is_not_counted_as_wrong(users: Users) -> None:
    users._hashing = HashingQueue(0, 0)
    for _ in range(30):
        with pytest.raises(Transient):
            users.log_in("wang", PASSWORD, "192.0.2.1")
    users._hashing = HashingQueue()
    assert users.log_in("wang", PASSWORD, "192.0.2.1")[1].person.name == "wang"


def test_a_stranger_who_guesses_does_not_lock_the_owner_out(users: Users) -> None:
    for n in range(7):
        with pytest.raises(LoginRefused):
            users.log_in("wang", f"guess-number-{n}", "203.0.113.9")
    assert users.log_in("wang", PASSWORD, "192.0.2.1")[1].person.name == "wang"


def _stored(users: Users) -> str:
    with users._store.read() as connection:
        return str(connection.execute(select(schema.users.c.password_hash)).scalar_one())


def _store_old(users: Users) -> None:
    made = hashlib.scrypt(PASSWORD.encode(), salt=bytes.fromhex(OLD.split("$")[4]), n=16384, r=8, p=1, dklen=32)
    with users._store.write() as connection:
        connection.execute(update(schema.users).values(password_hash=OLD + made.hex()))


def test_an_old_hash_opens_and_is_made_anew_by_the_right_password_alone(users: Users) -> None:
    _store_old(users)
    old = _stored(users)
    with pytest.raises(LoginRefused):
        users.log_in("wang", "not the password", "192.0.2.1")
    assert _stored(users) == old and is_outdated(old)
    token, _ = users.log_in("wang", PASSWORD, "192.0.2.1")
    assert not is_outdated(_stored(users)) and is_password(PASSWORD, _stored(users))
    assert users.session_of(token) is not None
    assert users.log_in("wang", PASSWORD, "192.0.2.1")[1].person.name == "wang"


@pytest.mark.parametrize("meanwhile", ["remove", "set_password"])
def test_a_login_under_way_does_not_outlive_what_changes_meanwhile(
    users: Users, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    changed = False

    def right_but_late(password: str, hashed: str) -> bool:
        nonlocal changed
        right = is_password(password, hashed)
        if not changed:
            changed = True
            users.remove("wang") if meanwhile == "remove" else users.set_password("wang", "another password")
        return right

    monkeypatch.setattr(users_module, "is_password", right_but_late)
    with pytest.raises(LoginRefused):
        users.log_in("wang", PASSWORD, "192.0.2.1")
    with users._store.read() as connection:
        assert connection.execute(select(schema.sessions)).all() == []


def test_todays_hash_costs_what_owasp_asks_for_scrypt() -> None:
    _name, n, r, p, salt, made = hash_password(PASSWORD).split("$")
    equally_strong = {(2**17, 1), (2**16, 2), (2**15, 3), (2**14, 5), (2**13, 10)}  # Password Storage Cheat Sheet
    assert (int(n), int(p)) in equally_strong
    assert (int(r), len(salt) // 2, len(made) // 2) == (8, 16, 32)
