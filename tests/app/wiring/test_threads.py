"""The threads of a process end together; the first failure is the one that is told."""

from __future__ import annotations

import errno
import itertools
import threading
from collections.abc import Callable

import pytest

import app.wiring.threads
from app.wiring.threads import Threads
from contracts.errors import Transient

WAIT_S = 60.0


def waits(stop: threading.Event) -> None:
    """A loop that works until it is stopped."""
    assert stop.wait(WAIT_S)


def raising(error: BaseException) -> Callable[[threading.Event], None]:
    """A loop that fails at once."""

    def loop(_stop: threading.Event) -> None:
        raise error

    return loop


def test_they_run_until_they_are_stopped_and_none_has_failed() -> None:
    threads = Threads()
    running = [threads.start(name, waits) for name in ("one", "two")]
    assert all(thread.is_alive() for thread in running)
    threads.stop.set()
    threads.wait()
    assert (threads.join(timeout_s=WAIT_S), threads.failure) == ([], None)


def test_something_can_be_done_while_waiting_until_a_thread_fails() -> None:
    threads, called = Threads(), threading.Event()

    def fails_once_called(_stop: threading.Event) -> None:
        assert called.wait(WAIT_S)
        raise ValueError("now")

    threads.start("short", fails_once_called)
    threads.wait(called.set)
    assert threads.join(timeout_s=WAIT_S) == []
    assert repr(threads.failure) == "ValueError('now')"


@pytest.mark.parametrize("error", [ValueError("defect"), SystemExit(3)])
def test_one_that_fails_stops_all(error: BaseException) -> None:
    threads = Threads()
    threads.start("good", waits)
    threads.start("bad", raising(error))
    threads.wait()
    assert (threads.join(timeout_s=WAIT_S), threads.failure) == ([], error)


def test_one_that_is_kept_begins_anew_after_what_may_pass_and_ends_with_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app.wiring.threads, "PAUSES_S", (0.0,))
    threads, began, through = Threads(), itertools.count(), threading.Event()

    def away_three_times(stop: threading.Event) -> None:
        if next(began) < 3:
            raise Transient("the server is away")
        through.set()
        waits(stop)

    threads.keep("kept", away_three_times)
    assert through.wait(WAIT_S)
    threads.stop.set()
    assert (threads.join(timeout_s=WAIT_S), threads.failure) == ([], None)


def test_a_kept_thread_ends_with_a_lasting_error_and_while_it_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app.wiring.threads, "PAUSES_S", (3_600.0,))
    threads = Threads()
    threads.keep("waiting", raising(Transient("the server is away")))
    threads.keep("bad", raising(ValueError("defect")))
    threads.wait()
    assert (threads.join(timeout_s=WAIT_S), repr(threads.failure)) == ([], "ValueError('defect')")


def test_one_that_ends_by_itself_has_failed() -> None:
    threads = Threads()
    threads.start("good", waits)
    threads.start("short", lambda _stop: None)
    threads.wait()
    assert threads.join(timeout_s=WAIT_S) == []
    assert repr(threads.failure) == "RuntimeError('short ended by itself')"


def test_the_first_failure_is_kept_also_when_others_follow_from_it() -> None:
    threads = Threads()

    def fails_later(stop: threading.Event) -> None:
        waits(stop)
        raise KeyError("consequence")

    threads.start("later", fails_later)
    first = ValueError("cause")
    threads.start("first", raising(first))
    threads.wait()
    assert (threads.join(timeout_s=WAIT_S), threads.failure) == ([], first)


def test_one_that_does_not_end_in_time_is_named() -> None:
    threads, released = Threads(), threading.Event()
    threads.start("stuck", lambda _stop: released.wait(WAIT_S))
    threads.start("good", waits)
    threads.stop.set()
    assert threads.join("good", timeout_s=WAIT_S) == []
    assert threads.join(timeout_s=0.05) == ["stuck"]
    released.set()
    assert threads.join(timeout_s=WAIT_S) == []


@pytest.mark.parametrize("error", [Transient("away"), OSError(errno.ENOSPC, "No space left on device")])
def test_a_loop_that_is_kept_waits_for_what_may_pass(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr(app.wiring.threads, "PAUSES_S", (0.0,))
    threads, tries = Threads(), itertools.count()
    done = threading.Event()

    def loop(stop: threading.Event) -> None:
        if next(tries) < 3:
            raise error
        done.set()
        waits(stop)

    threads.keep("kept", loop)
    assert done.wait(WAIT_S)
    threads.stop.set()
    assert (threads.join(timeout_s=WAIT_S), threads.failure) == ([], None)
